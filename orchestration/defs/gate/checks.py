"""One blocking check per mart, and one for the release's own description, on the candidate's bytes.

A blocking check stops downstream assets only in its own run. A publication without it is refused by `releasing.publish`, which
promotes only on the gate's verdict about the exact bytes.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from orchestration.defs.publish.assets import CANDIDATE
from orchestration.defs.resources import WAREHOUSE_POOL
from orchestration.night import releasing
from orchestration.night.run import Night

_PUBLICATION = "_publication"


def build(marts: Sequence[str]) -> dg.AssetChecksDefinition:
    """The checks of the given marts."""
    names = {mart: f"{mart}__expectations" for mart in marts} | {_PUBLICATION: "publication__expectations"}

    @dg.multi_asset_check(
        name="gate",
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=CANDIDATE,
                blocking=True,
                description=f"Every expectation of {mart} was evaluated and none critical failed.",
            )
            for mart, name in names.items()
        ],
        pool=WAREHOUSE_POOL,
    )
    def gate(night: dg.ResourceParam[Night]) -> Iterator[dg.AssetCheckResult]:
        report = releasing.validate(night)
        judged = {mart.mart: mart for mart in report.marts}
        for mart, name in names.items():
            if mart in judged:
                failed = [check for check in judged[mart].checks if check.status != "passed"]
                yield dg.AssetCheckResult(
                    check_name=name,
                    asset_key=CANDIDATE,
                    passed=judged[mart].passed,
                    metadata={
                        "declared": judged[mart].declared,
                        "evaluated": judged[mart].evaluated,
                        "not passed": [
                            f"{check.label}: {check.name}: {check.observed} (expected {check.expected}) {check.waived}".rstrip()
                            for check in failed
                        ],
                    },
                )
            else:
                # Omitted from the release: nothing was judged, so it does not pass; nothing is exposed, so it need not block.
                yield dg.AssetCheckResult(
                    check_name=name,
                    asset_key=CANDIDATE,
                    passed=False,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"left out": (night.state.left_out or {}).get(mart, "it is no mart of this candidate")},
                )

        # Raised here with the details: downstream assets would only report that a check failed.
        releasing.require_passed(night)

    return gate
