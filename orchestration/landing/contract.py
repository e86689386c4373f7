"""The landing contract: every source that Northstar reads, with its key, its columns, their types and bounds.

Belongs here: the required form of a source's files, as data in the terms of `source` and `vocabulary`. The reference page,
dbt's sources, the ingest and the simulator are all derived from it or checked against it. Does not belong here: reading files
(`readers`), outside shapes (`adapters`), or the meaning of the facts (`dbt_project`).
"""

from collections.abc import Mapping
from dataclasses import replace

from orchestration.landing.source import UPDATED_AT, Column, Keep, Personal, Source, Type
from orchestration.landing.vocabulary import INTERVAL_SPELLINGS, STATUS_SPELLINGS, SUBSCRIPTION_STATUSES


def _id(name: str, description: str, *, required: bool = False, personal: Personal | None = None) -> Column:
    return Column(name, Type.ID, description, required=required, personal=personal)


def _user(description: str, *, required: bool = False) -> Column:
    return _id("user_id", description, required=required, personal=Personal.USER)


def _text(
    name: str,
    description: str,
    *,
    required: bool = False,
    allowed: tuple[str, ...] = (),
    personal: Personal | None = None,
    spellings: Mapping[str, str] | None = None,
) -> Column:
    return Column(name, Type.TEXT, description, required=required, allowed=allowed, personal=personal, spellings=spellings or {})


def _at(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, Type.TIMESTAMP, description, required=required)


def _money(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, Type.MONEY, description, required=required, minimum=0)


def _count(name: str, description: str) -> Column:
    return Column(name, Type.INTEGER, description, minimum=0)


_CURRENCY = Column("currency", Type.CURRENCY, "ISO 4217 code of the row's amounts", required=True)
_COUNTRY = _text("country", "ISO 3166 code or name, as the source spells it")
_UPDATED_AT = _at(UPDATED_AT, "when this state was written")
# The country of a person; the country of a firm is not personal.
_PERSON_COUNTRY = replace(_COUNTRY, personal=Personal.DETAIL)
_CITY_TIER = Column(
    "city_tier", Type.INTEGER, "tier of the city, 1 (largest) to 5", minimum=1, maximum=5, personal=Personal.DETAIL
)

