"""The checks of scores, each with what passes and what fails it."""

from dataclasses import replace

import pytest

from ml.churn.drift import Drift
from orchestration.ml_steps.churn import Scored, judge

CALM = Drift(200, 900, 0.2, 150, (), ("tenure_days",), (), {})
GOOD = Scored("m1", accounts=200, rows=200, lowest=0.0, highest=1.0, different=190, drift=CALM)


def test_good_scores_pass_every_check() -> None:
    assert all(finding.passed for finding in judge(GOOD).values())


@pytest.mark.parametrize(
    ("scored", "failed"),
    [
        (replace(GOOD, rows=199), "scores_cover_every_paying_account"),
        (replace(GOOD, lowest=-0.1), "scores_are_probabilities"),
        (replace(GOOD, highest=1.1), "scores_are_probabilities"),
        (replace(GOOD, lowest=float("nan")), "scores_are_probabilities"),
        (replace(GOOD, different=1), "scores_differ"),
        (replace(GOOD, drift=replace(CALM, drifted=("tenure_days", "usage_ratio"))), "scores_have_not_drifted"),
        (replace(GOOD, drift=replace(CALM, off_schema={"seats": "seats is missing"})), "scores_have_not_drifted"),
    ],
)
def test_each_fault_fails_its_check_alone(scored: Scored, failed: str) -> None:
    assert [name for name, finding in judge(scored).items() if not finding.passed] == [failed]


@pytest.mark.parametrize(("rows", "passed"), [(19, True), (20, False)])
def test_few_accounts_may_score_alike(rows: int, passed: bool) -> None:
    assert judge(replace(GOOD, accounts=rows, rows=rows, different=1))["scores_differ"].passed is passed


def test_nobody_to_score_is_no_fault() -> None:
    nobody = Scored("m1", accounts=0)
    assert all(finding.passed for finding in judge(nobody).values())


def test_without_a_model_nothing_was_judged() -> None:
    assert not any(finding.passed for finding in judge(Scored(None, accounts=5)).values())


def test_a_drifted_feature_is_named() -> None:
    drifted = replace(GOOD, drift=replace(CALM, drifted=("usage_ratio", "tenure_days", "churn_probability")))
    assert judge(drifted)["scores_have_not_drifted"].numbers == {"drifted": "usage_ratio, churn_probability"}
