"""dbt in process: its manifest, and one invocation with the results that matter.

Belongs here: everything that calls dbt. Does not belong here: what dbt computes (`dbt_project`) or how its results become Dagster
events (`defs.transform`). dbt is imported inside functions: the import alone takes 3 s.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration import digests
from orchestration.errors import NorthstarError
from orchestration.settings import DBT_PROJECT, Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# What reads the scores of a night's models is built after they are written, everything else before.
AFTER_SCORES = "source:ml+"

_SOURCES = ("**/*.sql", "**/*.py", "**/*.yml", "**/*.csv")


class BuildFailed(NorthstarError):  # noqa: N818 - says what happened
    """Models or tests of dbt failed; what had been published stands."""


@dataclass(frozen=True)
class NodeResult:
    """What became of one model, seed or test: `status` is success, pass, fail, error, warn or skipped."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    failures: int | None
    message: str

    @property
    def is_failure(self) -> bool:
        """Whether the night must stop for it."""
        return self.status in ("fail", "error", "runtime error")


def manifest_path(settings: Settings) -> Path:
    """Where the manifest that the code location reads lies."""
    return settings.dbt_target / "manifest.json"


def is_prepared(settings: Settings) -> bool:
    """Whether the manifest is there and was made from the project's files and variables as they are now."""
    stamp = settings.dbt_target / "manifest.sha256"
    return manifest_path(settings).is_file() and stamp.is_file() and stamp.read_text() == _fingerprint(settings)


def prepare(settings: Settings) -> "Manifest | None":
    """Parse the project unless its manifest is current; returns what was parsed, to spare this process another parse."""
    if is_prepared(settings):
        return None
    result = _invoke(settings, ["parse"])
    (settings.dbt_target / "manifest.sha256").write_text(_fingerprint(settings))
    parsed: Manifest = result
    return parsed


def read_manifest(settings: Settings) -> Mapping[str, Any]:
    """Read the prepared manifest; NorthstarError when there is none for the project as it is."""
    if not is_prepared(settings):
        raise NorthstarError(f"{manifest_path(settings)} is missing or older than {DBT_PROJECT.name}; run `northstar prepare`")
    return _read(manifest_path(settings), manifest_path(settings).stat().st_mtime_ns)


def build(
    settings: Settings,
    *,
    full_refresh: bool,
    parsed: "Manifest | None" = None,
    selection: Sequence[str] = (),
    exclusion: Sequence[str] = (),
) -> list[NodeResult]:
    """Build seeds and models and run the data tests, in one invocation; unit tests belong to the project's own test suite.

    selection, exclusion: dbt's selectors; all that is selected (default: everything) and not excluded is built.

    Failures are in the results; BuildFailed is raised only when dbt itself could not run.
    """
    arguments = ["build", "--exclude-resource-type", "unit_test", *(["--full-refresh"] if full_refresh else [])]
    if selection:
        arguments += ["--select", *selection]
    if exclusion:
        arguments += ["--exclude", *exclusion]
    outcome = _invoke(settings, arguments, parsed=parsed)
    return [_from_result(result) for result in outcome.results]


def explain(failures: Sequence[NodeResult]) -> str:
    """Failed nodes as one readable block."""
    lines = [f"{len(failures)} of the warehouse's models and tests failed:"]
    for failure in failures:
        found = f"{failure.failures:,} rows are wrong" if failure.failures else failure.message.strip().splitlines()[-1:]
        lines.append(f"  {failure.resource_type} {failure.name}: {found if isinstance(found, str) else ''.join(found)}")
    return "\n".join(lines)


def _invoke(settings: Settings, arguments: Sequence[str], *, parsed: "Manifest | None" = None) -> Any:
    settings.export()
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    # The variables are the same on every call: other ones would make dbt parse the whole project again.
    common = ["--vars", json.dumps(settings.dbt_vars()), "--log-level", "none", "--log-level-file", "none"]
    try:
        result = dbtRunner(manifest=parsed).invoke([*arguments, *common])
    finally:
        # dbt keeps the build file locked for as long as the process lives.
        DuckDBConnectionManager.close_all_connections()
    if result.exception is not None:
        raise BuildFailed(f"dbt {arguments[0]} could not run: {result.exception}") from result.exception
    return result.result


def _from_result(result: Any) -> NodeResult:
    node = result.node
    return NodeResult(
        node.unique_id,
        node.name,
        str(node.resource_type),
        str(result.status),
        result.execution_time,
        result.failures,
        result.message or "",
    )


def _fingerprint(settings: Settings) -> str:
    files = [
        path for pattern in _SOURCES for path in DBT_PROJECT.glob(pattern) if "target" not in path.relative_to(DBT_PROJECT).parts
    ]
    return digests.of_files(DBT_PROJECT, files, beside=json.dumps(settings.dbt_vars(), sort_keys=True))


@cache
def _read(path: Path, _modified: int) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = json.loads(path.read_bytes())
    return manifest
