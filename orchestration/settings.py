"""Configuration: the only reader of the environment and of northstar.toml.

Belongs here: every key with its default and its check, and the environment that dbt, Dagster and the libraries are started with.
Does not belong here: anything that acts on a setting. Settings are frozen; what is unknown or wrong is an error that names the
key, never a default.
"""

import csv
import difflib
import glob
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from orchestration.errors import UserError
from orchestration.filters import Condition, FilterError, parse_filter
from orchestration.landing.contract import CONTRACT, CORE_EVENTS, CURRENCIES, MISTAKEN_CURRENCIES, PLANS
from orchestration.pseudonyms import MINIMUM_LENGTH, VARIABLE

PROJECT = Path(__file__).resolve().parents[1]
DBT_PROJECT = PROJECT / "dbt_project"

# Telemetry of every library is off; set before any of them is imported.
_TELEMETRY_OFF = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_VERSION_CHECK": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_DISABLE_TELEMETRY": "1",
}

# The tracker that multiprocessing starts reports what an interrupted process left; the system frees that.
_QUIET = {"PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker"}

_POSTGRES_VARIABLE = "NORTHSTAR_POSTGRES_URL"

# What ends a segment of a path, and what no landed text holds.
_NOT_IN_SEGMENTS = "/?#;\0"

# What Python's patterns can and DuckDB's (RE2) cannot.
_NOT_IN_RE2 = re.compile(r"\(\?(?:<?[=!]|P=)|\\[1-9]")

_DURATION = re.compile(r"(?P<count>[1-9]\d{0,8})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST_DURATION = timedelta(days=36_525)  # a century: what is longer is a slip of the pen

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


# In the order of a configured list, so that one list has one digest.
_SHIPPED_DENY_LIST = tuple(
    sorted(
        (
            *("-", "-1", "0", "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"),
            *("#n/a", "(null)", "(none)", "<na>", "<null>", "[object object]", "\\n", "[]", "{}", '""', "''"),
            *("anonymous", "false", "guest", "infinity", "invalid", "n/a", "na", "nan", "nil", "none", "not_set", "(not set)"),
            *("null", "true", "undefined", "unknown", "anon", "not set"),
        )
    )
)


_SHIPPED_IGNORED_REFERRERS = tuple(
    sorted(
        (
            *("accounts.google.com", "appleid.apple.com", "login.microsoftonline.com", "login.live.com", "login.yahoo.com"),
            *("paypal.com", "checkout.stripe.com", "alipay.com", "tenpay.com", "adyen.com", "klarna.com", "localhost"),
        )
    )
)


Probability = Annotated[float, Field(gt=0, lt=1)]

# What DuckDB and the calendar can hold, and more than anybody means.
Count = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]


class SettingsError(UserError):
    """A setting that is unknown or has a value it cannot have."""


