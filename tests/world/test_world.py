"""Every oracle asked of the same drawn worlds: all models are built once per world, under both configurations."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.project import DBT_PROJECT
from tests.dbt.facts import examples
from tests.dbt.funnels import funnel
from tests.dbt.harness import DbtProject
from tests.dbt.test_data_through import LAST, NOON, company, together
from tests.world.drawn import World, worlds
from tests.world.questions import QUESTIONS, ask_all


def compare(project: DbtProject, data: st.DataObject) -> None:
    world = data.draw(worlds(project.reporting(LAST), project.config.bot_events_per_day))
    assert ask_all(project, world) == {}
    quality = project.read("mart_data_quality__daily")
    assert not [row for row in quality if row["landing_difference"] or row["fact_difference"]]


@examples(10)
@given(data=st.data())
def test_every_oracle_of_random_worlds(shanghai: DbtProject, data: st.DataObject) -> None:
    compare(shanghai, data)


@examples(6)
@given(data=st.data())
def test_every_oracle_where_weeks_begin_on_sunday_and_midnight_ends_sessions(new_york: DbtProject, data: st.DataObject) -> None:
    compare(new_york, data)


def test_every_mart_is_asked_for() -> None:
    """The ledger of restatements is written by the comparison of two releases, not by models."""
    marts = {path.stem for path in (DBT_PROJECT / "models" / "marts").rglob("mart_*.sql")}
    assert marts - QUESTIONS.keys() == {"mart_restatements__release"}


# Model → a defect in it, as a query on its sound rows (`sound`), and marts whose oracles must find it.
DEFECTS = {
    "fct_payments": ("select * from sound limit 0", {"mart_ltv__cohort", "mart_metric__daily"}),
    "fct_sessions": ("select * replace (session_number + 1 as session_number) from sound", {"fct_sessions"}),
    "int_funnel__entries": ("select * from sound limit 0", {"mart_funnel__entry", "mart_funnel_exits__weekly"}),
    "mart_metric__daily": ("select * replace (not is_complete as is_complete) from sound", {"mart_metric__daily"}),
}


@pytest.fixture(scope="module")
def world() -> World:
    """A tiny company of all kinds of facts on three days."""
    parts = [company(at, at.date(), f"p{number}") for number, at in enumerate((NOON, NOON.replace(month=3)))]
    defined = [funnel("login", "1h", [("logged_in", None), ("page_viewed", None)])]
    return World(together(*parts), LAST, defined)


def test_a_sound_project_answers_every_question(shanghai: DbtProject, world: World) -> None:
    assert ask_all(shanghai, world) == {}
    assert [model for model in QUESTIONS if not shanghai.read(model)] == []


@pytest.mark.parametrize("model", DEFECTS)
def test_a_defect_is_found_by_the_oracles_it_concerns(
    shanghai: DbtProject, world: World, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, concerned = DEFECTS[model]
    unique_id = f"model.northstar.{model}"
    node = shanghai._nodes[unique_id]
    monkeypatch.setitem(shanghai._nodes, unique_id, replace(node, code=f"with sound as ({node.code}) {query}"))
    assert ask_all(shanghai, world).keys() >= concerned
