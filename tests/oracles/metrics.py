"""Oracle of mart_metric__daily and mart_metric_tree__current: every metric counted fact by fact, in the words of its definition.

Belongs here: what is counted for which metric and on which day, periods, growth, targets, statuses. Does not belong here: what
other marts publish already (their own oracles), who the persons are (`persons`).
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

from tests.oracles.delivery import Delivered, delivery, missing, since
from tests.oracles.engagement import CORE_FEATURE_EVENTS
from tests.oracles.health import health
from tests.oracles.ltv import Rates, _customer, _owner, customer_amounts, ltv_cohorts
from tests.oracles.ltv_cac import channel_months
from tests.oracles.mrr import account_profiles, mrr_months, paid_months
from tests.oracles.persons import NO_PURCHASE, SEEDS, Event, People, Person, latest_state, paid_kind, people
from tests.oracles.quality import quality_daily
from tests.oracles.reporting import Arrivals, Facts, Reporting, Row, arrivals_of
from tests.oracles.retention import retention_cohorts
from tests.oracles.sessions import sessions

Key = tuple[str, str, date, str, str]
Cell = tuple[date, str, str]
SILENCE = timedelta(days=30)
WEEK, MONTH = timedelta(days=7), timedelta(days=30)
ANSWERS = {
    "wecom_friend_acceptance": ("friend_requested", "friend_accepted"),
    "wecom_reply_rate": ("message_sent", "message_replied"),
    "wecom_moments_engagement": ("moment_posted", "moment_reacted"),
}
RETENTIONS = {("signup", "day", days): f"retention_d{days}" for days in (1, 7, 30, 90)} | {
    ("first_payment", "month", 12): "retention_12m"
}


@dataclass(frozen=True)
class Definition:
    """A metric as the seeds define it; `target` is the shipped one or the configured one."""

    row: Mapping[str, str]
    aim: Mapping[str, str]
    target: Decimal | None

    @property
    def kind(self) -> str:
        """How the value comes of numerator and denominator."""
        return self.row["kind"]

    @property
    def period(self) -> str:
        """Day, month or quarter."""
        return self.row["period"]

    @property
    def lag(self) -> timedelta:
        """Time after a day until what happened on it is known."""
        return timedelta(days=int(self.row["lag_days"]))


@dataclass(frozen=True)
class Measured:
    """One thing that counts for a metric on a day, of a channel and country; `of` is what it adds to the denominator."""

    day: date
    channel: str | None
    country: str | None
    amount: Decimal | int
    of: int = 1


@dataclass
class Figure:
    """A metric's sums in one period of one segment."""

    numerator: Decimal | Fraction | int | None
    denominator: Decimal | Fraction | int | None
    is_complete: bool
    value: Fraction | None = None


def metric_rows(
    facts: Facts,
    reporting: Reporting,
    targets: Mapping[str, Decimal] | None = None,
    event_names: Mapping[str, str] | None = None,
    predictions: Sequence[Row] = (),
    arrivals: Arrivals | None = None,
) -> dict[Key, dict[str, Any]]:
    """Rows by (metric, period, period_start, dimension, segment).

    targets: the configured ones; predictions: what the models say of cohorts (`ml.ltv_cohorts`); arrivals: ingest's counts, where
    they differ from the landed rows.
    """
    rates = Rates(facts, reporting)
    definitions = _definitions(targets)
    rows: dict[Key, dict[str, Any]] = {}
    for metric, figures in _figures(facts, reporting, definitions, event_names, predictions, arrivals).items():
        definition = definitions[metric]
        for (start, dimension, segment), figure in figures.items():
            before = figures.get((_start(definition.period, start - timedelta(days=1)), dimension, segment))
            previous = before.value if before else None
            target = _target(
                definition, dimension, min(_last(definition.period, start), reporting.data_through), rates, reporting
            )
            change = (figure.value - previous) / abs(previous) if figure.value is not None and previous else None
            rows[metric, definition.period, start, dimension, segment] = {
                "value": _float(figure.value),
                "numerator": _float(figure.numerator),
                "denominator": _float(figure.denominator),
                "target": _float(target),
                "direction": definition.aim.get("direction"),
                "status": _status(figure.value, target, definition.aim.get("direction")) if figure.is_complete else "grey",
                "previous_value": _float(previous),
                "change_rate": _float(change),
                "is_complete": figure.is_complete,
            }
    return rows