_SOURCES = (
    Source(
        "events",
        "product and shop events of visitors and users",
        key=("event_id",),
        happened_at="occurred_at",
        keep=Keep.FIRST,
        one_of=("anonymous_id", "user_id"),
        columns=(
            _id("event_id", "identifies the event; not unique in the wild, the first received wins", required=True),
            _id("event", "what happened, in snake_case", required=True),
            _at("occurred_at", "when it happened", required=True),
            _at("received_at", "when the collector received it"),
            _id("anonymous_id", "device or browser id", personal=Personal.ANONYMOUS),
            _user("user, once known"),
            _id("account_id", "account on whose behalf it happened"),
            _id("session_id", "session as the source cut it", personal=Personal.DETAIL),
            _text("page", "path or screen", personal=Personal.PAGE),
            _text("referrer", "address of the page before", personal=Personal.REFERRER),
            _text("utm_source", "campaign source"),
            _text("utm_medium", "campaign medium"),
            _text("utm_campaign", "campaign name"),
            _text("utm_content", "campaign content"),
            _text("utm_term", "campaign term", personal=Personal.DETAIL),
            _text("device_type", "desktop, mobile, tablet, …"),
            _text("os", "operating system"),
            _PERSON_COUNTRY,
            _CITY_TIER,
            _text("feature", "feature used, for feature_used"),
            Column("value", Type.NUMBER, "a number that belongs to the event"),
            Column("properties", Type.JSON, "anything else, as a JSON object", personal=Personal.DETAIL),
        ),
    ),
    Source(
        "users",
        "registered users, latest state",
        key=("user_id",),
        happened_at="signed_up_at",
        columns=(
            _user("identifies the user", required=True),
            _id("account_id", "account the user belongs to"),
            _at("signed_up_at", "when the user signed up", required=True),
            _text("role", "role in the account", personal=Personal.DETAIL),
            _id("invited_by_user_id", "user who sent the invitation", personal=Personal.MENTION),
            _PERSON_COUNTRY,
            _CITY_TIER,
            _text("gender", "as the source spells it", personal=Personal.DETAIL),
            Column("birth_year", Type.INTEGER, "year of birth", minimum=1900, maximum=2100, personal=Personal.DETAIL),
            Column("is_internal", Type.BOOLEAN, "staff and test users: left out of every mart"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "accounts",
        "customer accounts, latest state",
        key=("account_id",),
        happened_at="created_at",
        columns=(
            _id("account_id", "identifies the account", required=True),
            _at("created_at", "when the account was created", required=True),
            _text("name", "the firm's name"),
            _text("industry", "the firm's industry"),
            _text("company_size", "size class of the firm"),
            _COUNTRY,
            _text("owner", "who looks after the account"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "subscriptions",
        "changes of subscriptions, one row per change",
        key=("subscription_id", "changed_at"),
        happened_at="changed_at",
        columns=(
            _id("subscription_id", "identifies the subscription", required=True),
            _id("account_id", "account that holds it", required=True),
            _at("changed_at", "when this state began", required=True),
            _text("plan", "plan from then on, as the source spells it", required=True),
            _text(
                "billing_interval",
                "how often it is billed: month, year (usual spellings are mapped) or any other text",
                spellings=INTERVAL_SPELLINGS,
            ),
            _money("mrr", "monthly recurring revenue from then on; a yearly price counts a twelfth", required=True),
            _CURRENCY,
            _text(
                "status",
                "state from then on; active and past_due pay, all others do not",
                required=True,
                allowed=SUBSCRIPTION_STATUSES,
                spellings=STATUS_SPELLINGS,
            ),
            _count("seats", "seats paid for"),
            Column("renews_at", Type.TIMESTAMP, "end of the term", may_lie_ahead=True),
        ),
    ),
    Source(
        "payments",
        "payments and refunds",
        key=("payment_id",),
        happened_at="paid_at",
        columns=(
            _id("payment_id", "identifies the payment", required=True),
            _id("account_id", "account that paid"),
            _user("user who paid"),
            _at("paid_at", "when it was paid, refused or refunded", required=True),
            _text("kind", "what it was for", allowed=("subscription", "service", "order")),
            _money("amount", "amount paid or refunded, positive", required=True),
            _CURRENCY,
            _text("status", "outcome", required=True, allowed=("succeeded", "failed", "refunded")),
            _id("refund_of", "payment or, for kind order, the order that a refund gives back"),
            _id("order_id", "order that it pays or gives back; without a kind it is then of kind order"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "orders",
        "shop orders",
        key=("order_id",),
        happened_at="ordered_at",
        columns=(
            _id("order_id", "identifies the order", required=True),
            _user("user who ordered", required=True),
            _at("ordered_at", "when it was ordered", required=True),
            _money("amount", "amount paid, after discount", required=True),
            _money("discount", "discount given"),
            _money("refunded_amount", "amount given back"),
            _at("refunded_at", "when it was given back; unknown: on the order's day"),
            _money("cost", "cost of goods"),
            _CURRENCY,
            _count("items", "pieces ordered"),
            _text("category", "main category"),
            _id("store_id", "store that fulfilled it"),
            _text("fulfilment", "how it reached the customer", allowed=("online", "pickup", "store")),
            _text("status", "state of the order; canceled and returned are no purchases"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "ad_spend",
        "advertising cost by day and campaign or ad",
        key=("spend_date", "utm_source", "utm_medium", "utm_campaign", "utm_content", "ad_id"),
        happened_at="spend_date",
        summed=("cost", "impressions", "clicks"),
        columns=(
            Column("spend_date", Type.DATE, "day of the spend in the reporting time zone", required=True),
            _text("utm_source", "campaign source", required=True),
            _text("utm_medium", "campaign medium"),
            _text("utm_campaign", "campaign name"),
            _text("utm_content", "campaign content"),
            _id("ad_id", "identifies the ad"),
            _money("cost", "amount spent", required=True),
            _CURRENCY,
            _count("impressions", "times shown"),
            _count("clicks", "times clicked"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "tickets",
        "support tickets",
        key=("ticket_id",),
        happened_at="opened_at",
        columns=(
            _id("ticket_id", "identifies the ticket", required=True),
            _id("account_id", "account that asked"),
            _user("user who asked"),
            _at("opened_at", "when it was opened", required=True),
            _at("first_response_at", "when it was first answered"),
            _at("resolved_at", "when it was solved"),
            _count("contacts", "contacts until solved"),
            _text("severity", "as the source spells it"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "surveys",
        "survey responses",
        key=("response_id",),
        happened_at="responded_at",
        columns=(
            _id("response_id", "identifies the response", required=True),
            _user("user who answered"),
            _id("account_id", "account of the user"),
            _at("responded_at", "when it was answered", required=True),
            _text("kind", "which question", required=True, allowed=("nps", "csat")),
            Column("score", Type.INTEGER, "0 to 10 for nps, 1 to 5 for csat", required=True, minimum=0, maximum=10),
            _text("comment", "free text", personal=Personal.DETAIL),
            _UPDATED_AT,
        ),
    ),
    Source(
        "feedback",
        "free-text feedback",
        key=("feedback_id",),
        happened_at="created_at",
        columns=(
            _id("feedback_id", "identifies the feedback", required=True),
            _user("user who wrote it"),
            _id("account_id", "account of the user"),
            _at("created_at", "when it was written", required=True),
            _text("channel", "where it was written"),
            _text("text", "what was written", required=True, personal=Personal.DETAIL),
            _at("answered_at", "when it was answered"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "wecom",
        "private-domain interactions between staff and contacts",
        key=("interaction_id",),
        happened_at="occurred_at",
        columns=(
            _id("interaction_id", "identifies the interaction", required=True),
            _id("contact_id", "contact outside the company", required=True, personal=Personal.CONTACT),
            _user("user behind the contact, once known"),
            _id("staff_id", "member of staff"),
            _text(
                "kind",
                "what happened",
                required=True,
                allowed=(
                    "friend_requested",
                    "friend_accepted",
                    "message_sent",
                    "message_replied",
                    "moment_posted",
                    "moment_reacted",
                    "group_message",
                ),
            ),
            _at("occurred_at", "when it happened", required=True),
            _id("group_id", "group, for group messages"),
        ),
    ),
    Source(
        "outcomes",
        "business outcomes that accounts measured",
        key=("account_id", "measured_at"),
        happened_at="measured_at",
        columns=(
            _id("account_id", "account that measured", required=True),
            _at("measured_at", "when it was measured", required=True),
            Column("expected_roi", Type.NUMBER, "return on investment promised, as a ratio"),
            Column("actual_roi", Type.NUMBER, "return on investment measured, as a ratio"),
            Column("efficiency_gain", Type.NUMBER, "gain in efficiency, as a ratio"),
            Column("cost_savings", Type.MONEY, "money saved"),
            Column("currency", Type.CURRENCY, "ISO 4217 code of cost_savings"),
            _UPDATED_AT,
        ),
    ),
    Source(
        "exposures",
        "first exposures to experiment variants",
        # Includes the variant, so that a unit exposed to two variants can be detected.
        key=("experiment_id", "unit_id", "variant"),
        happened_at="exposed_at",
        keep=Keep.FIRST,
        columns=(
            _id("experiment_id", "identifies the experiment", required=True),
            _id("variant", "variant shown", required=True),
            _id("unit_id", "user or account that was exposed", required=True, personal=Personal.MENTION),
            _at("exposed_at", "when it was exposed", required=True),
        ),
    ),
    Source(
        "fx_rates",
        "exchange rates by day",
        key=("rate_date", "currency"),
        happened_at="rate_date",
        keep=Keep.FIRST,
        columns=(
            Column("rate_date", Type.DATE, "day from which the rate holds", required=True),
            _CURRENCY,
            Column("usd_rate", Type.RATE, "US dollars for one unit of the currency", required=True, above=0),
        ),
    ),
    Source(
        "erasures",
        "requests to be forgotten",
        key=("user_id",),
        happened_at="requested_at",
        columns=(
            _user("user who asked", required=True),
            _at("requested_at", "when it was asked", required=True),
        ),
    ),
)

CONTRACT: dict[str, Source] = {source.name: source for source in _SOURCES}

LAKE_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("arrived_date", "DATE", "arrival day of the file, reporting time zone"),
    ("landed_file", "VARCHAR", "name of the landed file within its arrival day"),
    ("landed_row", "BIGINT", "number of the data row in that file, from 1"),
    ("extra", "JSON", "columns that the contract does not know, as a JSON object; NULL when there are none"),
)
"""Columns that every file of the lake carries behind the contract's own: (name, DuckDB type, description)."""
