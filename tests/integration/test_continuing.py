"""Runs that fail at a stage and are continued: "re-execute from failure" in Dagster, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest

from orchestration.base.errors import NorthstarError, UserError
from orchestration.config.loading import load
from orchestration.definitions import build
from orchestration.night import building, intake, releasing
from orchestration.night.run import Night
from orchestration.night.state import RunStates
from tests import stages
from tests.integration.conftest import WAITING, at_home, copy_home, current, dagster_in, look, run_stages

# Where a night fails, in the order of its stages: the function that fails, and the asset or check that fails with it.
STAGES = {
    "ingest": (intake, "ingest"),
    "plan": (intake, "plan"),
    "dbt": (building, "build"),
    "an ml step": (building, "run_task"),
    "the checks of an ml step": (building, "outcome_of"),
    "dbt after the ml steps": (building, "build_scored"),
    "candidate": (releasing, "candidate"),
    "gate": (releasing, "validate"),
    "release": (releasing, "publish"),
}


def nightly() -> dg.JobDefinition:
    """The night of the home that the environment names, for Dagster to load again."""
    return build(load()).resolve_job_def("nightly")


@pytest.fixture
def home(small_home, tmp_path) -> Iterator[Path]:
    """A home with one landed day that no night has taken yet."""
    copied = copy_home(small_home, tmp_path / "home")
    with at_home(copied):
        load().export()
        yield copied


def execute(instance: dg.DagsterInstance, after: str | None = None) -> dg.DagsterRun:
    """Run the night, or what a run left undone; the run as the instance knows it."""
    options = None if after is None else dg.ReexecutionOptions.from_failure(after, instance)
    with dg.execute_job(dg.reconstructable(nightly), instance, reexecution_options=options, raise_on_error=False) as result:
        run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


def started(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_START).records
    return {record.event_log_entry.step_key for record in records if record.event_log_entry.step_key}


@pytest.mark.long
def test_a_night_goes_on_from_every_stage_at_which_it_fails(home, small_home, tmp_path):
    """One night that fails at each of its stages in turn publishes what a night without failures does, and repeats nothing."""
    whole = copy_home(small_home, tmp_path / "whole")
    run_stages(whole)
    with dagster_in(tmp_path) as instance:
        run_id, done = None, set()
        for stage, (module, name) in STAGES.items():
            with patch.object(module, name, side_effect=NorthstarError(f"planted: {stage}")):
                run = execute(instance, run_id)
            assert run.status is dg.DagsterRunStatus.FAILURE, stage
            steps = instance.get_run_step_stats(run.run_id)
            assert not done & {step.step_key for step in steps}, stage
            done |= {step.step_key for step in steps if step.status.value == "SUCCESS"}
            run_id = run.run_id
        run = execute(instance, run_id)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert started(instance, run) & done == set()
    marts = {name: record["digest"] for name, record in current(home)["marts"].items() if name != "mart_restatements__release"}
    assert marts == {name: record["digest"] for name, record in current(whole)["marts"].items() if name in marts}
    assert current(home)["timings"].keys() == current(whole)["timings"].keys()
    assert look(home, "select count(*) from control.affected_visitor_days") == [(0,)]


@pytest.fixture
def refused(waiting, tmp_path) -> Iterator[Path]:
    """A home with a run that failed at the gate; its candidate waits."""
    copied = waiting(tmp_path / "home")
    with at_home(copied):
        load().export()
        yield copied


def test_a_candidate_waits_for_the_retry_and_no_longer(refused):
    waiting = list((refused / "published").glob(".candidate-*"))
    assert len(waiting) == 1
    with Night(load(), run_id=WAITING) as night:
        assert releasing.validate(night).passed
        release = releasing.publish(night)
    assert current(refused)["release_id"] == release.release_id
    with Night(load(), run_id=WAITING) as night, pytest.raises(NorthstarError, match="is gone: it was published, or another"):
        releasing.publish(night)


def test_another_night_in_between_ends_the_run(refused):
    before = current(refused)
    with Night(load()) as night:
        intake.ingest(night)
        intake.plan(night)
    assert list((refused / "published").glob(".candidate-*")) == []
    with Night(load(), run_id=WAITING) as night:
        with pytest.raises(NorthstarError, match="is gone: it was published, or another run has cleared it away; start a new"):
            releasing.validate(night)
        with pytest.raises(UserError, match="holds what another run has built since; start a new one, `northstar nightly`"):
            stages.run_task(night, "score")
    assert current(refused) == before


def test_another_configuration_ends_the_run(refused, monkeypatch):
    monkeypatch.delenv("NORTHSTAR_CONFIG")  # exported as empty: no file
    (refused / "northstar.toml").write_text('gross_margin = "0.5"\n')
    with Night(load(), run_id=WAITING) as night, pytest.raises(UserError, match="the configuration has changed since; start"):
        releasing.validate(night)


def test_a_waiver_does_not_end_the_run(refused, monkeypatch):
    monkeypatch.delenv("NORTHSTAR_CONFIG")
    (refused / "waivers.toml").write_text(
        '[[waivers]]\nmart = "mart_mrr__month"\ncheck = "row_count"\nreason = "known"\nby = "ann"\nuntil = 2099-01-01\n'
    )
    with Night(load(), run_id=WAITING) as night:
        assert releasing.validate(night).passed


def test_another_lake_ends_the_run(refused):
    state = refused / "runs" / f"{WAITING}.json"
    told = json.loads(state.read_text())
    assert told["lake_digest"]
    state.write_text(json.dumps({**told, "lake_digest": "of another lake"}))
    with Night(load(), run_id=WAITING) as night, pytest.raises(UserError, match="lake has changed since; start a new one"):
        releasing.validate(night)


def test_a_damaged_state_is_named(refused):
    state = refused / "runs" / f"{WAITING}.json"
    state.write_text("{")
    with pytest.raises(NorthstarError, match=r"waiting.json is not the state of a run .* remove it and run `northstar nightly`"):
        Night(load(), run_id=WAITING).__enter__()
    with Night(load()):
        pass


@pytest.mark.long
def test_models_built_again_after_the_plan_was_folded_lose_nothing(refused):
    """The days that a folded plan replaced are forgotten: the step plans anew instead of replacing them by nothing."""
    counts = look(refused, "select count(*) from intermediate.int_events__unique")
    with Night(load(), run_id=WAITING) as night:
        assert night.state.is_folded
        assert not any(result.is_failure for result in building.build(night))
    assert look(refused, "select count(*) from intermediate.int_events__unique") == counts


def test_states_of_the_newest_runs_are_kept(tmp_path):
    states = RunStates(tmp_path)
    for number in range(35):
        states.write(states.read(f"run-{number:02}"))
    assert len(list((tmp_path / "runs").iterdir())) == 30
    assert states.read("run-34").run_id == "run-34"
