"""Checks of the scores, before anything is built of them: every account that pays has one, and they say something."""

from collections.abc import Iterator

import dagster as dg

from orchestration.churn import Scored
from orchestration.defs.churn.assets import SCORES
from orchestration.night import Night
from orchestration.resources import WAREHOUSE_POOL

_Verdict = tuple[bool, dict[str, int | float | str]]

# With fewer accounts one score for all may be right.
_ENOUGH_TO_DIFFER = 20

_DESCRIPTIONS = {
    "scores_cover_every_paying_account": "Every account that pays on the last complete day has one score.",
    "scores_are_probabilities": "No score lies outside 0 to 1.",
    "scores_differ": f"Of {_ENOUGH_TO_DIFFER} accounts and more not all have the same score.",
    "scores_have_not_drifted": "What is scored still looks like what the model learnt from; another is trained when it does not.",
}


@dg.multi_asset_check(
    name="churn_scores_checks",
    specs=[
        dg.AssetCheckSpec(name, asset=SCORES, blocking=name != "scores_have_not_drifted", description=description)
        for name, description in _DESCRIPTIONS.items()
    ],
    pool=WAREHOUSE_POOL,
)
def churn_scores_checks(night: dg.ResourceParam[Night]) -> Iterator[dg.AssetCheckResult]:
    """Judge the scores of this run; without a model nothing was judged, which is no pass, and nothing is built of it."""
    scored = night.scored
    for name, (passed, metadata) in judge(scored).items():
        is_alarm = scored.model_version is not None and name != "scores_have_not_drifted"
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key=SCORES,
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR if is_alarm else dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )


def judge(scored: Scored) -> dict[str, _Verdict]:
    """What each check says of scores, and the numbers that it compared."""
    if scored.model_version is None:
        return {name: (False, {"left out": "no model has earned its place yet"}) for name in _DESCRIPTIONS}
    lowest, highest = scored.lowest, scored.highest
    alarms = scored.drift.alarms if scored.drift else ()
    verdicts: tuple[_Verdict, ...] = (
        (scored.rows == scored.accounts, {"scored": scored.rows, "paying": scored.accounts}),
        (
            lowest is None or highest is None or 0 <= lowest <= highest <= 1,
            {} if lowest is None or highest is None else {"lowest": lowest, "highest": highest},
        ),
        (scored.different > 1 or scored.rows < _ENOUGH_TO_DIFFER, {"different scores": scored.different, "scored": scored.rows}),
        (not alarms, {"drifted": ", ".join(alarms) or "nothing"}),
    )
    return dict(zip(_DESCRIPTIONS, verdicts, strict=True))
