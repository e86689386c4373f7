"""The state of a run, `<home>/runs/<run id>.json`: decisions of its stages, for later stages in this or another process.

Belongs here: the record, and storing it. Does not belong here: its use by stages.
"""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orchestration.base.durable import replace_text
from orchestration.base.errors import NorthstarError
from orchestration.ml_steps.step import Outcome
from orchestration.publishing.candidate import Candidate
from orchestration.publishing.manifest import Changes
from orchestration.warehouse.fold_plan import FoldPlan

# Number of run states to keep: a month of nights, to look up their decisions.
_KEPT = 30


@dataclass
class RunState:
    """Decisions of one run's stages so far.

    as_of: last arrival day that the run looks at, None for all. config_digest, lake_digest: of the configuration and the lake
    when the plan was made. is_folded: whether the plan has been built and recorded as folded in. outcomes: of ML tasks, by
    task.
    left_out: omitted marts, with the reason.
    """

    run_id: str
    as_of: date | None = None
    config_digest: str = ""
    lake_digest: str = ""
    plan: FoldPlan | None = None
    is_folded: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    candidate: Candidate | None = None
    left_out: dict[str, str] | None = None
    changes: Changes | None = None
    timings: dict[str, float] = field(default_factory=dict)


_ADAPTER = TypeAdapter(RunState)


class RunStates:
    """The states of the runs of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "runs"

    def read(self, run_id: str) -> RunState:
        """Read the state of a run, or return a new one. NorthstarError when the file is damaged."""
        path = self._path(run_id)
        try:
            return _ADAPTER.validate_json(path.read_bytes())
        except FileNotFoundError:
            return RunState(run_id)
        except (ValidationError, NotADirectoryError) as error:
            raise NorthstarError(
                f"{path} is not the state of a run ({str(error).splitlines()[0]}); remove it and run `northstar nightly`"
            ) from None

    def write(self, state: RunState) -> None:
        """Replace the state of a run on disk, and remove those of the oldest runs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._path(state.run_id), _ADAPTER.dump_json(state).decode())
        oldest = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]
        for path in oldest:
            path.unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"