class _Frozen(BaseModel):
    # What was written may be a password: pydantic's own words about a fault must not repeat it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FunnelStep(_Frozen):
    """One step of a funnel: an event by its core name or as it landed, and a filter over its columns."""

    step: Name
    event: Annotated[str, Field(min_length=1, max_length=200)]
    where: str | None = None

    @field_validator("where")
    @classmethod
    def _parses(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_filter(value)
            except FilterError as error:
                raise ValueError(str(error)) from error
        return value

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The filter as comparisons that must all hold; none without a filter."""
        return parse_filter(self.where) if self.where else ()


class Funnel(_Frozen):
    """A funnel: ordered steps and the window that begins with the first (`7d`, `30m`, …; none means no limit)."""

    name: Name
    steps: Annotated[tuple[FunnelStep, ...], Field(min_length=2, max_length=12)]
    window: str | None = None

    @field_validator("window")
    @classmethod
    def _is_window(cls, value: str | None) -> str | None:
        if value is not None:
            _duration(value)
        return value

    @model_validator(mode="after")
    def _distinct_steps(self) -> "Funnel":
        names = [step.step for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError(f"the steps of funnel {self.name!r} need different names")
        return self

    @property
    def window_seconds(self) -> int | None:
        """Length of the window in seconds; None means no limit."""
        return None if self.window is None else int(_duration(self.window).total_seconds())


class ChannelRule(_Frozen):
    """A channel by patterns (RE2) of a touch, all of which must match: one `[[channel_rules]]`, asked before the shipped rules.

    source: utm_source, else the referring host. medium: utm_medium. Both in lower case with hyphens for blanks and underscores.
    host: the referring host where no source is named. click: the name of the click id in the page's address.
    """

    channel: str
    source: str | None = None
    medium: str | None = None
    host: str | None = None
    click: str | None = None

    @field_validator("channel")
    @classmethod
    def _is_channel(cls, value: str) -> str:
        known = _channels()
        if value not in known:
            raise ValueError(f"unknown channel {value!r}, expected one of {', '.join(known)}{_nearest(value, known)}")
        return value

    @field_validator("source", "medium", "host", "click")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"invalid pattern {value!r}: {error}") from None
            if unknown := _NOT_IN_RE2.search(value):
                raise ValueError(f"invalid pattern {value!r}: {unknown[0]} (look-around and back-references) is not supported")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> "ChannelRule":
        if self.source is self.medium is self.host is self.click is None:
            raise ValueError("a rule needs a pattern for source, medium, host or click")
        return self


class Pages(_Frozen):
    """Which segments of a page's path are published: `[pages]`, beside what is known to be an id.

    id_segments_after: segments behind which an id stands, whatever its form. keep: segments that are no ids, whatever they look
    like. Both are compared in lower case, with percent-escapes resolved.
    """

    id_segments_after: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @field_validator("id_segments_after", "keep", mode="before")
    @classmethod
    def _are_segments(cls, value: object) -> object:
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
            raise ValueError('expected a list of segments of a path, such as ["users", "orders"]')
        segments = [unquote(text).strip().lower() for text in value]
        for text, segment in zip(value, segments, strict=True):
            if not segment or any(mark in segment for mark in _NOT_IN_SEGMENTS):
                meant = next((part for part in re.split(r"[/?#;]", segment) if part.strip()), "")
                hint = f"; did you mean {meant.strip()!r}?" if meant else ""
                raise ValueError(f"{text!r} is not one segment of a path, which is what stands between two slashes{hint}")
        return sorted(set(segments))


class Publish(_Frozen):
    """Where releases go besides the files of the home."""

    postgres_url: SecretStr | None = None

    @field_validator("postgres_url")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_postgres_url(value.get_secret_value())
        return value


class Waiver(_Frozen):
    """Leave to publish though one named critical check fails: one `[[waivers]]` of waivers.toml."""

    mart: Annotated[str, Field(min_length=1)]
    check: Annotated[str, Field(min_length=1)]
    until: date
    reason: Annotated[str, Field(min_length=1)]
    by: Annotated[str, Field(min_length=1)]

    @field_validator("until", mode="before")
    @classmethod
    def _is_day(cls, value: object) -> object:
        if isinstance(value, datetime) or not isinstance(value, date | str):
            raise ValueError("write the last day on which it holds, such as 2026-12-01")
        return value

    @field_validator("reason", "by", mode="before")
    @classmethod
    def _says_something(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value


class _Waivers(_Frozen):
    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> "_Waivers":
        names = [f"{waiver.mart}.{waiver.check}" for waiver in self.waivers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"waived twice: {', '.join(sorted(twice))}")
        return self


_File = TypeVar("_File", bound=_Frozen)


class Config(_Frozen):
    """The keys of northstar.toml, each with its default."""

    reporting_timezone: str = Field("Asia/Shanghai", description="time zone of calendar days, arrival days and the schedule")
    reporting_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(
        "USD", description="currency of every published amount"
    )
    week_start: Literal["monday", "sunday"] = Field("monday", description="first day of a week")
    gross_margin: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        Decimal("0.8"), description="margin on revenue where a row has no cost of its own"
    )
    monthly_discount_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="what money loses in a month until it comes in, in predicted lifetime values"
    )
    partition_start: date = Field(
        date(2010, 1, 1), description="first day on which a fact may have happened; earlier ones go to quarantine"
    )
    required_sources: tuple[str, ...] = Field((), description="sources without which an arrival day is not complete")
    max_quarantine_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of bad rows above which a file fails its arrival day"
    )
    bot_events_per_day: Count = Field(
        3_000, description="events of one visitor on one day above which that day counts as a bot's"
    )
    identity_deny_list: tuple[str, ...] = Field(
        _SHIPPED_DENY_LIST,
        description="ids, whatever their case, that stand for nobody and never join persons",
    )
    ignored_referrers: tuple[str, ...] = Field(
        _SHIPPED_IGNORED_REFERRERS,
        description="hosts (and subdomains) that are no source of visits: sign-in and payment pages; add your own domains",
    )
    max_identity_links: Count = Field(
        20, description="ids that one id may be linked to; with more it is a shared device or a test user and joins nobody"
    )
    session_gap: str = Field("30m", description="silence after which a person's next event begins another session")
    sessions_end_at_midnight: bool = Field(
        default=False, description="whether midnight of the reporting time zone ends every session"
    )
    churn_risk_levels: tuple[Probability, Probability, Probability] = Field(
        (0.1, 0.25, 0.5), description="probabilities to stop paying from which the risk is medium, high and critical"
    )
    intervention_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        50.0, description="US dollars that it costs to win one account back; prices the churn model's figures"
    )
    intervention_success_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="share of the accounts about to leave that stay when somebody takes care of them"
    )
    keep_releases: Count = Field(14, description="newest releases kept")
    keep_monthly_releases: Annotated[int, Field(ge=0, le=1_200, strict=True)] = Field(
        12, description="months, back from the newest release's own, of which the first release is kept as well"
    )
    max_release_age: str = Field("36h", description="age above which `northstar status` complains")
    memory_limit: Annotated[str, Field(pattern=r"^[1-9]\d{0,5}(MB|GB|TB)$")] = Field(
        "8GB", description="memory of DuckDB; beyond it spills"
    )
    event_names: Mapping[Annotated[str, Field(min_length=1, max_length=200)], Name] = Field(
        {}, description="a customer's own event names → the core's"
    )
    channel_rules: tuple[ChannelRule, ...] = Field(
        (), description="rules that name a visit's channel before the shipped ones (GA4's default grouping) do, in this order"
    )
    pages: Pages = Field(
        Pages(),
        description=(
            "what of a page's path is published: the segment after one of `id_segments_after` is an id and becomes `:id`, one of"
            " `keep` never does"
        ),
    )
    plans: Mapping[Annotated[str, Field(min_length=1, max_length=200)], str] = Field(
        {}, description="a customer's own plans, whatever their case → free, professional, enterprise or custom"
    )
    funnels: tuple[Funnel, ...] = Field((), description="added to the shipped funnels, or replacing one by name")

    targets: Mapping[str, Annotated[Decimal, Field(allow_inf_nan=False, max_digits=18, decimal_places=6)]] = Field(
        {}, description="metric → its target, instead of the shipped one and in the same unit"
    )
    publish: Publish = Field(
        Publish(),
        description="`postgres_url`: a PostgreSQL database (`postgresql://user@host:5432/name`) that releases are loaded into",
    )

    @field_validator("reporting_timezone")
    @classmethod
    def _is_timezone(cls, value: str) -> str:
        # The machine's own zone is none that DuckDB knows, and would differ from machine to machine.
        if value not in available_timezones() - {"localtime"}:
            raise ValueError(f"{value!r} is no time zone{_nearest(value, available_timezones())}")
        return value

    @field_validator("reporting_currency")
    @classmethod
    def _is_currency(cls, value: str) -> str:
        if value not in CURRENCIES:
            meant = MISTAKEN_CURRENCIES.get(value)
            raise ValueError(f"{value!r} is not in ISO 4217{f'; did you mean {meant!r}?' if meant else ''}")
        return value

    @field_validator("gross_margin")
    @classmethod
    def _is_plain(cls, value: Decimal) -> Decimal:
        return value.normalize()  # 0.8 and 0.80 are one margin, and one digest

    @field_validator("partition_start", mode="before")
    @classmethod
    def _is_day(cls, value: object) -> object:
        if not isinstance(value, date | str):
            raise ValueError("write a day, such as '2010-01-01'")
        return value

    @field_validator("churn_risk_levels")
    @classmethod
    def _rise(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not value[0] < value[1] < value[2]:
            raise ValueError("each level must lie above the one before")
        return value

    @field_validator("targets")
    @classmethod
    def _are_metrics(cls, value: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        known = _metrics_with_targets() if value else ()
        for name in value:
            if name not in known:
                raise ValueError(f"{name!r} is no metric with a target{_nearest(name, known)}")
        return {name: target.normalize() for name, target in value.items()}

    @field_validator("plans")
    @classmethod
    def _are_plans(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for landed, name in value.items():
            if name not in PLANS:
                raise ValueError(f"{landed}: unknown plan {name!r}, expected one of {', '.join(PLANS)}{_nearest(name, PLANS)}")
        return {landed.strip().lower(): name for landed, name in value.items()}

    @field_validator("required_sources")
    @classmethod
    def _are_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in CONTRACT:
                raise ValueError(f"{name!r} is no source{_nearest(name, CONTRACT)}")
        return value

    @field_validator("identity_deny_list")
    @classmethod
    def _are_compared_lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("\0" in text for text in value):
            raise ValueError("an id holds a NUL character, which no landed id does")
        return tuple(sorted({text.strip().lower() for text in value}))

    @field_validator("ignored_referrers")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({text.strip().lower().removeprefix("www.") for text in value} - {""}))

    @field_validator("session_gap")
    @classmethod
    def _is_gap(cls, value: str) -> str:
        if _duration(value) > timedelta(days=1):
            raise ValueError("a session's gap is at most a day")
        return value

    @field_validator("max_release_age")
    @classmethod
    def _is_age(cls, value: str) -> str:
        _duration(value)
        return value

    @model_validator(mode="after")
    def _core_names(self) -> "Config":
        # A slip would leave every funnel on that event empty for ever. A site's own funnels may name events of their own.
        known = {*CORE_EVENTS, *(step.event for funnel in self.funnels for step in funnel.steps)}
        for landed, name in self.event_names.items():
            if name not in known:
                raise ValueError(
                    f"event_names.{landed}: no core event and no step of a funnel is called {name!r}{_nearest(name, known)}"
                )
        return self

    @model_validator(mode="after")
    def _distinct_funnels(self) -> "Config":
        names = [funnel.name for funnel in self.funnels]
        if len(set(names)) < len(names):
            raise ValueError("two funnels have the same name")
        return self


class Settings(_Frozen):
    """What one process of Northstar was started with: where its state lives, what it reads, and the configuration."""

    home: Path
    landing: Path
    config_file: Path | None
    config: Config
    waivers: tuple[Waiver, ...] = ()
    # None: the home's own, which is made when it is first needed. No part of any digest.
    pseudonym_key: SecretStr | None = None
    # That of the environment, else that of the file. No part of any digest either: where a release goes does not change it.
    postgres_url: SecretStr | None = None

    @property
    def warehouse(self) -> Path:
        """The build file."""
        return self.home / "warehouse.duckdb"

    @property
    def dbt_target(self) -> Path:
        """Where dbt keeps its manifest and what it compiled."""
        return self.home / "dbt" / "target"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME: runs, events and schedules."""
        return self.home / "dagster"

    @property
    def timezone(self) -> ZoneInfo:
        """The reporting time zone."""
        return ZoneInfo(self.config.reporting_timezone)

    @property
    def max_release_age(self) -> timedelta:
        """Age above which a release counts as stale."""
        return _duration(self.config.max_release_age)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the effective configuration, as far as releases depend on it."""
        values = self.config.model_dump(mode="json", exclude={"publish"})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @cached_property
    def folding_digest(self) -> str:
        """SHA-256 of what the incremental models depend on: when it changes, every day is folded again."""
        keys = {"reporting_timezone", "bot_events_per_day", "session_gap", "event_names", "funnels"}
        return hashlib.sha256(json.dumps(self.config.model_dump(mode="json", include=keys), sort_keys=True).encode()).hexdigest()

    def dbt_vars(self) -> dict[str, str]:
        """The variables that dbt is called with; the same on every call, since a change makes dbt parse everything again."""
        keys = (
            "reporting_timezone",
            "reporting_currency",
            "week_start",
            "gross_margin",
            "partition_start",
            "bot_events_per_day",
            "max_identity_links",
            "sessions_end_at_midnight",
        )
        values = self.config.model_dump(mode="json", include=set(keys))
        gap = int(_duration(self.config.session_gap).total_seconds())
        return {key: str(values[key]).lower() if isinstance(values[key], bool) else str(values[key]) for key in keys} | {
            "session_gap_seconds": str(gap),
            "churn_risk_levels": " ".join(str(level) for level in self.config.churn_risk_levels),
        }

    def export(self) -> None:
        """Set the environment that dbt, Dagster and the libraries of this process read."""
        temporary = self.home / "tmp"
        os.environ.update(
            _TELEMETRY_OFF | _QUIET,
            NORTHSTAR_HOME=str(self.home),
            NORTHSTAR_LANDING=str(self.landing),
            NORTHSTAR_WAREHOUSE=str(self.warehouse),
            NORTHSTAR_MEMORY_LIMIT=self.config.memory_limit,
            NORTHSTAR_TEMP=str(temporary),
            DAGSTER_HOME=str(without_wildcards(self.dagster_home)),
            DBT_PROFILES_DIR=str(DBT_PROJECT),
            DBT_PROJECT_DIR=str(DBT_PROJECT),
            DBT_TARGET_PATH=str(self.dbt_target),
            DBT_LOG_PATH=str(self.home / "dbt" / "logs"),
        )
        # Empty means no file: a process that is started elsewhere must not find another one there.
        os.environ["NORTHSTAR_CONFIG"] = "" if self.config_file is None else str(self.config_file)
        for variable, secret in ((VARIABLE, self.pseudonym_key), (_POSTGRES_VARIABLE, self.postgres_url)):
            if secret is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = secret.get_secret_value()


def without_wildcards(folder: Path) -> Path:
    """Return a path of a folder that is no pattern: itself, or a link to it among the user's temporary files.

    Dagster looks for its `dagster.yaml` by a pattern; in a folder such as `ns[1]` it finds none and runs with its defaults,
    telemetry included. Raises SettingsError where there is no such path.
    """
    if not glob.has_magic(str(folder)):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    link = Path(tempfile.gettempdir(), f"northstar-{os.getuid()}-{digest}")
    if glob.has_magic(str(link)):
        raise SettingsError(
            f"{folder} and {link} both hold one of [ ] * ?, by which Dagster does not find its files; move the home"
        )
    with suppress(FileExistsError):
        link.symlink_to(folder, target_is_directory=True)
    if link.lstat().st_uid != os.getuid() or not link.is_symlink() or link.readlink() != folder:
        raise SettingsError(f"{link} is not the link to {folder} that Northstar makes there; remove it")
    return link


def load(environment: Mapping[str, str] | None = None, *, directory: Path | None = None) -> Settings:
    """Settings from the environment and the configuration file it names.

    NORTHSTAR_HOME (default `.northstar` beside the project), NORTHSTAR_LANDING (default `<home>/landing`), NORTHSTAR_CONFIG
    (default `northstar.toml` in the directory, else in the home; empty: none), NORTHSTAR_PSEUDONYM_KEY (at least 16 characters;
    default: one that the home keeps), NORTHSTAR_POSTGRES_URL (default: publish.postgres_url of the file). Waivers of the gate
    stand in `waivers.toml` beside the configuration file.
    Raises SettingsError for a file, key or value that it does not understand.
    """
    environment = os.environ if environment is None else environment
    directory = Path.cwd() if directory is None else directory
    home = _folder(environment, "NORTHSTAR_HOME", PROJECT / ".northstar", directory)
    landing = _folder(environment, "NORTHSTAR_LANDING", home / "landing", directory)
    config_file = _config_file(environment, home, directory)
    config = _read(config_file, Config)
    return Settings(
        home=home,
        landing=landing,
        config_file=config_file,
        config=config,
        waivers=_read(_waivers_file(environment, config_file, home, directory), _Waivers).waivers,
        pseudonym_key=_key(environment),
        postgres_url=_postgres_url(environment) or config.publish.postgres_url,
    )


def differing(settings: Settings, suggested: Mapping[str, Any]) -> dict[str, Any]:
    """The suggested keys, and members of tables, that are neither set so nor set otherwise in the configuration file."""
    current = settings.config.model_dump(mode="json")
    set_already = settings.config.model_fields_set
    missing: dict[str, Any] = {}
    for key, value in suggested.items():
        if isinstance(value, Mapping):
            if members := {name: member for name, member in value.items() if name not in current[key]}:
                missing[key] = members
        elif key not in set_already and current[key] != value:
            missing[key] = value
    return missing


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings as they are once `adopt` has written these values; nothing is written."""
    current = settings.config.model_dump(mode="python", exclude_unset=True)
    merged = {
        key: {**settings.config.model_dump(mode="python")[key], **value} if isinstance(value, Mapping) else value
        for key, value in values.items()
    }
    return settings.model_copy(update={"config": Config.model_validate({**current, **merged})})


def adopt(settings: Settings, origin: str, values: Mapping[str, Any]) -> Path:
    """Add keys to `<home>/northstar.toml`, saying where they came from; what stands there, comments included, stays as it is."""
    import tomlkit

    path = settings.home / "northstar.toml"
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    for key, value in values.items():
        added = tomlkit.item(dict(value)) if isinstance(value, Mapping) else tomlkit.item(value)
        if key in document and isinstance(value, Mapping):
            cast("dict[str, Any]", document[key]).update(value)
        else:
            added.comment(f"suggested by `northstar import {origin}`")
            document[key] = added
    text = tomlkit.dumps(document)
    Config.model_validate(tomllib.loads(text))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _folder(environment: Mapping[str, str], variable: str, default: Path, directory: Path) -> Path:
    path = (directory / environment[variable]).resolve() if environment.get(variable) else default
    if path.exists() and not path.is_dir():
        raise SettingsError(f"{variable} is {path}, which is not a folder")
    return path


def _key(environment: Mapping[str, str]) -> SecretStr | None:
    configured = environment.get(VARIABLE)
    if configured is None:
        return None
    key = configured.strip()
    if len(key) < MINIMUM_LENGTH:
        raise SettingsError(f"{VARIABLE} has fewer than {MINIMUM_LENGTH} characters; unset it to use the key that the home keeps")
    return SecretStr(key)


def _postgres_url(environment: Mapping[str, str]) -> SecretStr | None:
    url = environment.get(_POSTGRES_VARIABLE)
    if not url:
        return None
    try:
        _check_postgres_url(url)
    except ValueError as error:
        raise SettingsError(f"{_POSTGRES_VARIABLE}: {error}") from None
    return SecretStr(url)


def _check_postgres_url(url: str) -> None:
    """Raise ValueError, without the URL, when it is none of a PostgreSQL database."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"postgresql", "postgres"} and len(parts.path) > 1 and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError(
            "write postgresql://user:password@host:5432/database, and special characters of the password as %40 (@), %2F (/), …"
        )


def _config_file(environment: Mapping[str, str], home: Path, directory: Path) -> Path | None:
    if environment.get("NORTHSTAR_CONFIG") == "":
        return None
    if "NORTHSTAR_CONFIG" in environment:
        named = (directory / environment["NORTHSTAR_CONFIG"]).resolve()
        if not named.is_file():
            raise SettingsError(f"NORTHSTAR_CONFIG names {named}, which does not exist")
        return named
    return next((path for path in (directory / "northstar.toml", home / "northstar.toml") if path.is_file()), None)


def _waivers_file(environment: Mapping[str, str], config_file: Path | None, home: Path, directory: Path) -> Path | None:
    """`waivers.toml` beside the configuration file; without one, where that would be looked for."""
    places = [config_file.parent] if config_file else [home] if environment.get("NORTHSTAR_CONFIG") == "" else [directory, home]
    return next((path for place in places if (path := place / "waivers.toml").is_file()), None)


def _read(path: Path | None, model: type[_File]) -> _File:
    if path is None:
        return model()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        deepest = [
            item
            for item in found
            # A list whose member is wrong counts as too short as well: the member's own fault says it all.
            if item["type"] != "too_short"
            or not any(other["loc"][: len(item["loc"])] == item["loc"] for other in found if other is not item)
        ]
        raise SettingsError("\n".join(f"{path}: {_explain(item, model)}" for item in deepest)) from error


def _duration(text: str) -> timedelta:
    """A duration such as `7d`; ValueError when it is none or longer than a century."""
    match = _DURATION.fullmatch(text)
    unit = timedelta(**{_UNITS[match["unit"]]: 1}) if match else None
    # Compared before it is multiplied: a timedelta overflows from 999,999,999 days on.
    if match is None or unit is None or int(match["count"]) > _LONGEST_DURATION / unit:
        raise ValueError(
            f"invalid duration {text!r}: expected a number followed by s, m, h, d or w, such as '7d', up to a century"
        )
    return int(match["count"]) * unit


def _explain(error: Any, model: type[BaseModel]) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = _known_keys(parents, model)
        return f"unknown key {location!r}{_nearest(str(key), known)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{location}: {message}" if location else message


def _known_keys(parents: list[Any], model: type[BaseModel]) -> list[str]:
    names = [part for part in parents if isinstance(part, str)]
    models: dict[tuple[str, ...], type[BaseModel]] = {
        (): model,
        ("funnels",): Funnel,
        ("funnels", "steps"): FunnelStep,
        ("publish",): Publish,
        ("pages",): Pages,
        ("channel_rules",): ChannelRule,
        ("waivers",): Waiver,
    }
    return list(models[tuple(names)].model_fields)


def _channels() -> list[str]:
    with (DBT_PROJECT / "seeds" / "channel_rules.csv").open(encoding="utf-8", newline="") as file:
        return sorted({row["channel"] for row in csv.DictReader(file)})


def _metrics_with_targets() -> list[str]:
    with (DBT_PROJECT / "seeds" / "targets.csv").open(encoding="utf-8", newline="") as file:
        return [row["metric"] for row in csv.DictReader(file)]


def _nearest(name: str, known: Any) -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