def metric_tree(
    facts: Facts, reporting: Reporting, targets: Mapping[str, Decimal] | None = None, event_names: Mapping[str, str] | None = None
) -> dict[tuple[str], dict[str, Any]]:
    """Rows by metric."""
    return tree_of(metric_rows(facts, reporting, targets, event_names), delivery(facts, reporting, event_names), targets)


def tree_of(
    rows: Mapping[Key, Mapping[str, Any]], delivered: Mapping[str, Delivered], targets: Mapping[str, Decimal] | None = None
) -> dict[tuple[str], dict[str, Any]]:
    """The tree over rows of `metric_rows`."""
    tree: dict[tuple[str], dict[str, Any]] = {}
    for metric, definition in _definitions(targets).items():
        row, aim = definition.row, definition.aim
        own = {key: figure for key, figure in rows.items() if key[0] == metric}
        complete = {key[2]: figure for key, figure in own.items() if key[3] == "all" and figure["is_complete"]}
        newest = max(complete, default=None)
        unknown = missing(row["requires"], delivered)
        needs = f": needs {row['requires']}" if row["requires"] else ""
        reason = f"needs {unknown}" if unknown else row["missing"] or f"nothing to compute it from yet{needs}"
        tree[(metric,)] = {
            "parent": row["parent"] or None,
            "label_zh": aim.get("label_zh") or row["label_zh"],
            "label_en": aim.get("label_en") or row["label_en"],
            "tier": int(aim["tier"]) if aim else None,
            "stage": aim.get("stage"),
            "kind": row["kind"],
            "period": row["period"],
            "numerator_definition": row["numerator"] or None,
            "denominator_definition": row["denominator"] or None,
            "unit": aim.get("unit"),
            "direction": aim.get("direction"),
            "target": definition.target,
            "note": aim.get("note") or None,
            "is_computed": bool(own),
            "missing_reason": None if own else reason,
            "latest_period_start": newest,
            "latest_value": complete[newest]["value"] if newest else None,
            "latest_status": complete[newest]["status"] if newest else None,
        }
    return tree


def _figures(
    facts: Facts,
    reporting: Reporting,
    definitions: Mapping[str, Definition],
    event_names: Mapping[str, str] | None,
    predictions: Sequence[Row],
    arrivals: Arrivals | None,
) -> dict[str, dict[Cell, Figure]]:
    """Figures by metric, their values filled in."""
    company = _Company(facts, reporting, event_names)
    delivered = delivery(facts, reporting, event_names)
    figures = {
        metric: _periods(
            definitions[metric], list(measure(company)), reporting, since(definitions[metric].row["requires"], delivered)
        )
        for metric, measure in _MEASURES.items()
    } | _published(facts, reporting, definitions, event_names, predictions, arrivals)
    figures = {metric: {} if missing(definitions[metric].row["requires"], delivered) else own for metric, own in figures.items()}
    for metric, own in figures.items():
        for figure in own.values():
            if definitions[metric].kind != "median":
                figure.value = _value(definitions[metric].kind, figure)
    for metric, definition in definitions.items():
        if base := definition.row["growth_of"]:
            figures[metric] = _growth(figures.get(base, {}), definition.period)
    return figures


