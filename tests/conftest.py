"""What all tests share: where real data and PostgreSQL lie, the command line, and the home that every other one begins from."""

import gc
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
from filelock import FileLock
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

PROJECT = Path(__file__).resolve().parents[1]
REAL_DATA = (PROJECT / os.environ.get("NORTHSTAR_TEST_DATA", "../shared/data")).resolve()

# Homes with nights of their own beside those that most tests share: whatever begins with one of them is long.
LONG_HOMES = frozenset({"company_home", "corrected", "refunded_home", "constant_home"})

# Seconds by file, as `make durations` measured them.
DURATIONS = PROJECT / "tests" / "durations.json"


def _postgres() -> Path | None:
    """Folder of initdb and pg_ctl; Debian keeps one per version and none of them on the path."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(versions, key=lambda path: int(path.parent.name), default=None)


POSTGRES = _postgres()


class Recorder:
    """Measures how long the tests of each file take, and writes it down at the end."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        known = json.loads(DURATIONS.read_text(encoding="utf-8")) | {path: round(took) for path, took in self.seconds.items()}
        kept = {path: took for path, took in sorted(known.items()) if took and (PROJECT / path).exists()}
        DURATIONS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


class EmptyHome:
    """Gives all tests and what they start an empty `$HOME`, and fails the run when one leaves something in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="northstar-user-"))
        os.environ["HOME"] = str(self.folder)
        # Tests of single models draw without the settings that give a night's process this.
        os.environ["MPLCONFIGDIR"] = str(self.folder / ".matplotlib")

    def left(self) -> list[str]:
        """What there is beside the fonts that matplotlib found."""
        shutil.rmtree(self.folder / ".matplotlib", ignore_errors=True)
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.left():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if left := self.left():
            terminalreporter.write_line(
                f"the tests left in $HOME, where nothing of the product belongs: {', '.join(left)}", red=True
            )

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-durations", action="store_true", help=f"write how long each file takes to {DURATIONS.name}")


def pytest_configure(config: pytest.Config) -> None:
    # In every test run the same examples; in `make test-long` others every time, and first those that failed before.
    database = DirectoryBasedExampleDatabase(PROJECT / ".hypothesis" / "examples")
    settings.register_profile("random", deadline=None, database=database, print_blob=True)
    settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
    settings.load_profile("fixed")
    if not hasattr(config, "workerinput"):
        if config.getoption("--record-durations"):
            config.pluginmanager.register(Recorder())
        config.pluginmanager.register(EmptyHome())
    config.addinivalue_line("markers", "real_data: needs the real data of NORTHSTAR_TEST_DATA (default ../shared/data)")
    config.addinivalue_line("markers", "long: takes minutes; runs with `make test-long`, or with -m long")
    config.addinivalue_line("markers", "postgres: needs the programs of a PostgreSQL server, initdb and pg_ctl")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests, and deselect those that need what is not there: real data, PostgreSQL; in CI its absence is a failure.

    The files that take longest start first: begun last, one of them would run on while the other worker has nothing left to do.
    """
    durations = json.loads(DURATIONS.read_text(encoding="utf-8"))
    items.sort(key=lambda item: -durations.get(item.path.relative_to(PROJECT).as_posix(), 0))
    for item in items:
        if not LONG_HOMES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.long)
    long = [item for item in items if item.get_closest_marker("long")]
    if long and "long" not in config.getoption("markexpr"):
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
        config.stash.setdefault(_DESELECTED, []).append(f"{len(long)} tests deselected: they take minutes (make test-long)")
    _spread_waiting(items, durations)
    for marker, is_there, missing, remedy in (
        ("real_data", REAL_DATA.is_dir(), f"{REAL_DATA} does not exist", "set NORTHSTAR_TEST_DATA"),
        ("postgres", POSTGRES is not None, "PostgreSQL is not installed", "apt-get install postgresql"),
    ):
        needing = [item for item in items if item.get_closest_marker(marker)]
        if is_there or not needing:
            continue
        if os.environ.get("CI") == "true":
            raise pytest.UsageError(f"{missing}, and {len(needing)} tests need it; {remedy}")
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]
        config.stash.setdefault(_DESELECTED, []).append(f"{len(needing)} tests deselected: {missing} ({remedy})")


def _spread_waiting(items: list[pytest.Item], durations: Mapping[str, int]) -> None:
    """Put first a file that builds the homes which most tests share, and what needs none of them and takes as long beside it."""

    def seconds(path: Path) -> int:
        return durations.get(path.relative_to(PROJECT).as_posix(), 0)

    needing = {item.path for item in items if "prepared" in getattr(item, "fixturenames", ())}
    builder = [item.path for item in items if item.path in needing][:1]
    meanwhile: list[Path] = []
    for path in dict.fromkeys(item.path for item in items if item.path not in needing):
        if builder and sum(map(seconds, meanwhile)) < seconds(builder[0]):
            meanwhile.append(path)
    first = [*meanwhile[:1], *builder, *meanwhile[1:]]
    items.sort(key=lambda item: first.index(item.path) if item.path in first else len(first))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lasts as long as the tests: their modules and libraries; 7 % of all tests' time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


_DESELECTED = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_DESELECTED, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets."""
    return REAL_DATA


Northstar = Callable[..., "subprocess.CompletedProcess[str]"]


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """Environment of a process of its own on a home: nothing that other tests have set for Northstar or its libraries."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NORTHSTAR_", "DAGSTER_", "DBT_"))}
    return {**inherited, "NORTHSTAR_HOME": str(home), "COLUMNS": "200", **more}


@pytest.fixture(scope="session")
def northstar_process() -> Northstar:
    """Give the command line in a process of its own, as a person has it: a home, arguments, and environment by name."""

    def run(home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments],
            cwd=home,
            env=environment_of(home, **environment),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def northstar():
    """Run the command line in this process: dagster, dbt and GX are imported once for all nights, 12 s each time."""
    from orchestration.cli import main

    def run(home: Path, *arguments: str) -> Done:
        out, err, code = io.StringIO(), io.StringIO(), 0
        environment = environment_of(home)
        with (
            patch.dict(os.environ, environment, clear=True),
            patch.object(sys, "argv", ["northstar", *arguments]),
            chdir(home),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def built_once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], None]], Path]:
    """Build a home once for all workers of a test run: the first that asks builds it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def build(name: str, fill: Callable[[Path], None]) -> Path:
        home = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not (shared / f"{name}.done").exists():
                shutil.rmtree(home, ignore_errors=True)
                fill(home)
                (shared / f"{name}.done").touch()
        return home

    return build


@pytest.fixture(scope="session")
def prepared(built_once, northstar) -> Path:
    """A home with the dbt manifest and nothing else: copied, it spares its night the parse."""

    def fill(home: Path) -> None:
        home.mkdir()
        # One key for all copies: erased persons are called alike in homes that are compared.
        (home / "pseudonym.key").write_text("the key of the homes of this test run\n")
        done = northstar(home, "prepare")
        assert done.returncode == 0, done.stdout + done.stderr

    return built_once("prepared", fill)
