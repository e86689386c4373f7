"""The outcome of one node of the dbt project.

Belongs here: the record. Does not belong here: producing it (`dbt`, `data_tests`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one model, seed or test. status: success, pass, fail, error, warn or skipped. rows: of a table built.

    is_standing: whether an earlier night found it, and nothing that it depends on has changed since.
    """

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    failures: int | None
    message: str
    rows: int | None = None
    is_standing: bool = False

    @property
    def is_failure(self) -> bool:
        """Whether it must stop the night."""
        return self.status in ("fail", "error", "runtime error")