def _periods(
    definition: Definition, measured: Sequence[Measured], reporting: Reporting, since: date | None
) -> dict[Cell, Figure]:
    """The sums of each segment from its first period to the running one; unknown before its sources held any fact."""
    known = [thing for thing in measured if thing.day <= reporting.data_through]
    parts: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for thing in known:
        for part in (("all", "all"), ("channel", thing.channel or "(none)"), ("country", thing.country or "(none)")):
            parts[part].append(thing)
    figures: dict[Cell, Figure] = {}
    for (dimension, segment), things in parts.items():
        start = _start(definition.period, min(thing.day for thing in things))
        while start <= reporting.data_through:
            last = _last(definition.period, start)
            if since and last + definition.lag < since:
                start = last + timedelta(days=1)
                continue
            due = [
                thing for thing in things if start <= thing.day <= last and thing.day + definition.lag <= reporting.data_through
            ]
            figures[start, dimension, segment] = figure = Figure(
                None if definition.kind == "median" else sum((thing.amount for thing in due), 0),
                None if definition.kind == "count" else sum(thing.of for thing in due),
                min(thing.day for thing in known) <= start and last + definition.lag <= reporting.data_through,
            )
            if definition.kind == "median":
                figure.value = _median([Fraction(thing.amount) for thing in due])
            start = last + timedelta(days=1)
    return figures


def _published(
    facts: Facts,
    reporting: Reporting,
    definitions: Mapping[str, Definition],
    event_names: Mapping[str, str] | None,
    predictions: Sequence[Row],
    arrivals: Arrivals | None,
) -> dict[str, dict[Cell, Figure]]:
    """What other marts publish, in their dimensions and complete when they are."""
    found: dict[str, dict[Cell, Figure]] = defaultdict(dict)
    for (month, dimension, segment), row in mrr_months(facts, reporting).items():
        found["mrr"][month, dimension, segment] = Figure(row["closing_mrr"], None, row["is_complete"])

    by_month: dict[date, dict[str, dict[str, Any]]] = defaultdict(dict)
    for (month, channel), row in channel_months(facts, reporting, predictions).items():
        by_month[month][channel] = row
        cell = (month, "all", "all") if channel == "all" else (month, "channel", channel)
        customers = row["new_customer_count" if channel == "all" else "paid_customer_count"]
        found["cac"][cell] = Figure(row["spend"], customers, row["is_complete"])
        earned = None if row["margin"] is None or row["spend"] is None else row["margin"] - row["spend"]
        found["marketing_roi"][cell] = Figure(earned, row["spend"], row["is_complete"])
        if row["ltv_predicted"] is not None:
            worth = None if customers is None else Decimal(row["ltv_predicted"]) * customers
            found["ltv_to_cac"][cell] = Figure(worth, row["spend"], row["is_complete"])
            found["cac_to_ltv_alarm"][cell] = Figure(row["spend"], worth, row["is_complete"])
    for (month, dimension, segment, age), row in ltv_cohorts(facts, reporting, predictions).items():
        if age == 0 and row["predicted_ltv_36m"] is not None:
            worth = Decimal(row["predicted_ltv_36m"]) * row["customer_count"]
            found["ltv"][month, dimension, segment] = Figure(worth, row["customer_count"], row["is_mature"])
    scores: dict[date, list[Decimal]] = defaultdict(list)
    for (day, _), account in health(facts, reporting, event_names).items():
        if account["health_score"] is not None:
            scores[day].append(Decimal(account["health_score"]).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP))
    for day, healths in scores.items():
        found["avg_health_score"][day, "all", "all"] = Figure(sum(healths, Decimal(0)), len(healths), is_complete=True)
    for month, channels in by_month.items():
        known = [row["signup_count"] for channel, row in channels.items() if channel not in ("all", "(none)")]
        counts = [count for count in known if count is not None]
        found["max_channel_share"][month, "all", "all"] = Figure(
            max(counts, default=None), sum(counts) if counts else None, channels["all"]["is_complete"]
        )

    cells: dict[tuple[str, Cell], list[dict[str, Any]]] = defaultdict(list)
    for (event, rule, grain, start, dimension, segment, index), row in retention_cohorts(facts, reporting).items():
        if rule == "exact" and (event, grain, index) in RETENTIONS:
            cells[RETENTIONS[event, grain, index], (_start("month", start), dimension, segment)].append(row)
    for (name, of), cohorts in cells.items():
        mature = [cohort for cohort in cohorts if cohort["is_mature"]]
        is_over = _last("month", of[0]) + definitions[name].lag <= reporting.data_through
        found[name][of] = Figure(
            sum(cohort["retained_count"] for cohort in mature),
            sum(cohort["cohort_count"] for cohort in mature),
            is_over and len(mature) == len(cohorts),
        )

    days: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for (day, _), row in quality_daily(facts, reporting, arrivals_of(facts) if arrivals is None else arrivals).items():
        if day <= reporting.data_through:
            days[day].append(row)
    for day, sources in days.items():
        accepted, landed = (sum(row[name] for row in sources) for name in ("accepted_count", "landed_count"))
        found["data_accuracy"][day, "all", "all"] = Figure(accepted, landed, is_complete=True)
    return dict(found)


