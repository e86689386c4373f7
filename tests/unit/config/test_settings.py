"""Settings: every default, what a bad value is told, where the file is found, what is exported, adopted and digested."""

import os
import traceback
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestration.config.loading import adopt, differing, load
from orchestration.config.project import PROJECT
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.config.values import SettingsError

STEPS = 'steps = [{ step = "view", event = "product_viewed" }, { step = "buy", event = "order_placed", where = "value > 0" }]'
FUNNEL = {"name": "f", "steps": [{"step": "a", "event": "x"}, {"step": "b", "event": "y"}]}


def read(folder: Path, text: str) -> Settings:
    (folder / "northstar.toml").write_text(text, encoding="utf-8")
    return load({}, directory=folder)


def settings(folder: Path, **config: Any) -> Settings:
    return Settings(home=folder, landing=folder / "landing", config_file=None, config=Config(**config))


def test_defaults(tmp_path: Path) -> None:
    found = load({}, directory=tmp_path)
    config = found.config
    assert (config.reporting_timezone, config.reporting_currency, config.week_start) == ("Asia/Shanghai", "USD", "monday")
    assert (config.gross_margin, config.partition_start, config.required_sources) == (Decimal("0.8"), date(2010, 1, 1), ())
    assert (config.max_quarantine_ratio, config.bot_events_per_day, config.keep_releases) == (0.01, 3000, 14)
    assert config.keep_monthly_releases == 12
    assert (config.max_release_age, config.memory_limit) == ("36h", "8GB")
    assert (config.event_names, config.funnels) == ({}, ())
    assert found.config_file is None
    assert found.home == PROJECT / ".northstar"
    assert found.landing == found.home / "landing"
    assert (found.warehouse, found.dagster_home) == (found.home / "warehouse.duckdb", found.home / "dagster")
    assert found.dbt_target == found.home / "dbt" / "target"
    assert found.max_release_age == timedelta(hours=36)
    assert str(found.timezone) == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('reporting_timezone = "America/New_York"', "America/New_York"),
        ('reporting_currency = "CNY"', "CNY"),
        ('week_start = "sunday"', "sunday"),
        ("gross_margin = 0.1", Decimal("0.1")),
        ("gross_margin = 1", Decimal(1)),
        ("partition_start = 2020-02-29", date(2020, 2, 29)),
        ('partition_start = "2020-02-29"', date(2020, 2, 29)),
        ('required_sources = ["events", "orders"]', ("events", "orders")),
        ("max_quarantine_ratio = 0", 0.0),
        ("bot_events_per_day = 1", 1),
        ("keep_releases = 1", 1),
        ("keep_monthly_releases = 0", 0),
        ('max_release_age = "2w"', "2w"),
        ('memory_limit = "512MB"', "512MB"),
        ('event_names = { product_view = "product_viewed" }', {"product_view": "product_viewed"}),
        ('owners = { growth = "g@example.com", platform = "team:data" }', {"growth": "g@example.com", "platform": "team:data"}),
        ("targets = { cac = 500, signups = 1e3 }", {"cac": Decimal(500), "signups": Decimal(1000)}),
        ("churn_risk_levels = [0.2, 0.4, 0.6]", (0.2, 0.4, 0.6)),
        ("intervention_cost = 0", 0.0),
        ("intervention_success_rate = 1", 1.0),
    ],
)
def test_a_good_value(tmp_path: Path, text: str, expected: object) -> None:
    assert getattr(read(tmp_path, text).config, text.split(" ")[0]) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('report_currency = "USD"', "unknown key 'report_currency'; did you mean 'reporting_currency'?"),
        ("zzz = 1", "unknown key 'zzz'"),
        (
            'reporting_timezone = "Asia/Shanghay"',
            "reporting_timezone: unknown time zone 'Asia/Shanghay'; did you mean 'Asia/Shanghai'?",
        ),
        ('reporting_timezone = "localtime"', "reporting_timezone: unknown time zone 'localtime'"),
        ("reporting_timezone = 8", "reporting_timezone: Input should be a valid string"),
        ('reporting_currency = "usd"', "reporting_currency: String should match pattern '^[A-Z]{3}$'"),
        ('reporting_currency = "DOLLAR"', "reporting_currency: String should match pattern"),
        ('reporting_currency = "RMB"', "reporting_currency: 'RMB' is not in ISO 4217; did you mean 'CNY'?"),
        ('reporting_currency = "BTC"', "reporting_currency: 'BTC' is not in ISO 4217"),
        ('week_start = "tuesday"', "week_start: Input should be 'monday' or 'sunday'"),
        ("gross_margin = 1.01", "gross_margin: Input should be less than or equal to 1"),
        ("gross_margin = -0.1", "gross_margin: Input should be greater than or equal to 0"),
        ("gross_margin = nan", "gross_margin: Input should be a finite number"),
        ('partition_start = "2010-13-01"', "partition_start: Input should be a valid date"),
        ("partition_start = 20100101", "partition_start: "),
        ("partition_start = 0", "partition_start: "),
        ('required_sources = ["event"]', "required_sources: unknown source 'event'; did you mean 'events'?"),
        ("max_quarantine_ratio = 2", "max_quarantine_ratio: Input should be less than or equal to 1"),
        ("max_quarantine_ratio = nan", "max_quarantine_ratio: "),
        ("bot_events_per_day = 0", "bot_events_per_day: Input should be greater than or equal to 1"),
        ("bot_events_per_day = 2.5", "bot_events_per_day: Input should be a valid integer"),
        ("keep_releases = 0", "keep_releases: Input should be greater than or equal to 1"),
        ("keep_releases = true", "keep_releases: "),
        ("keep_monthly_releases = -1", "keep_monthly_releases: Input should be greater than or equal to 0"),
        ('max_release_age = "1y"', "max_release_age: invalid duration '1y': expected a number followed by s, m, h, d or w"),
        ('max_release_age = "99999999999w"', "max_release_age: "),
        ('max_release_age = "999999999w"', "max_release_age: invalid duration '999999999w'"),
        ('session_gap = "999999999d"', "session_gap: invalid duration"),
        (f'[[funnels]]\nname = "f"\nwindow = "999999999w"\n{STEPS}', "funnels.0.window: invalid duration"),
        ("keep_releases = 10000000000000000000000", "keep_releases: "),
        ("max_identity_links = 9223372036854775808", "max_identity_links: "),
        ('memory_limit = "99999999999TB"', "memory_limit: String should match pattern"),
        ('identity_deny_list = ["a\\u0000"]', "identity_deny_list: an id holds a NUL character"),
        (
            'event_names = { a = "product_veiwed" }',
            "no step of a funnel is called 'product_veiwed'; did you mean 'product_viewed'?",
        ),
        ('memory_limit = "8G"', "memory_limit: String should match pattern"),
        ('memory_limit = "0GB"', "memory_limit: String should match pattern"),
        ('channel_rules = [{ channel = "partnr", source = "x" }]', "channel_rules.0.channel: unknown channel 'partnr'"),
        ('channel_rules = [{ channel = "partner", source = "(" }]', "channel_rules.0.source: invalid pattern '('"),
        ('channel_rules = [{ channel = "partner", source = "a(?=b)" }]', "look-around and back-references"),
        ('channel_rules = [{ channel = "partner" }]', "a rule needs a pattern for source, medium, host or click"),
        (
            'channel_rules = [{ channel = "partner", sauce = "x", source = "x" }]',
            "unknown key 'channel_rules.0.sauce'; did you mean 'source'?",
        ),
        ('plans = { Basic = "profesional" }', "plans: Basic: unknown plan 'profesional', expected one of free, professional"),
        ("event_names = 3", "event_names: Input should be a valid dictionary"),
        ('event_names = { a = "Not A Name" }', "event_names.a: String should match pattern"),
        ("funnels = 3", "funnels: Input should be a valid"),
        (f'[[funnels]]\nname = "Two words"\n{STEPS}', "funnels.0.name: String should match pattern"),
        (
            f'[[funnels]]\nname = "f"\nwindow = "7x"\n{STEPS}',
            "funnels.0.window: invalid duration '7x': expected a number followed by s, m, h, d or w",
        ),
        (f'[[funnels]]\nname = "f"\nwindow = "0d"\n{STEPS}', "funnels.0.window: invalid duration '0d'"),
        (f'[[funnels]]\nname = "f"\nwindow = "999999999999d"\n{STEPS}', "funnels.0.window: "),
        (f'[[funnels]]\nname = "f"\nwindw = "7d"\n{STEPS}', "unknown key 'funnels.0.windw'; did you mean 'window'?"),
        ('[[funnels]]\nname = "f"\nsteps = [{ step = "a", event = "x" }]', "funnels.0.steps: Tuple should have at least 2 items"),
        (
            '[[funnels]]\nname = "f"\nsteps = [{ step = "a", event = "x" }, { step = "a", event = "y" }]',
            "funnels.0: the steps of funnel 'f' need different names",
        ),
        (f'[[funnels]]\nname = "f"\n{STEPS}\n[[funnels]]\nname = "f"\n{STEPS}', "two funnels have the same name"),
        ("pages = 3", "pages: Input should be a valid"),
        ('[pages]\nkeeps = ["a"]', "unknown key 'pages.keeps'; did you mean 'keep'?"),
        ('[pages]\nkeep = "new"', 'pages.keep: expected a list of segments of a path, such as ["users", "orders"]'),
        ("[pages]\nkeep = [1]", "pages.keep: expected a list of segments of a path"),
        ('[pages]\nkeep = [" "]', "pages.keep: ' ' is not one segment of a path"),
        (
            '[pages]\nkeep = ["/u/"]',
            "pages.keep: '/u/' is not one segment of a path, which is what stands between two slashes; did you mean 'u'?",
        ),
        ('[pages]\nid_segments_after = ["a%2Fb"]', "pages.id_segments_after: 'a%2Fb' is not one segment of a path"),
        ("[targets]\ncaac = 500", "targets: unknown metric with a target 'caac'; did you mean 'cac'?"),
        ("[targets]\nvisitors = 500", "targets: unknown metric with a target 'visitors'"),
        ('[targets]\ncac = "much"', "targets.cac: "),
        (
            '[owners]\ngrwth = "a@b.io"',
            "owners: unknown team 'grwth', expected one of growth, platform, science; did you mean 'growth'?",
        ),
        (
            '[owners]\ngrowth = "the team"',
            "owners: growth: invalid owner 'the team': expected an e-mail address or 'team:' and a name",
        ),
        ('[owners]\ngrowth = "team:a b"', "owners: growth: invalid owner 'team:a b'"),
        ('[owners]\ngrowth = "growth@localhost"', "owners: growth: invalid owner 'growth@localhost'"),
        ("churn_risk_levels = [0.1, 0.5]", "churn_risk_levels"),
        ("churn_risk_levels = [0.1, 0.5, 0.5]", "churn_risk_levels: each level must lie above the one before"),
        ("churn_risk_levels = [0, 0.5, 0.6]", "churn_risk_levels"),
        ("intervention_cost = -1", "intervention_cost: Input should be greater than or equal to 0"),
        ("intervention_success_rate = 1.1", "intervention_success_rate: Input should be less than or equal to 1"),
        ("[targets]\ncac = inf", "targets.cac: "),
    ],
)
def test_a_bad_value_is_told_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'northstar.toml'}: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ('{ step = "b", event = "y", where = "value >" }', "funnels.0.steps.1.where: filter 'value >' cannot be read"),
        (
            '{ step = "b", event = "y", where = "nope = 1" }',
            "funnels.0.steps.1.where: filter 'nope = 1': unknown event column 'nope'",
        ),
        ('{ step = "b", event = "y", wher = "value > 1" }', "unknown key 'funnels.0.steps.1.wher'; did you mean 'where'?"),
        ('{ step = "b", event = "" }', "funnels.0.steps.1.event: String should have at least 1 character"),
    ],
)
def test_a_bad_step_is_one_message(tmp_path: Path, step: str, said: str) -> None:
    """The other steps are as they should be; nothing is said of their number."""
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, f'[[funnels]]\nname = "f"\nsteps = [{{ step = "a", event = "x" }}, {step}]')
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1, str(refused.value)


