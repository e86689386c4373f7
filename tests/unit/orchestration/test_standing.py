"""Which results of dbt's nodes stand: those of which no source, code or relation has changed; and what makes them fall."""

from collections.abc import Callable, Collection
from datetime import date
from typing import Any

import pytest

from orchestration.warehouse.node_result import NodeResult
from orchestration.warehouse.standing import StandingResults
from tests.unit.orchestration.harness import Home

MakeHome = Callable[..., Home]
DAY = date(2026, 3, 1)


def source(schema: str, name: str) -> dict[str, Any]:
    return {"schema": schema, "source_name": schema, "name": name, "identifier": name}


def node(name: str, *parents: str, kind: str = "model") -> dict[str, Any]:
    return {"resource_type": kind, "schema": "core", "alias": name, "name": name, "depends_on": {"nodes": list(parents)}}


# orders, landed_files ─ paid ─ spent (until today) ─ is_positive;  tickets, plans ─ asked;  scores ─ ranked
MANIFEST = {
    "sources": {
        "orders": source("lake", "orders"),
        "tickets": source("lake", "tickets"),
        "landed_files": source("control", "landed_files"),
        "run": source("control", "run"),
        "plans": source("control", "plans"),
        "scores": source("ml", "scores"),
    },
    "nodes": {
        "paid": node("paid", "orders", "landed_files"),
        "spent": node("spent", "paid", "run"),
        "is_positive": node("is_positive", "spent", kind="test"),
        "asked": node("asked", "tickets", "plans"),
        "ranked": node("ranked", "scores"),
    },
}
NODES = list(MANIFEST["nodes"])
ORDER = {"order_id": "o1", "user_id": "u1", "ordered_at": f"{DAY}T01:00:00Z", "amount": "1", "currency": "USD"}
TICKET = {"ticket_id": "t1", "user_id": "u1", "opened_at": f"{DAY}T01:00:00Z"}