def _growth(base: Mapping[Cell, Figure], period: str) -> dict[Cell, Figure]:
    """Of every period that has one before it; no figure unless both are complete."""
    figures: dict[Cell, Figure] = {}
    for (start, dimension, segment), figure in base.items():
        before = base.get((_start(period, start - timedelta(days=1)), dimension, segment))
        if before is None:
            continue
        grown = Figure(None, None, figure.is_complete and before.is_complete)
        if grown.is_complete and figure.value is not None and before.value is not None:
            grown.numerator, grown.denominator = figure.value - before.value, before.value
            grown.value = _value("ratio", grown)
        figures[start, dimension, segment] = grown
    return figures


class _Company:
    """What the facts say, read once: persons, what each did by the last day of data, accounts."""

    def __init__(self, facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None) -> None:
        self.facts = facts
        self.reporting = reporting
        self.event_names = event_names
        self.people: People = people(facts, reporting, event_names)
        self.persons = {key: person for key, person in self.people.persons.items() if not person.is_internal}
        # What happens after the last day of data has not happened yet.
        self.events = [event for event in self.people.events if event.day <= reporting.data_through]

    def signed_up(self, person: Person) -> datetime | None:
        """When a person signed up, as far as that is known on the last day of data."""
        at = person.signed_up_at
        return at if at and self.reporting.day(at) <= self.reporting.data_through else None

    @cached_property
    def signups(self) -> list[tuple[Person, datetime, date]]:
        """Everybody who signed up, when and on which day."""
        return [
            (person, at, self.reporting.day(at)) for person in self.persons.values() if (at := self.signed_up(person)) is not None
        ]

    @cached_property
    def months(self) -> dict[tuple[date, str], list[Event]]:
        """Events by month and person."""
        found: dict[tuple[date, str], list[Event]] = defaultdict(list)
        for event in self.events:
            found[_start("month", event.day), event.person_id].append(event)
        return found

    def first(self, name: str) -> dict[str, datetime]:
        """When each person first did something."""
        found: dict[str, datetime] = {}
        for event in self.events:
            if event.name == name:
                found[event.person_id] = min(found.get(event.person_id, event.at), event.at)
        return found

    def profile(self, row: Mapping[str, Any]) -> tuple[str | None, str | None, bool]:
        """Channel, country and is_internal of whoever a row names: its user's person, else its account."""
        user_id = row.get("user_id")
        person = self.people.persons.get(self.people.identities.of_user(user_id)) if user_id else None
        account = account_profiles(self.facts, self.reporting).get(row.get("account_id") or "", {})
        return (
            (person.channel if person else None) or account.get("channel"),
            (person.country if person else None) or account.get("country"),
            person.is_internal if person else bool(account.get("is_internal")),
        )

    def told(self, source: str, key: str, at: str) -> Iterator[tuple[Mapping[str, Any], date, str | None, str | None]]:
        """Rows of a source that are not staff's, each with its day, channel and country."""
        for row in latest_state(self.facts.get(source, ()), [key]):
            channel, country, is_internal = self.profile(row)
            if not is_internal:
                yield row, self.reporting.day(row[at]), channel, country


Measure = Callable[[_Company], Iterator[Measured]]


def _of(person: Person, day: date, amount: Decimal | int = 1, of: int = 1) -> Measured:
    return Measured(day, person.channel, person.country, amount, of)


def _signups(company: _Company) -> Iterator[Measured]:
    for person, _, day in company.signups:
        yield _of(person, day)


