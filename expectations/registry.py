"""Registry of suites by mart.

Belongs here: the mapping from a mart's name to the builder of its suite. Does not belong here: any rule.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from expectations.checks import Check, Context
from expectations.common import Declared
from expectations.suites import customer, engagement, funnel, lifetime_value, metrics, quality, releases, retention, revenue

SuiteBuilder = Callable[[Context, Declared], list[Check]]

SUITES: Mapping[str, SuiteBuilder] = MappingProxyType(
    {
        customer.CHURN: customer.churn,
        customer.HEALTH: customer.health,
        engagement.DAILY: engagement.daily,
        funnel.EXITS: funnel.exits,
        funnel.MART: funnel.entry,
        funnel.OPPORTUNITIES: funnel.opportunities,
        metrics.DAILY: metrics.daily,
        metrics.TREE: metrics.tree,
        quality.DAILY: quality.daily,
        releases.RESTATEMENTS: releases.restatements,
        retention.MART: retention.cohort,
        revenue.LTV_CAC: revenue.ltv_cac,
        lifetime_value.LTV_COHORT: lifetime_value.ltv_cohort,
        lifetime_value.LTV_CUSTOMER: lifetime_value.ltv_customer,
        revenue.MRR_MONTH: revenue.mrr_month,
    }
)


class UnknownMartError(ValueError):
    """A mart has no suite, so it would be published unchecked."""


def suite_for(mart: str) -> SuiteBuilder:
    """Return the builder of a mart's suite; raises UnknownMartError when none is registered."""
    try:
        return SUITES[mart]
    except KeyError:
        raise UnknownMartError(
            f"mart {mart!r} has no suite of expectations; registered are {', '.join(sorted(SUITES))}"
        ) from None
