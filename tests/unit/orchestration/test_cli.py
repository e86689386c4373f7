"""The command line: exit codes and one clear line, never a stack trace, for what a user gets wrong."""

import errno
import glob
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import cli
from orchestration.base.errors import NorthstarError
from orchestration.cli import nights
from orchestration.cli import releases as releases_commands
from orchestration.config.settings import without_wildcards
from orchestration.config.values import SettingsError
from orchestration.marts import MartSpec, Periods
from orchestration.ml_steps.churn import CHURN
from orchestration.ml_steps.model_store import ModelStore, StoredModel
from orchestration.publishing.facts import NightRecord
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import GateRecord
from orchestration.publishing.promotion import Verdict
from orchestration.publishing.store import ReleaseStore
from tests.specs import run_facts


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORTHSTAR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NORTHSTAR_LANDING", raising=False)
    monkeypatch.delenv("NORTHSTAR_CONFIG", raising=False)
    return tmp_path / "home"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run `northstar` in this process; returns exit code, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["northstar", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code, out, err

    return call


def publish(home: Path, sql: str, *, published_at: datetime) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute(f"create schema if not exists marts; create or replace table marts.mart_x as {sql}")
    store = ReleaseStore(home)
    candidate = store.build(home / "warehouse.duckdb", [MartSpec("mart_x", ())], run_facts())
    candidate = replace(candidate, published_at=published_at)
    current = store.current()
    manifest = candidate.manifest(
        NightRecord(
            previous_release_id=current and current.release_id,
            config_digest="c" * 64,
            dbt_manifest_digest="d" * 64,
            sources={},
            left_out={},
            gate=GateRecord(passed=True, declared=1, evaluated=1, failed=0, warnings=0),
            timings={},
        )
    )
    with WriterLock(home) as lock:
        store.promote(candidate, Verdict(passed=True, marts_sha256=candidate.marts_sha256, reason="passed"), manifest, lock)


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    heavy = ("dagster", "dbt", "duckdb", "pandas", "numpy", "sklearn", "great_expectations", "sqlglot", "pyarrow")
    script = (
        "import sys; sys.argv = ['northstar', '--help']\nfrom orchestration.cli import main\ntry: main()\n"
        f"except SystemExit as ended: print(ended.code, [name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    taken = []
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        taken.append(time.monotonic() - started)
    assert done.stderr.strip() == "0 []"
    for command in (
        "nightly",
        "backfill",
        "rebuild",
        "simulate",
        "import",
        "releases",
        "rollback",
        "publish",
        "models",
        "diff",
        "status",
        "query",
        "ui",
    ):
        assert f"  {command} " in done.stdout
    assert min(taken) < 2


@pytest.mark.parametrize("command", sorted(cli.cli.commands))
def test_every_command_explains_itself(run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"northstar {command}" in out or f"cli {command}" in out or command in out.splitlines()[0]
    assert cli.cli.commands[command].help.split("\n")[0][:30] in out


def test_version(run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.split()[-1][0].isdigit()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nihgtly"], "nihgtly"),
        (["nightly", "--as-of", "yesterday"], "invalid day 'yesterday': expected a date such as 2026-11-21"),
        (["nightly", "--as-of", "2026-02-30"], "invalid day '2026-02-30'"),
        (["backfill", "--from", "2026-02-03"], "--to"),
        (["backfill", "--from", "2026-02-03", "--to", "2026-13-01"], "invalid day '2026-13-01'"),
        (["simulate", "--days", "0"], "--days"),
        (["simulate", "--end", "soon"], "invalid day 'soon'"),
        (["import", "shopify"], "FILES"),
        (["ui", "--port", "99999"], "--port"),
        (["rollback"], "RELEASE_ID"),
        (["diff", "a"], "AFTER"),
        *(
            (["diff", "a", "b", "--fail-over", share], f"invalid share '{share}': expected a value such as 5% or 0.05")
            for share in ("5", "-1%", "a lot", "nan", "inf", "%")
        ),
        (["diff", "a", "b", "--limit", "-1"], "--limit"),
    ],
)
def test_a_wrong_argument_is_the_user_s_mistake(run, arguments: list[str], said: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_days_in_the_wrong_order(run, home: Path) -> None:
    code, out, err = run("backfill", "--from", "2026-02-03", "--to", "2026-02-01")
    assert (code, out) == (2, "")
    assert one_line(err) == "--from 2026-02-03 lies after --to 2026-02-01"
    assert not home.exists()


def test_unknown_adapter_names_the_known_ones(run, home: Path) -> None:
    code, out, err = run("import", "shopify", "orders.csv")
    assert (code, out) == (2, "")
    assert one_line(err).startswith("unknown adapter 'shopify'; available: ")
    assert not home.exists()


@pytest.mark.parametrize("arguments", [["status"], ["query", "select 1"]])
def test_no_release_yet(run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert one_line(err) == "there is no release yet; run `northstar nightly`"


def test_releases_before_the_first_is_an_empty_list(run) -> None:
    code, out, err = run("releases")
    assert (code, err) == (0, "")
    assert "data through" in out


@pytest.fixture
def two_champions(home: Path) -> ModelStore:
    """m1 was champion, then m2; m3 was refused. None of them is a model that can be loaded."""
    store = ModelStore(home, CHURN)
    for number, model_id in enumerate(("m1", "m2")):
        card = {"sha256": "ab", "trained_through": f"2026-1{number}-20", "metrics": {"log_loss": 0.25, "auc": None}}
        store.keep(StoredModel(model_id, b"damaged", card, []))
        store.promote(model_id, decided_through="2026-11-20", reason="better")
    store.refuse({"model_id": "m3", "decision": {"reason": "worse than m2"}, "metrics": {}})
    return store


def test_models_lists_champions_and_refusals(run, two_champions: ModelStore) -> None:
    code, out, err = run("models")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[0] == "model"
    assert lines[1].split()[:3] == ["m2", "(champion)", "2026-11-20"]
    assert lines[2].split()[:2] == ["m1", "2026-10-20"]
    assert "0.2500" in lines[1]
    assert lines[3] == "refused m3: worse than m2"
    assert two_champions.champion().model_id == "m2"


def test_models_of_a_new_home_are_none(run) -> None:
    code, out, err = run("models")
    assert (code, err, len(out.splitlines())) == (0, "", 1)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["m2"], 2, "m2 is the champion already"),
        (["m3"], 2, "'m3' never was the champion; former ones are m1"),
        ([], 1, "churn model: the artefact's SHA-256 is"),
    ],
)
def test_a_model_that_cannot_come_back(run, two_champions: ModelStore, arguments: list[str], exit_code: int, said: str) -> None:
    code, out, err = run("models", "rollback", *arguments)
    assert (code, out) == (exit_code, "")
    assert said in one_line(err)
    assert two_champions.champion().model_id == "m2"


def test_a_rollback_says_who_scores_next(run, two_champions: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.ml_steps.churn.load_model", lambda stored: stored)
    code, out, err = run("models", "rollback")
    assert (code, out, err) == (0, "champion is m1; the next night scores with it\n", "")
    assert two_champions.champion().model_id == "m1"


@pytest.mark.parametrize("arguments", [["rollback", "nothing"], ["diff", "a", "b"]])
def test_a_release_that_is_not_there(run, home: Path, arguments: list[str]) -> None:
    publish(home, "select 1 as one", published_at=datetime.now(UTC))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert arguments[1] in one_line(err)


MOVED = MartSpec(
    "mart_x", ("day",), periods=Periods("day", "day", None, None, "true", (), ("visits",), ("events",), onward=False)
)


@pytest.fixture
def two_releases(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of two releases, of whose closed days one moved by a tenth and one from nothing, and one that is open by half."""
    for visits in ("[0, 100, 100, 1]", "[2, 110, 100, 2]"):
        days = f"select unnest({visits})::bigint as visits, unnest(range(17, 21)) as day"
        publish(home, f"select date '2026-11-01' + day::integer as day, visits from ({days})", published_at=datetime.now(UTC))
    monkeypatch.setattr(releases_commands, "specs_of", lambda _: {"mart_x": MOVED})
    return [release.release_id for release in reversed(ReleaseStore(home).releases())]


@pytest.mark.parametrize(
    ("share", "exit_code", "said"),
    [
        ("5%", 1, "2 figures of closed periods moved by more than 5 % of what they were"),
        ("0.05", 1, "2 figures of closed periods moved by more than 5 % of what they were"),
        ("10%", 1, "1 figure of closed periods moved by more than 10 % of what they were"),
    ],
)
def test_a_past_that_moved_too_far_fails_the_diff(run, two_releases, share, exit_code, said) -> None:
    code, out, err = run("diff", *two_releases, "--fail-over", share)
    assert (code, one_line(err)) == (exit_code, said)
    assert "2 figures of closed periods moved" in out


def test_a_diff_lists_the_largest_moves(run, two_releases) -> None:
    code, out, err = run("diff", *two_releases)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert lines == [
        "mart added removed changed unchanged columns",
        "mart_x 0 0 3 1 same",
        "mart period series measure before after moved",
        "mart_x day 2026-11-18 all visits 0 2 from nothing",
        "mart_x day 2026-11-19 all visits 100 110 +10.0%",
        "2 figures of closed periods moved",
    ]
    assert "2026-11-19" not in run("diff", *two_releases, "--limit", "1")[1]
    assert "2 figures of closed periods moved, the 1 largest are shown" in run("diff", *two_releases, "--limit", "1")[1]
    code, out, err = run("diff", two_releases[0], two_releases[0])
    assert (code, out) == (2, "")
    assert "twice" in one_line(err)


@pytest.mark.usefixtures("two_releases")
def test_a_past_that_stayed_fails_no_diff(run, home: Path) -> None:
    same = "select date '2026-11-01' as day, 1::bigint as visits"
    for _ in range(2):
        publish(home, same, published_at=datetime.now(UTC))
    newest, before = [release.release_id for release in ReleaseStore(home).releases()][:2]
    code, out, err = run("diff", before, newest, "--fail-over", "0%")
    assert (code, err) == (0, "")
    assert "\n0 figures of closed periods moved" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('report_currency = "USD"', "unknown key 'report_currency'; did you mean 'reporting_currency'?"),
        ('reporting_timezone = "Asia/Shanghay"', "unknown time zone 'Asia/Shanghay'; did you mean 'Asia/Shanghai'?"),
        ("keep_releases = ", "not valid TOML"),
    ],
)
@pytest.mark.parametrize("command", ["status", "releases", "nightly"])
def test_a_wrong_configuration(run, tmp_path: Path, command: str, text: str, said: str) -> None:
    (tmp_path / "northstar.toml").write_text(text)
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{tmp_path / 'northstar.toml'}: ")
    assert said in err


def test_a_configuration_file_that_is_not_there(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NORTHSTAR_CONFIG", "missing.toml")
    code, _, err = run("status")
    assert code == 2
    assert one_line(err) == f"NORTHSTAR_CONFIG names {tmp_path / 'missing.toml'}, which does not exist"


def test_status_says_the_age_and_exits_by_it(run, home: Path) -> None:
    publish(home, "select 1 as one", published_at=datetime.now(UTC) - timedelta(hours=2, minutes=5))
    code, out, err = run("status")
    assert (code, err) == (0, "")
    assert "data through 2026-11-20, published 2 h 5 min ago (limit 36h)" in one_line(out)
    (home / "northstar.toml").write_text('max_release_age = "2h"')
    code, out, _ = run("status")
    assert code == 1
    assert "(limit 2h)" in one_line(out)


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\xff\x00 no such thing" * 50),
    "a list": lambda path: path.write_text("[]"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
}


def _damage(path: Path, how: str) -> None:
    path.parent.chmod(0o755)
    path.chmod(0o644)
    DAMAGES[how](path)


@pytest.mark.parametrize("how", ["missing", "empty", "garbage", "cut"])
def test_status_notices_a_release_that_cannot_be_read(run, home: Path, how: str) -> None:
    publish(home, "select range as one from range(100000)", published_at=datetime.now(UTC))
    _damage((home / "published" / "marts.duckdb").resolve(), how)
    code, _, err = run("status")
    assert code == 1
    assert "cannot be read" in err
    assert "there is no other one: move" in err


@pytest.mark.parametrize("how", ["missing", "empty", "garbage", "a list", "cut"])
@pytest.mark.parametrize("command", ["releases", "status", "query"])
def test_one_damaged_old_release_stops_nothing(run, home: Path, command: str, how: str) -> None:
    for hour in (1, 2):
        publish(home, f"select {hour} as one", published_at=datetime.now(UTC) - timedelta(hours=5 - hour))
    *_, old = ReleaseStore(home).releases()
    _damage(old.path / "manifest.json", how)
    arguments = [command, "select one from mart_x"] if command == "query" else [command]
    assert run(*arguments)[0] == 0
    if command == "releases":
        code, _, err = run("rollback", old.release_id)
        assert code == 1
        assert str(old.path / "manifest.json") in err


def test_the_damaged_manifest_of_the_current_release_is_named(run, home: Path) -> None:
    publish(home, "select 1 as one", published_at=datetime.now(UTC))
    path = (home / "published" / "marts.duckdb").resolve().with_name("manifest.json")
    _damage(path, "garbage")
    code, _, err = run("status")
    assert (code, str(path) in err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [["nightly"], ["prepare"], ["rebuild"], ["simulate", "--days", "2"], ["rollback", "20260101T000000Z-aaaaaa"], ["ui"]],
)
def test_a_home_that_cannot_be_written_is_named(run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("NORTHSTAR_HOME", "/proc/northstar")
    code, _, err = run(*arguments)
    assert (code, "/proc/northstar" in one_line(err)) == (1, True)


def test_a_home_may_hold_brackets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Dagster looks for its instance file by a pattern; processes of Northstar give it a path that is none."""
    folder = tmp_path / "ns[1]*"
    (folder / "dagster").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    link = without_wildcards(folder / "dagster")
    assert (link.resolve(), without_wildcards(folder / "dagster")) == ((folder / "dagster").resolve(), link)
    assert not glob.has_magic(str(link))
    assert without_wildcards(tmp_path) == tmp_path
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(SettingsError, match="is not the link to"):
        without_wildcards(folder / "dagster")


def test_releases_lists_the_current_one(run, home: Path) -> None:
    publish(home, "select 1 as one", published_at=datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC))
    code, out, _ = run("releases")
    assert code == 0
    assert "(current)" in out
    assert "2026-11-21 03:04:05 UTC" in out


@pytest.mark.parametrize("text", ["plain", "[bold]not markup", "[/red]", "a [1, 2] list", ":smile:", "comma, 'quote'"])
def test_query_prints_what_the_rows_hold(run, home: Path, text: str) -> None:
    """Values are data: what looks like the console's markup is printed as it is."""
    publish(home, f"select '{text.replace(chr(39), chr(39) * 2)}' as name, null as nothing", published_at=datetime.now(UTC))
    code, out, err = run("query", "select name, nothing from mart_x")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].strip() == text


def test_query_keeps_the_names_of_its_columns(run, home: Path) -> None:
    publish(home, "select 1 as one", published_at=datetime.now(UTC))
    code, out, _ = run("query", 'select one as "[red]", one as "a [b]" from mart_x')
    assert code == 0
    assert out.splitlines()[0].split("  ")[0].strip() == "[red]"
    assert "a [b]" in out.splitlines()[0]


@pytest.mark.parametrize("sql", ["drop table mart_x", "select nope from mart_x", "select 1; select 2", "", "selec 1"])
def test_a_wrong_query_is_the_user_s_mistake(run, home: Path, sql: str) -> None:
    publish(home, "select 1 as one", published_at=datetime.now(UTC))
    code, out, err = run("query", sql)
    assert (code, out) == (2, "")
    assert err.startswith(("a query is one SELECT statement", "the query failed: "))


def test_simulate_if_empty_leaves_what_landed(run, home: Path) -> None:
    (home / "landing" / "events").mkdir(parents=True)
    code, out, err = run("simulate", "--if-empty")
    assert (code, out, err) == (0, "", "")
    assert [path.name for path in (home / "landing").iterdir()] == ["events"]


def test_a_killed_simulation_counts_as_nothing(run, home: Path) -> None:
    draft = home / "landing" / ".simulating" / "events"
    draft.mkdir(parents=True)
    (draft / "half.jsonl").write_text("{")
    code, out, err = run("simulate", "--if-empty", "--days", "3", "--users", "20", "--end", "2026-03-20")
    assert (code, err) == (0, "")
    assert "simulated 2026-03-18 to 2026-03-20" in out
    assert not (home / "landing" / ".simulating").exists()
    assert (home / "landing" / "truth.json").exists()


def test_a_failed_import_changes_no_settings(run, home: Path) -> None:
    code, _, err = run("import", "online_retail", "nothere.parquet")
    assert (code, err) == (2, "nothere.parquet does not exist\n")
    assert not (home / "northstar.toml").exists()


# Nights, by the command itself, in a process of its own where the process matters: dbt and Dagster start, so that they share one
# prepared home.


@pytest.fixture(scope="module")
def root(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(prepared, tmp_path_factory.mktemp("nights") / "home", symlinks=True))


def land(root: Path, name: str, text: str) -> Path:
    path = root / "landing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def assert_failed(done: Any, code: int, *said: str) -> None:
    assert "Traceback" not in done.stderr + done.stdout, done.stderr[-1500:]
    assert done.returncode == code, done.stderr
    for words in ("the night failed, there is no release", *said):
        assert words in done.stderr


def test_a_night_without_a_landing_zone(root: Path, northstar_process) -> None:
    assert_failed(northstar_process(root, "nightly"), 2, "the landing zone", "does not exist")


def test_a_night_over_a_folder_that_is_no_source(root: Path, northstar) -> None:
    path = land(root, "event/dt=2024-03-10/a.csv", "event_id\n")
    assert_failed(northstar(root, "nightly"), 2, "holds one folder per source; did you mean events?")
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()


def test_a_night_over_a_file_without_a_required_column(root: Path, northstar) -> None:
    path = land(root, "events/dt=2024-03-10/a.csv", "event_id,event\ne1,page_viewed\n")
    assert_failed(
        northstar(root, "nightly"), 1, "events: 1 partition was refused", "a.csv: required column occurred_at is missing"
    )
    path.unlink()


def test_a_night_up_to_a_day_before_anything_landed(root: Path, northstar) -> None:
    path = land(
        root, "events/dt=2024-03-10/a.csv", "event_id,event,occurred_at,user_id\ne1,page_viewed,2024-03-10T01:00:00Z,u1\n"
    )
    assert_failed(northstar(root, "nightly", "--as-of", "2024-03-09"), 2, "nothing to build", "up to 2024-03-09")
    path.unlink()


def test_a_night_while_another_writes(root: Path, northstar_process) -> None:
    with WriterLock(root, "test"):
        assert_failed(northstar_process(root, "nightly"), 1, f"process {os.getpid()}", "(test)")


def test_a_chain_of_failures_that_leads_back_to_its_beginning_ends():
    """Dagster's do, and the search for the cause must not go round for ever."""
    first, second = ValueError("first"), RuntimeError("second")
    first.__context__, second.__context__ = second, first
    assert nights._cause(first) is first
    described = NorthstarError("what happened")
    second.__cause__ = described
    assert nights._cause(first) is described


def test_a_full_disk_is_said_in_words_and_not_by_a_stack_trace():
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device", "/data/gate.json")
    assert str(nights._cause(wrapped)) == "/data/gate.json: No space left on device; free some space"
    wrapped.__cause__ = other = OSError(errno.EIO, "Input/output error")
    assert nights._cause(wrapped) is wrapped
    described = NorthstarError("release 7 is refused")
    described.__cause__, wrapped.__cause__ = other, described
    assert nights._cause(wrapped) is described


def test_a_night_that_fails_after_its_release_says_which_one_stands(run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(*_: Any) -> None:
        publish(home, "select 2 as two", published_at=datetime.now(UTC))
        raise NorthstarError("PostgreSQL db.example:5432/bi: connection refused; what it had before stands there")

    monkeypatch.setattr(nights, "prepare_home", lambda _: None)
    monkeypatch.setattr(nights, "_execute", execute)
    code, out, err = run("nightly")
    [release] = ReleaseStore(home).releases()
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"the night failed, release {release.release_id} stands:",
        "PostgreSQL db.example:5432/bi: connection refused; what it had before stands there",
    ]


def test_publish_without_a_database(run) -> None:
    code, out, err = run("publish")
    assert (code, out) == (2, "")
    assert one_line(err) == "no PostgreSQL database is configured; set NORTHSTAR_POSTGRES_URL or publish.postgres_url"


def test_a_missing_extra_is_one_line(run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(home, "select 1 as one", published_at=datetime.now(UTC))
    monkeypatch.setenv("NORTHSTAR_POSTGRES_URL", "postgresql://northstar@db.example/bi")
    monkeypatch.delitem(sys.modules, "orchestration.publishing.targets.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    code, _, err = run("status")
    assert code == 1
    assert one_line(err).startswith("publishing to PostgreSQL needs the extra postgres, and psycopg is missing: run `pip install")