def _visitors(company: _Company) -> Iterator[Measured]:
    """Seen or signed up in a month, and signed up not before it; `amount` says whether they signed up in it."""
    joined = {person.person_id: day for person, _, day in company.signups}
    seen = {key: min(event.day for event in events) for key, events in company.months.items()}
    came = {(_start("month", day), person_id): day for person_id, day in joined.items()} | seen
    for (month, person_id), day in came.items():
        if person_id not in joined or joined[person_id] >= month:
            has_joined = person_id in joined and _start("month", joined[person_id]) == month
            yield _of(company.persons[person_id], day, int(has_joined))


def _visitor_count(company: _Company) -> Iterator[Measured]:
    for visitor in _visitors(company):
        yield Measured(visitor.day, visitor.channel, visitor.country, 1)


def _viral(company: _Company) -> Iterator[Measured]:
    for person, _, day in company.signups:
        assert person.user_id is not None
        yield _of(person, day, int(company.people.users[person.user_id].get("invited_by_user_id") is not None), 0)
    for active in _active(company):
        yield Measured(active.day, active.channel, active.country, 0, 1)


def _content(company: _Company) -> Iterator[Measured]:
    for person_id, at in company.first("content_viewed").items():
        person = company.persons[person_id]
        joined = company.signed_up(person)
        if joined is None or joined > at:
            yield _of(person, company.reporting.day(at), int(joined is not None and joined <= at + MONTH))


def _reached(name: str, within: timedelta) -> Measure:
    def measure(company: _Company) -> Iterator[Measured]:
        reached = company.first(name)
        for person, at, day in company.signups:
            yield _of(person, day, int(person.person_id in reached and reached[person.person_id] <= at + within))

    return measure


def _time_to_value(company: _Company) -> Iterator[Measured]:
    values = company.first("value_achieved")
    for person, at, _ in company.signups:
        if value_at := values.get(person.person_id):
            yield _of(person, company.reporting.day(value_at), max(_units(value_at - at, 60), Decimal(0)))


def _free_to_paid(company: _Company) -> Iterator[Measured]:
    paid: dict[str, datetime] = {}
    for payment in latest_state(company.facts.get("payments", ()), ["payment_id"]):
        owner = _owner(payment, company.people)
        if owner and payment["status"] == "succeeded" and paid_kind(payment) == "subscription":
            paid[owner] = min(paid.get(owner, payment["paid_at"]), payment["paid_at"])
    profiles = account_profiles(company.facts, company.reporting)
    for account in latest_state(company.facts.get("accounts", ()), ["account_id"]):
        profile = profiles[account["account_id"]]
        if not profile["is_internal"]:
            first = paid.get(f"c:{account['account_id']}")
            has_paid = first is not None and first <= account["created_at"] + MONTH
            day = company.reporting.day(account["created_at"])
            yield Measured(day, profile["channel"], profile["country"], int(has_paid))


def _active(company: _Company) -> Iterator[Measured]:
    for (_, person_id), events in company.months.items():
        yield _of(company.persons[person_id], min(event.day for event in events))


def _of_users(amount: Callable[[list[Event]], int]) -> Measure:
    """Of the persons active in a month who have signed up by its end."""

    def measure(company: _Company) -> Iterator[Measured]:
        joined = {person.person_id: _start("month", day) for person, _, day in company.signups}
        for (month, person_id), events in company.months.items():
            if joined.get(person_id, date.max) <= month:
                yield _of(company.persons[person_id], min(event.day for event in events), amount(events))

    return measure


def _has(*names: str) -> Callable[[list[Event]], int]:
    return lambda events: int(any(event.name in names for event in events))


def _feature_count(events: list[Event]) -> int:
    used = (event.row.get("feature") for event in events if event.name == "feature_used")
    return len({feature for feature in used if feature is not None})


def _session_minutes(company: _Company) -> Iterator[Measured]:
    for (person_id, _), session in sessions(company.facts, company.reporting, company.event_names).items():
        length = timedelta(seconds=session["length_seconds"])
        yield _of(company.persons[person_id], session["session_date"], _units(length, 60))