def test_several_mistakes_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, "keep_releases = 0\ngross_margin = 2\nnope = 1")
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("content", [b"keep_releases = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "northstar.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"northstar.toml: not valid TOML: "):
        load({}, directory=tmp_path)


def test_where_the_file_is_found(tmp_path: Path) -> None:
    """The named one, else that of the working folder, else that of the home; none where the name is empty."""
    home, here, named = tmp_path / "home", tmp_path / "here", tmp_path / "named.toml"
    for folder in (home, here):
        folder.mkdir()
    environment = {"NORTHSTAR_HOME": "../home"}
    assert load(environment, directory=here).config_file is None
    (home / "northstar.toml").write_text("keep_releases = 2")
    assert load(environment, directory=here).config.keep_releases == 2
    (here / "northstar.toml").write_text("keep_releases = 3")
    assert load(environment, directory=here).config.keep_releases == 3
    named.write_text("keep_releases = 4")
    found = load({**environment, "NORTHSTAR_CONFIG": "../named.toml"}, directory=here)
    assert (found.config.keep_releases, found.config_file, found.home) == (4, named, home)
    assert load({**environment, "NORTHSTAR_CONFIG": ""}, directory=here).config_file is None


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"NORTHSTAR_CONFIG names .*gone.toml, which does not exist"):
        load({"NORTHSTAR_CONFIG": "gone.toml"}, directory=tmp_path)