class Project:
    """A home with relations of the nodes, of which a night builds those that do not stand."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.put(DAY, [ORDER], source="orders")
        home.put(DAY, [TICKET], source="tickets")
        self.plan()
        with home.warehouse.connect() as connection:
            connection.execute("create schema core; create schema ml; create table ml.scores as select 1 as score")
            for name in ("paid", "spent", "asked"):
                connection.execute(f"create table core.{name} as select 1 as n")
            connection.execute("create view core.ranked as from ml.scores")

    def plan(self, as_of: date | None = None) -> None:
        self.home.ingest()
        self.home.plan(as_of)

    def results(self, code: str = "code") -> StandingResults:
        return StandingResults(self.home.warehouse, MANIFEST, code)

    def night(self, code: str = "code", *, anew: bool = False, is_killed: bool = False) -> set[str]:
        """The nodes that were built or tested."""
        results = self.results(code)
        standing = results.find(NODES, anew=anew)
        built = set(NODES) - standing.keys()
        assert all(result.is_standing for result in standing.values())
        if not is_killed:
            results.record([*standing.values(), *(outcome(name) for name in sorted(built))])
        return built


def outcome(name: str) -> NodeResult:
    is_test = MANIFEST["nodes"][name]["resource_type"] == "test"
    return NodeResult(
        name, name, "test" if is_test else "model", "warn" if is_test else "success", 2.5, 3 if is_test else None, "said", 7
    )


@pytest.fixture
def project(make_home: MakeHome) -> Project:
    made = Project(make_home())
    assert made.night() == set(NODES)
    assert made.night() == set()
    return made


def test_what_stands_is_told_as_it_was_found(project: Project) -> None:
    found = project.results().find(NODES)
    assert list(found) != []
    assert found["is_positive"] == NodeResult("is_positive", "is_positive", "test", "warn", 0, 3, "said", 7, is_standing=True)
    assert list(found).index("paid") < list(found).index("spent") < list(found).index("is_positive")


def test_results_of_what_was_not_asked_for_are_left_out(project: Project) -> None:
    """Readers of marts, which dbt reports on as well, are no nodes."""
    results = project.results()
    results.find(NODES, anew=True)
    results.record([outcome("paid"), NodeResult("exposure.report", "report", "exposure", "no-op", 0, None, "")])
    assert project.home.query("select node_id from control.standing") == [("paid",)]


def test_another_plan_of_the_same_lake_changes_nothing(project: Project) -> None:
    project.plan()
    assert project.night() == set()


def test_a_correction_makes_all_fall_that_is_made_of_it(project: Project) -> None:
    project.home.put(DAY, [ORDER | {"amount": "2"}], source="orders")
    project.plan()
    assert project.night() == {"paid", "spent", "is_positive"}
    assert project.night() == set()


def test_files_landed_in_another_order_are_a_correction(project: Project) -> None:
    project.home.put(DAY, [ORDER | {"amount": "2"}], source="orders", name="a.jsonl")
    project.plan()
    project.night()
    project.home.put(DAY, [ORDER], source="orders", name="part.jsonl")
    project.plan()
    assert project.night() == {"paid", "spent", "is_positive"}


def test_a_new_day_makes_all_fall_that_moves_with_the_calendar(project: Project) -> None:
    project.home.put(date(2026, 3, 2), [TICKET | {"ticket_id": "t2", "opened_at": "2026-03-02T01:00:00Z"}], source="tickets")
    project.plan()
    assert project.night() == {"spent", "is_positive", "asked"}


def test_a_horizon_is_another_day(project: Project) -> None:
    project.home.put(date(2026, 3, 2), [TICKET | {"ticket_id": "t2", "opened_at": "2026-03-02T01:00:00Z"}], source="tickets")
    project.plan()
    project.night()
    project.plan(as_of=DAY)
    assert project.night() == {"spent", "is_positive", "asked"}


def test_other_rows_of_an_ml_step_make_their_readers_fall(project: Project) -> None:
    with project.home.warehouse.connect() as connection:
        connection.execute("update ml.scores set score = 2")
    assert project.night() == {"ranked"}


def test_configuration_makes_its_readers_fall(project: Project) -> None:
    with project.home.warehouse.connect() as connection:
        connection.execute("insert into control.plans values ('pro', 'professional')")
    assert project.night() == {"asked"}


def test_new_code_makes_everything_fall(project: Project) -> None:
    assert project.night("other") == set(NODES)


def test_nothing_stands_on_a_rebuild(project: Project) -> None:
    assert project.night(anew=True) == set(NODES)


@pytest.mark.parametrize(
    ("lost", "built"),
    [("drop table core.paid", {"paid", "spent", "is_positive"}), ("drop view core.ranked", {"ranked"})],
)
def test_a_relation_that_is_gone_makes_all_fall_below_it(project: Project, lost: str, built: Collection[str]) -> None:
    with project.home.warehouse.connect() as connection:
        connection.execute(lost)
    assert project.night() == built


def test_a_night_killed_while_it_builds_leaves_no_results(project: Project) -> None:
    """The killed night built the corrected file; then the correction is taken back."""
    path = project.home.put(DAY, [ORDER | {"amount": "2"}], source="orders", name="a.jsonl")
    project.plan()
    assert project.night(is_killed=True) == {"paid", "spent", "is_positive"}
    path.unlink()
    project.plan()
    assert project.night() == {"paid", "spent", "is_positive"}


def test_what_was_built_apart_from_a_night_does_not_stand(project: Project) -> None:
    project.results().forget(["paid"])
    assert project.night() == {"paid", "spent", "is_positive"}


class Scoring:
    """A task of an ML step that reads `paid` and writes `scores`."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def night(self, beside: str = "models", **given: bool) -> bool:
        """Whether it ran."""
        results = self.project.results()
        found = results.find_outcome("score", ["paid"], ["scores"], beside=beside, **given)
        if found is None:
            results.record_outcome("score", '{"rows": 1}')
        return found is None


@pytest.fixture
def scoring(project: Project) -> Scoring:
    made = Scoring(project)
    assert made.night()
    assert not made.night()
    return made


def test_the_outcome_of_a_task_stands_as_it_was_kept(scoring: Scoring) -> None:
    assert scoring.project.results().find_outcome("score", ["paid"], ["scores"], beside="models") == '{"rows": 1}'


def test_a_task_runs_when_what_it_reads_has_changed_and_when_it_is_asked_to(scoring: Scoring) -> None:
    project = scoring.project
    project.home.put(DAY, [TICKET | {"ticket_id": "t9"}], source="tickets")
    project.plan()
    assert not scoring.night()
    project.home.put(DAY, [ORDER | {"amount": "2"}], source="orders")
    project.plan()
    assert scoring.night()
    assert not scoring.night()
    assert scoring.night("another model")
    assert scoring.night("another model", anew=True)
    assert not scoring.night("another model")


def test_a_task_runs_on_a_new_day_and_when_its_table_is_gone(scoring: Scoring) -> None:
    project = scoring.project
    project.home.put(date(2026, 3, 2), [TICKET | {"ticket_id": "t2", "opened_at": "2026-03-02T01:00:00Z"}], source="tickets")
    project.plan()
    assert scoring.night()
    with project.home.warehouse.connect() as connection:
        connection.execute("drop view core.ranked; drop table ml.scores")
    assert scoring.night()


def test_a_test_of_a_model_that_is_not_asked_for_stands_by_itself(project: Project) -> None:
    assert project.results().find(["is_positive"]).keys() == {"is_positive"}