def _wakeups(company: _Company) -> Iterator[Measured]:
    days: dict[str, set[date]] = defaultdict(set)
    for event in company.events:
        days[event.person_id].add(event.day)
    joined = {person.person_id: day for person, _, day in company.signups}
    for person_id, active in days.items():
        for day in active:
            silent = day + SILENCE
            is_silent = not any(day < other <= silent for other in active)
            if is_silent and joined.get(person_id, date.max) <= silent:
                yield _of(company.persons[person_id], silent, int(any(silent < other <= silent + WEEK for other in active)))


def _answered(metric: str) -> Measure:
    asked, answered = ANSWERS[metric]

    def measure(company: _Company) -> Iterator[Measured]:
        contacts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in latest_state(company.facts.get("wecom", ()), ["interaction_id"]):
            if row["kind"] in (asked, answered):
                contacts[row["contact_id"]].append(row)
        for rows in contacts.values():
            # Of what happened at once the answer comes last.
            rows.sort(key=lambda row: (row["occurred_at"], row["kind"] == answered, row["interaction_id"]))
            for number, row in enumerate(rows):
                channel, country, is_internal = company.profile({"user_id": row.get("user_id")})
                if row["kind"] == asked and not is_internal:
                    follows = rows[number + 1] if number + 1 < len(rows) else None
                    is_answered = (
                        follows is not None
                        and follows["kind"] == answered
                        and follows["occurred_at"] <= row["occurred_at"] + WEEK
                    )
                    yield Measured(company.reporting.day(row["occurred_at"]), channel, country, int(is_answered))

    return measure


def _nps(company: _Company) -> Iterator[Measured]:
    for row, day, channel, country in company.told("surveys", "response_id", "responded_at"):
        if row["kind"] == "nps":
            yield Measured(day, channel, country, (row["score"] >= 9) - (row["score"] <= 6))


def _response_hours(company: _Company) -> Iterator[Measured]:
    for row, day, channel, country in company.told("tickets", "ticket_id", "opened_at"):
        if row.get("first_response_at") is not None:
            yield Measured(day, channel, country, _units(row["first_response_at"] - row["opened_at"], 3600))


def _first_contact(company: _Company) -> Iterator[Measured]:
    for row, day, channel, country in company.told("tickets", "ticket_id", "opened_at"):
        if row.get("resolved_at") is not None and row.get("contacts") is not None:
            yield Measured(day, channel, country, int(row["contacts"] <= 1))


def _feedback(company: _Company) -> Iterator[Measured]:
    for row, day, channel, country in company.told("feedback", "feedback_id", "created_at"):
        yield Measured(day, channel, country, int(row.get("answered_at") is not None))


def _paying(company: _Company) -> Iterator[tuple[Measured, bool]]:
    """Accounts that pay at the end of a month, and whether one had a core event in it."""
    core: set[tuple[str | None, date]] = set()
    for event in company.events:
        if event.name in CORE_FEATURE_EVENTS:
            user = company.people.users.get(event.row.get("user_id") or "", {})
            core.add((event.row.get("account_id") or user.get("account_id"), _start("month", event.day)))
    profiles = account_profiles(company.facts, company.reporting)
    with localcontext(prec=50):
        paid = paid_months(company.facts, company.reporting)
    for account, month in paid:
        profile = profiles.get(account, {})
        if not profile.get("is_internal"):
            yield Measured(month, profile.get("channel"), profile.get("country"), 1), (account, month) in core


def _paying_accounts(company: _Company) -> Iterator[Measured]:
    for paying, _ in _paying(company):
        yield paying


def _core_use(company: _Company) -> Iterator[Measured]:
    for paying, is_core_user in _paying(company):
        yield Measured(paying.day, paying.channel, paying.country, int(is_core_user))


def _revenue(company: _Company) -> Iterator[Measured]:
    with localcontext(prec=50):
        amounts = customer_amounts(company.facts, company.reporting, company.people)
    for amount in amounts:
        customer = _customer(amount.customer_id, company.facts, company.people)
        if not customer.is_internal:
            yield _of(customer, amount.cash_day, amount.revenue)