@pytest.mark.parametrize("variable", ["NORTHSTAR_HOME", "NORTHSTAR_LANDING"])
def test_a_folder_must_not_be_a_file(tmp_path: Path, variable: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=rf"{variable} is .*file, which is not a folder"):
        load({variable: "file"}, directory=tmp_path)


def test_the_landing_zone_follows_the_home_unless_it_is_named(tmp_path: Path) -> None:
    assert load({"NORTHSTAR_HOME": "h"}, directory=tmp_path).landing == tmp_path / "h" / "landing"
    assert load({"NORTHSTAR_HOME": "h", "NORTHSTAR_LANDING": "l"}, directory=tmp_path).landing == tmp_path / "l"


def test_settings_are_frozen(tmp_path: Path) -> None:
    found = read(tmp_path, f'event_names = {{ a = "page_viewed" }}\n[[funnels]]\nname = "f"\n{STEPS}')
    for thing, key in ((found, "home"), (found.config, "keep_releases"), (found.config.funnels[0], "window")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, key, getattr(thing, key))


def test_windows_in_seconds() -> None:
    seconds = [Config(funnels=[{**FUNNEL, "window": text}]).funnels[0].window_seconds for text in ("1s", "2m", "3h", "4d", "5w")]
    assert seconds == [1, 120, 10_800, 345_600, 3_024_000]
    assert Config(funnels=[FUNNEL]).funnels[0].window_seconds is None


