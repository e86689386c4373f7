"""What is asked of a world: each mart, and each model that has an oracle of its own, with the rows that its oracle expects.

Belongs here: which model answers to which oracle, and with what inputs. Does not belong here: worlds (`drawn`), building
(`tests.dbt.harness`), oracles.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import cycle
from typing import Any

from tests.dbt.comparison import assert_same
from tests.dbt.funnels import shipped
from tests.dbt.harness import DbtProject
from tests.oracles.churn import INDICATORS, Known, churn_accounts, features, indicators
from tests.oracles.clv import HORIZONS, account_customers, ltv_customers, shop_customers, subscription_tenures
from tests.oracles.delivery import delivery
from tests.oracles.engagement import engagement_days
from tests.oracles.funnel import FunnelSpec, funnel_entries
from tests.oracles.funnel_losses import funnel_exits, funnel_opportunities
from tests.oracles.health import health
from tests.oracles.ltv import ltv_cohorts
from tests.oracles.ltv_cac import channel_months
from tests.oracles.metrics import metric_rows, tree_of
from tests.oracles.mrr import mrr_months
from tests.oracles.persons import Identities, people, unique_events, without_bots
from tests.oracles.quality import quality_daily
from tests.oracles.reporting import Arrivals, Facts, Reporting, arrivals_of
from tests.oracles.retention import retention_cohorts
from tests.oracles.sessions import sessions
from tests.world.drawn import EVENT_NAMES, World

RISK_BOUNDS = (0.1, 0.25, 0.5)

Expected = Mapping[Any, Mapping[str, Any]]


@dataclass
class Case:
    """A world under one configuration, with what its models predict."""

    world: World
    reporting: Reporting

    @property
    def facts(self) -> Facts:
        return self.world.facts

    @property
    def given(self) -> dict[str, Any]:
        """What a run is given beside the facts (`tests.dbt.inputs.Given`)."""
        return {
            "funnels": [configured for configured, _ in self.world.defined],
            "event_names": EVENT_NAMES,
            "targets": self.world.targets,
            "pages": self.world.pages,
            "arrivals": self.arrivals,
            "predictions": {
                "ltv_cohorts": self.world.cohorts,
                "ltv_customers": self.customers,
                "churn_scores": self.scores,
            },
        }

    @cached_property
    def arrivals(self) -> Arrivals:
        return arrivals_of(self.facts, self.world.refused)

    @cached_property
    def specs(self) -> list[FunnelSpec]:
        return [spec for _, spec in self.world.defined] + shipped()

    @cached_property
    def shoppers(self) -> Expected:
        return shop_customers(self.facts, self.reporting)

    @cached_property
    def customers(self) -> list[dict[str, Any]]:
        """What a model says of every customer of the shop."""
        return [predicted(person, worth) for (person,), worth in zip(self.shoppers, cycle(self.world.worths), strict=False)]

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        """What a model says of every account that has features on the last day."""
        known = Known(self.facts, self.reporting, self.reporting.data_through, EVENT_NAMES)
        pushes = cycle((0.0, 0.2, 0.0, -0.2, 0.2, 0.0, -0.7))
        return [
            {"as_of_date": self.reporting.data_through, "account_id": account}
            | {"churn_probability": chance, "model_version": "m"}
            | {f"{name}_contribution": next(pushes) for name in INDICATORS}
            for account, chance in zip(known.valued, cycle(self.world.chances), strict=False)
        ]

    @cached_property
    def metrics(self) -> Expected:
        return metric_rows(self.facts, self.reporting, self.world.targets, EVENT_NAMES, self.world.cohorts, self.arrivals)


def predicted(person: str, worth: float | None) -> dict[str, Any]:
    """What a model says of a customer that is worth so much in its first year; without one, the reason."""
    names = ("p_alive", "expected_orders_90d", "expected_orders_365d")
    said: dict[str, Any] = {name: None if worth is None else (number + 1) / 3 for number, name in enumerate(names)}
    said["expected_order_value"] = worth
    said |= {f"predicted_ltv_{horizon}m": None if worth is None else worth + number for number, horizon in enumerate(HORIZONS)}
    return {"person_id": person, **said, "method": "none: no stable fit" if worth is None else "bg_nbd_gamma_gamma"}


def visitors(facts: Facts, reporting: Reporting) -> Expected:
    """Every pair of ids that an event has, with its person."""
    unique = unique_events(facts.get("events", ()))
    counted = [row for row in without_bots(unique, reporting) if reporting.day(row["occurred_at"]) <= reporting.data_through]
    identities = Identities(counted, reporting)
    return {(row.get("anonymous_id"), row.get("user_id")): {"person_id": identities.of_row(row)} for row in unique}


def persons(facts: Facts, reporting: Reporting) -> Expected:
    """Every person who is not internal, with what is known of it."""
    expected = {}
    for person in people(facts, reporting).persons.values():
        row = asdict(person)
        if row.pop("is_internal"):
            continue
        row["first_seen_date"] = row.pop("first_seen_day")
        row["signed_up_date"] = person.signed_up_at and reporting.day(person.signed_up_at)
        expected[row.pop("person_id"),] = row
    return expected


# Model → its key, and what its oracle expects in a case.
QUESTIONS: dict[str, tuple[tuple[str, ...], Callable[[Case], Expected]]] = {
    "int_identity__visitors": (("anonymous_id", "user_id"), lambda case: visitors(case.facts, case.reporting)),
    "dim_persons": (("person_id",), lambda case: persons(case.facts, case.reporting)),
    "fct_sessions": (("person_id", "session_number"), lambda case: sessions(case.facts, case.reporting, EVENT_NAMES)),
    "int_clv__shop_customers": (("person_id",), lambda case: case.shoppers),
    "int_clv__account_customers": (("customer_id",), lambda case: account_customers(case.facts, case.reporting)),
    "int_clv__subscription_tenures": (
        ("plan", "channel", "period"),
        lambda case: subscription_tenures(case.facts, case.reporting),
    ),
    "int_churn__features": (("as_of_date", "account_id"), lambda case: features(case.facts, case.reporting, EVENT_NAMES)),
    "int_churn__indicators": (("as_of_date", "account_id"), lambda case: indicators(case.facts, case.reporting, EVENT_NAMES)),
    "mart_churn__account": (
        ("as_of_date", "account_id"),
        lambda case: churn_accounts(case.facts, case.reporting, case.scores, RISK_BOUNDS, EVENT_NAMES),
    ),
    "mart_health__account": (("as_of_date", "account_id"), lambda case: health(case.facts, case.reporting, EVENT_NAMES)),
    "mart_retention__cohort": (
        ("cohort_event", "rule", "cohort_grain", "cohort_start", "dimension", "segment", "period_index"),
        lambda case: retention_cohorts(case.facts, case.reporting),
    ),
    "mart_engagement__daily": (
        ("date", "dimension", "segment"),
        lambda case: engagement_days(case.facts, case.reporting, EVENT_NAMES),
    ),
    "mart_funnel__entry": (
        ("funnel", "entry_grain", "entry_start", "dimension", "segment", "step_number"),
        lambda case: funnel_entries(case.facts, case.reporting, case.specs, EVENT_NAMES),
    ),
    "mart_funnel_exits__weekly": (
        ("funnel", "step_number", "week", "exit_page"),
        lambda case: funnel_exits(case.facts, case.reporting, case.specs, EVENT_NAMES, **case.world.pages.model_dump()),
    ),
    "mart_funnel_opportunities__current": (
        ("funnel", "step_number"),
        lambda case: funnel_opportunities(case.facts, case.reporting, case.specs, EVENT_NAMES),
    ),
    "mart_mrr__month": (("month", "dimension", "segment"), lambda case: mrr_months(case.facts, case.reporting)),
    "mart_ltv__cohort": (
        ("cohort_month", "dimension", "segment", "age_months"),
        lambda case: ltv_cohorts(case.facts, case.reporting, case.world.cohorts),
    ),
    "mart_ltv__customer": (
        ("as_of_date", "person_id"),
        lambda case: ltv_customers(case.facts, case.reporting, case.customers),
    ),
    "mart_ltv_cac__channel_month": (
        ("month", "channel"),
        lambda case: channel_months(case.facts, case.reporting, case.world.cohorts),
    ),
    "mart_metric__daily": (("metric", "period", "period_start", "dimension", "segment"), lambda case: case.metrics),
    "mart_metric_tree__current": (
        ("metric",),
        lambda case: tree_of(case.metrics, delivery(case.facts, case.reporting, EVENT_NAMES), case.world.targets),
    ),
    "mart_data_quality__daily": (
        ("date", "source"),
        lambda case: quality_daily(case.facts, case.reporting, case.arrivals),
    ),
}


# Columns that the oracle of another model asks for: the metrics' own, of who invited whom.
_ELSEWHERE = {"dim_persons": {"invited_by_user_id"}}


def ask_all(project: DbtProject, world: World) -> dict[str, str]:
    """Build a world's models once and compare each with its oracle: the difference by model, where there is one."""
    case = Case(world, project.reporting(world.data_through))
    project.build(tuple(QUESTIONS), case.facts, case.reporting, **case.given)
    different = {}
    for model, (key, expected) in QUESTIONS.items():
        try:
            rows = [{name: row[name] for name in row if name not in _ELSEWHERE.get(model, ())} for row in project.read(model)]
            assert_same(rows, key, expected(case))
        except AssertionError as error:
            different[model] = str(error)
    return different