def _purchases(company: _Company) -> Iterator[Measured]:
    rates = Rates(company.facts, company.reporting)
    for order in latest_state(company.facts.get("orders", ()), ["order_id"]):
        person = company.persons.get(company.people.identities.of_user(order["user_id"]))
        if person and (order.get("status") or "").lower() not in NO_PURCHASE:
            day = company.reporting.day(order["ordered_at"])
            with localcontext(prec=50):
                amount = rates.convert(order["amount"], order["currency"], day)
            if amount is not None:
                yield _of(person, day, amount)


_MEASURES: dict[str, Measure] = {
    "signups": _signups,
    "visitors": _visitor_count,
    "visit_to_signup": _visitors,
    "viral_coefficient": _viral,
    "content_conversion": _content,
    "activation_7d": _reached("value_achieved", WEEK),
    "aha_conversion": _reached("value_achieved", MONTH),
    "onboarding_completion": _reached("onboarding_completed", MONTH),
    "time_to_value_minutes": _time_to_value,
    "free_to_paid": _free_to_paid,
    "mau": _active,
    "core_feature_adoption": _of_users(_has(*CORE_FEATURE_EVENTS)),
    "community_participation": _of_users(_has("community_posted")),
    "features_used_avg": _of_users(_feature_count),
    "session_minutes_avg": _session_minutes,
    "silent_user_wakeup": _wakeups,
    **{metric: _answered(metric) for metric in ANSWERS},
    "nps": _nps,
    "support_response_hours": _response_hours,
    "first_contact_resolution": _first_contact,
    "feedback_response_rate": _feedback,
    "paying_accounts": _paying_accounts,
    "mapu": _core_use,
    "core_use_rate": _core_use,
    "revenue": _revenue,
    "aov": _purchases,
}


def _value(kind: str, figure: Figure) -> Fraction | None:
    if kind == "count":
        assert figure.numerator is not None
        return Fraction(figure.numerator)
    if figure.numerator is None or not figure.denominator:
        return None
    return Fraction(figure.numerator) / Fraction(figure.denominator) * (100 if kind == "score" else 1)


def _median(values: list[Fraction]) -> Fraction | None:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2 if ordered else None


def _target(definition: Definition, dimension: str, day: date, rates: Rates, reporting: Reporting) -> Fraction | None:
    if definition.target is None or (definition.kind == "count" and dimension != "all"):
        return None
    if definition.aim["unit"] != "usd":
        return Fraction(definition.target)
    rate = rates.usd(reporting.currency, day)
    if rate is None:
        return None
    # Money that is aimed at has six decimals, as what is configured.
    return Fraction((definition.target / rate).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP))


def _status(value: Fraction | None, target: Fraction | None, direction: str | None) -> str | None:
    """Green when the target is met, amber when it is missed by a tenth of it at most."""
    if value is None or target is None:
        return None
    missed = target - value if direction == "at_least" else value - target
    return "green" if missed <= 0 else "amber" if missed <= abs(target) / 10 else "red"


def _start(period: str, day: date) -> date:
    if period == "day":
        return day
    return date(day.year, day.month if period == "month" else (day.month - 1) // 3 * 3 + 1, 1)


def _last(period: str, start: date) -> date:
    if period == "day":
        return start
    return _start("month", start + timedelta(days={"month": 31, "quarter": 93}[period])) - timedelta(days=1)


def _units(length: timedelta, seconds: int) -> Decimal:
    """Minutes or hours, to the millionth."""
    micro = Decimal(length // timedelta(microseconds=1))
    return (micro / (seconds * 1_000_000)).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)


def _float(number: Decimal | Fraction | int | None) -> float | None:
    return None if number is None else float(number)


def _definitions(targets: Mapping[str, Decimal] | None = None) -> dict[str, Definition]:
    aims = {row["metric"]: row for row in _seed("targets")}
    configured = targets or {}
    found = {}
    for row in _seed("metrics"):
        aim = aims.get(row["metric"], {})
        target = configured.get(row["metric"], Decimal(aim["target"])) if aim else None
        found[row["metric"]] = Definition(row, aim, target)
    return found


@cache
def _seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