def test_export_turns_telemetry_off_and_names_the_home(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    found = Settings(home=tmp_path, landing=tmp_path / "l", config_file=file, config=Config(memory_limit="1GB"))
    found.export()
    expected = {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "NORTHSTAR_HOME": str(tmp_path),
        "NORTHSTAR_LANDING": str(tmp_path / "l"),
        "NORTHSTAR_CONFIG": str(file),
        "NORTHSTAR_WAREHOUSE": str(tmp_path / "warehouse.duckdb"),
        "NORTHSTAR_MEMORY_LIMIT": "1GB",
        "NORTHSTAR_TEMP": str(tmp_path / "tmp"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "DBT_TARGET_PATH": str(tmp_path / "dbt" / "target"),
        "DBT_PROFILES_DIR": str(PROJECT / "dbt_project"),
    }
    assert {key: os.environ.get(key) for key in expected} == expected


def test_what_was_exported_loads_the_same_settings_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "northstar.toml").write_text("keep_releases = 3")
    found = load({"NORTHSTAR_HOME": "home"}, directory=tmp_path)
    found.export()
    assert load(directory=Path("/")) == found


def test_settings_without_a_file_load_the_same_elsewhere(tmp_path: Path) -> None:
    """A service is started in another folder than the command that started it; a file that lies there must not count."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (elsewhere / "northstar.toml").write_text("keep_releases = 3")
    found = load({"NORTHSTAR_HOME": str(tmp_path / "home")}, directory=here)
    found.export()
    assert load(directory=elsewhere) == found


CHANGES: dict[str, Any] = {
    "reporting_timezone": "UTC",
    "reporting_currency": "EUR",
    "week_start": "sunday",
    "gross_margin": "0.5",
    "monthly_discount_rate": 0.02,
    "partition_start": "2011-01-01",
    "required_sources": ["events"],
    "max_quarantine_ratio": 0.5,
    "bot_events_per_day": 9,
    "identity_deny_list": ["0"],
    "ignored_referrers": ["pay.example"],
    "max_identity_links": 9,
    "session_gap": "10m",
    "sessions_end_at_midnight": True,
    "churn_risk_levels": [0.2, 0.4, 0.6],
    "intervention_cost": 10,
    "intervention_success_rate": 0.5,
    "keep_releases": 3,
    "keep_monthly_releases": 3,
    "max_release_age": "1h",
    "memory_limit": "1GB",
    "event_names": {"a": "page_viewed"},
    "pages": {"id_segments_after": ["users"], "keep": ["new"]},
    "plans": {"basic": "professional"},
    "channel_rules": [{"channel": "partner", "source": "^acme$"}],
    "funnels": [FUNNEL],
    "targets": {"cac": 500},
}


def test_every_key_is_covered_here() -> None:
    assert {*CHANGES, "publish", "owners"} == set(Config.model_fields)


@pytest.mark.parametrize("key", CHANGES)
def test_the_digest_follows_the_values(tmp_path: Path, key: str) -> None:
    default = settings(tmp_path)
    changed = settings(tmp_path, **{key: CHANGES[key]})
    spelled_out = settings(tmp_path / "elsewhere", **{key: Config().model_dump()[key]})
    folds = key in {"reporting_timezone", "bot_events_per_day", "session_gap", "event_names", "funnels"}
    assert changed.digest != default.digest == spelled_out.digest
    assert (changed.folding_digest != default.folding_digest) == folds
    assert spelled_out.folding_digest == default.folding_digest


URL = "postgresql://northstar:s%40cret-word@db.example:5432/bi"


@pytest.mark.parametrize("text", [f'[publish]\npostgres_url = "{URL}"', '[owners]\ngrowth = "a@example.com"'])
def test_where_releases_go_and_who_owns_assets_change_no_digest(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    default = load({}, directory=tmp_path / "elsewhere")
    assert (found.digest, found.folding_digest, found.dbt_vars()) == (default.digest, default.folding_digest, default.dbt_vars())


def test_the_postgres_url_of_the_environment_comes_first(tmp_path: Path) -> None:
    assert load({}, directory=tmp_path).postgres_url is None
    found = read(tmp_path, '[publish]\npostgres_url = "postgres:///bi"')
    assert found.postgres_url.get_secret_value() == "postgres:///bi"
    assert load({"NORTHSTAR_POSTGRES_URL": ""}, directory=tmp_path).postgres_url == found.postgres_url
    assert load({"NORTHSTAR_POSTGRES_URL": URL}, directory=tmp_path).postgres_url.get_secret_value() == URL


def test_the_postgres_url_is_exported_and_never_shown(tmp_path: Path) -> None:
    found = load({"NORTHSTAR_POSTGRES_URL": URL, "NORTHSTAR_HOME": "home"}, directory=tmp_path)
    in_file = read(tmp_path, f'[publish]\npostgres_url = "{URL}"')
    for shown in (repr(found), str(found), found.model_dump_json(), repr(in_file), in_file.model_dump_json()):
        assert "cret-word" not in shown
    found.export()
    assert os.environ["NORTHSTAR_POSTGRES_URL"] == URL
    load({"NORTHSTAR_HOME": "home"}, directory=tmp_path / "elsewhere").export()
    assert "NORTHSTAR_POSTGRES_URL" not in os.environ


@pytest.mark.parametrize(
    "url",
    [
        "mysql://northstar:cret-word@db.example/bi",
        "host=db.example password=cret-word",
        "postgresql://northstar:cret-word@db.example",
        "postgresql://northstar:cret-word@db.example:port/bi",
        "postgresql://northstar:cret-word/x@db.example/bi",
    ],
)
def test_a_postgres_url_that_is_none_is_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^NORTHSTAR_POSTGRES_URL: write postgresql://user:password@host") as in_environment:
        load({"NORTHSTAR_POSTGRES_URL": url}, directory=tmp_path)
    with pytest.raises(SettingsError, match=r"northstar.toml: publish.postgres_url: write postgresql://user:") as in_file:
        read(tmp_path, f'[publish]\npostgres_url = "{url}"')
    for refused in (in_environment, in_file):
        assert "cret-word" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(SettingsError, match=r"unknown key 'publish.postgres_uri'; did you mean 'postgres_url'"):
        read(tmp_path, '[publish]\npostgres_uri = "x"')


def test_an_equal_value_written_otherwise_is_no_change(tmp_path: Path) -> None:
    assert settings(tmp_path, gross_margin="0.80").digest == settings(tmp_path, gross_margin="0.8").digest
    ways = [{"a": "page_viewed", "b": "logged_in"}, {"b": "logged_in", "a": "page_viewed"}]
    assert len({settings(tmp_path, event_names=names).digest for names in ways}) == 1


def test_dbt_gets_texts(tmp_path: Path) -> None:
    assert settings(tmp_path, gross_margin="0.5").dbt_vars() == {
        "reporting_timezone": "Asia/Shanghai",
        "reporting_currency": "USD",
        "week_start": "monday",
        "gross_margin": "0.5",
        "partition_start": "2010-01-01",
        "bot_events_per_day": "3000",
        "max_identity_links": "20",
        "session_gap_seconds": "1800",
        "sessions_end_at_midnight": "false",
        "churn_risk_levels": "0.1 0.25 0.5",
    }


def test_segments_are_compared_lower_and_unescaped() -> None:
    pages = Config(pages={"id_segments_after": ["Users", "u", " users "], "keep": ["Caf%C3%A9"]}).pages
    assert (pages.id_segments_after, pages.keep) == (("u", "users"), ("café",))


# What an adapter suggests.


def test_differing_names_what_nobody_has_set(tmp_path: Path) -> None:
    found = read(tmp_path, 'reporting_currency = "EUR"\nweek_start = "monday"\n[event_names]\na = "page_viewed"')
    suggested = {
        "reporting_currency": "CNY",  # set otherwise
        "week_start": "sunday",  # set to the default: set all the same
        "keep_releases": 14,  # the default already
        "reporting_timezone": "UTC",
        "event_names": {"a": "theirs", "b": "new"},
    }
    assert differing(found, suggested) == {"reporting_timezone": "UTC", "event_names": {"b": "new"}}
    assert differing(found, {"event_names": {"a": "theirs"}}) == {}


def test_adopt_keeps_what_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "northstar.toml"
    path.write_text('# ours\nkeep_releases = 3  # few\n\n[event_names]\n# shop\na = "page_viewed"\n', encoding="utf-8")
    found = load({"NORTHSTAR_HOME": str(tmp_path)}, directory=tmp_path)
    assert adopt(found, "shop", {"reporting_currency": "CNY", "event_names": {"b": "logged_in"}}) == path
    text = path.read_text(encoding="utf-8")
    for kept in ("# ours", "keep_releases = 3  # few", '# shop\na = "page_viewed"', "suggested by `northstar import shop`"):
        assert kept in text
    again = load({"NORTHSTAR_HOME": str(tmp_path)}, directory=tmp_path)
    assert (again.config.keep_releases, again.config.reporting_currency) == (3, "CNY")
    assert again.config.event_names == {"a": "page_viewed", "b": "logged_in"}


@pytest.mark.parametrize(
    "before",
    [None, "", 'event_names = { a = "page_viewed" }\n', 'event_names.a = "page_viewed"\n', f'[[funnels]]\nname = "f"\n{STEPS}\n'],
)
def test_adopt_into_any_file_and_again(tmp_path: Path, before: str | None) -> None:
    home = tmp_path / "home"
    if before is not None:
        home.mkdir()
        (home / "northstar.toml").write_text(before)
    values = {"reporting_currency": "CNY", "required_sources": ["orders"], "event_names": {"b": "logged_in"}}
    environment = {"NORTHSTAR_HOME": str(home)}
    path = adopt(load(environment, directory=tmp_path), "shop", values)
    once = path.read_text()
    found = load(environment, directory=tmp_path)
    assert (found.config.reporting_currency, found.config.required_sources) == ("CNY", ("orders",))
    assert found.config.event_names["b"] == "logged_in"
    assert len(found.config.funnels) == (before or "").count("[[funnels]]")
    assert differing(found, values) == {}
    adopt(found, "shop", values)
    assert path.read_text() == once


@pytest.mark.parametrize("values", [{"nope": 1}, {"keep_releases": 0}, {"event_names": {"b": "Not A Name"}}])
def test_adopt_never_writes_a_file_that_cannot_be_read(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "northstar.toml"
    path.write_text("keep_releases = 3\n")
    with pytest.raises(ValueError, match="Config"):
        adopt(load({"NORTHSTAR_HOME": str(tmp_path)}, directory=tmp_path), "shop", values)
    assert path.read_text() == "keep_releases = 3\n"


WAIVER = 'mart = "mart_ltv__cohort"\ncheck = "margin.within_revenue"\nuntil = 2026-12-01\nreason = "known"\nby = "ops"\n'


def test_waivers_lie_beside_the_configuration(tmp_path: Path) -> None:
    home, chosen = tmp_path / "home", tmp_path / "chosen"
    for folder in (home, chosen):
        folder.mkdir()
        (folder / "waivers.toml").write_text(f"[[waivers]]\n{WAIVER}".replace("known", folder.name), encoding="utf-8")
    assert load({}, directory=chosen).waivers[0].reason == "chosen"
    assert load({"NORTHSTAR_HOME": str(home)}, directory=tmp_path).waivers[0].reason == "home"
    assert load({"NORTHSTAR_HOME": str(home), "NORTHSTAR_CONFIG": ""}, directory=chosen).waivers[0].reason == "home"
    (chosen / "other.toml").write_text("", encoding="utf-8")
    found = load({"NORTHSTAR_HOME": str(home), "NORTHSTAR_CONFIG": str(chosen / "other.toml")}, directory=tmp_path)
    [waiver] = found.waivers
    assert (waiver.mart, waiver.check, waiver.until) == ("mart_ltv__cohort", "margin.within_revenue", date(2026, 12, 1))
    assert (waiver.reason, waiver.by) == ("chosen", "ops")
    assert load({}, directory=tmp_path).waivers == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[[waivers]]\n{WAIVER}".replace("known", "  "), "waivers.0.reason: String should have at least 1 character"),
        (f"[[waivers]]\n{WAIVER}".replace('by = "ops"', ""), "waivers.0.by: Field required"),
        (f"[[waivers]]\n{WAIVER}".replace("until", "untill"), "unknown key 'waivers.0.untill'; did you mean 'until'?"),
        (f"[[waivers]]\n{WAIVER}".replace("2026-12-01", "12"), "waivers.0.until: write the last day on which it holds"),
        (f"[[waivers]]\n{WAIVER}" * 2, "waived twice: mart_ltv__cohort.margin.within_revenue"),
        ("[[waiver]]\n", "unknown key 'waiver'; did you mean 'waivers'?"),
        ("[[waivers", "not valid TOML"),
    ],
)
def test_a_waiver_that_says_too_little_is_an_error_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "waivers.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load({}, directory=tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'waivers.toml'}: ")
    assert said in str(error.value)
