"""Schema: every key of northstar.toml with its default and its check.

Belongs here: keys of the top level. Does not belong here: tables below it (`tables`), reading files (`loading`), or code that
acts on a setting. The configuration is frozen; an unknown key or invalid value is an error that names the key, never a default.
"""

import csv
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from orchestration.base.suggestion import did_you_mean
from orchestration.config.project import DBT_PROJECT
from orchestration.config.tables import ChannelRule, Funnel, Pages, Publish
from orchestration.config.values import TEAMS, Count, Frozen, Name, Probability, check_owner, duration
from orchestration.landing.contract import CONTRACT
from orchestration.landing.vocabulary import CORE_EVENTS, CURRENCIES, MISTAKEN_CURRENCIES, PLANS

# Sorted like a configured list, so that equal lists have equal digests.
_SHIPPED_DENY_LIST = tuple(
    sorted(
        (
            *("-", "-1", "0", "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"),
            *("#n/a", "(null)", "(none)", "<na>", "<null>", "[object object]", "\\n", "[]", "{}", '""', "''"),
            *("anonymous", "false", "guest", "infinity", "invalid", "n/a", "na", "nan", "nil", "none", "not_set", "(not set)"),
            *("null", "true", "undefined", "unknown", "anon", "not set"),
        )
    )
)

_SHIPPED_IGNORED_REFERRERS = tuple(
    sorted(
        (
            *("accounts.google.com", "appleid.apple.com", "login.microsoftonline.com", "login.live.com", "login.yahoo.com"),
            *("paypal.com", "checkout.stripe.com", "alipay.com", "tenpay.com", "adyen.com", "klarna.com", "localhost"),
        )
    )
)


class Config(Frozen):
    """The keys of northstar.toml, each with its default."""

    reporting_timezone: str = Field("Asia/Shanghai", description="time zone of calendar days, arrival days and the schedule")
    reporting_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(
        "USD", description="currency of every published amount"
    )
    week_start: Literal["monday", "sunday"] = Field("monday", description="first day of a week")
    gross_margin: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        Decimal("0.8"), description="margin on revenue where a row has no cost of its own"
    )
    monthly_discount_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="what money loses in a month until it comes in, in predicted lifetime values"
    )
    partition_start: date = Field(
        date(2010, 1, 1), description="first day on which a fact may have happened; earlier ones go to quarantine"
    )
    required_sources: tuple[str, ...] = Field((), description="sources without which an arrival day is not complete")
    max_quarantine_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of bad rows above which a file fails its arrival day"
    )
    bot_events_per_day: Count = Field(
        3_000, description="events of one visitor on one day above which that day counts as a bot's"
    )
    identity_deny_list: tuple[str, ...] = Field(
        _SHIPPED_DENY_LIST,
        description="placeholder ids (case-insensitive) that never link identities",
    )
    ignored_referrers: tuple[str, ...] = Field(
        _SHIPPED_IGNORED_REFERRERS,
        description="hosts (and subdomains) that are no source of visits: sign-in and payment pages; add your own domains",
    )
    max_identity_links: Count = Field(
        20, description="ids that one id may be linked to; with more it is a shared device or a test user and joins nobody"
    )
    session_gap: str = Field("30m", description="silence after which a person's next event begins another session")
    sessions_end_at_midnight: bool = Field(
        default=False, description="whether midnight of the reporting time zone ends every session"
    )
    churn_risk_levels: tuple[Probability, Probability, Probability] = Field(
        (0.1, 0.25, 0.5), description="probabilities to stop paying from which the risk is medium, high and critical"
    )
    intervention_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        50.0, description="US dollars that it costs to win one account back; prices the churn model's figures"
    )
    intervention_success_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="share of the accounts about to leave that stay when somebody takes care of them"
    )
    keep_releases: Count = Field(14, description="newest releases kept")
    keep_monthly_releases: Annotated[int, Field(ge=0, le=1_200, strict=True)] = Field(
        12, description="months, back from the newest release's own, of which the first release is kept as well"
    )
    max_release_age: str = Field("36h", description="age above which `northstar status` complains")
    memory_limit: Annotated[str, Field(pattern=r"^[1-9]\d{0,5}(MB|GB|TB)$")] = Field(
        "8GB", description="memory of DuckDB; beyond it spills"
    )
    event_names: Mapping[Annotated[str, Field(min_length=1, max_length=200)], Name] = Field(
        {}, description="a customer's own event names → the core's"
    )
    channel_rules: tuple[ChannelRule, ...] = Field(
        (), description="rules that name a visit's channel before the shipped ones (GA4's default grouping) do, in this order"
    )
    pages: Pages = Field(
        Pages(),
        description=(
            "what of a page's path is published: the segment after one of `id_segments_after` is an id and becomes `:id`, one of"
            " `keep` never does"
        ),
    )
    plans: Mapping[Annotated[str, Field(min_length=1, max_length=200)], str] = Field(
        {}, description="a customer's own plans, whatever their case → free, professional, enterprise or custom"
    )
    funnels: tuple[Funnel, ...] = Field((), description="added to the shipped funnels, or replacing one by name")

    targets: Mapping[str, Annotated[Decimal, Field(allow_inf_nan=False, max_digits=18, decimal_places=6)]] = Field(
        {}, description="metric → its target, instead of the shipped one and in the same unit"
    )
    owners: Mapping[str, str] = Field(
        {},
        description=(
            f"team ({', '.join(TEAMS)}) → the e-mail address, or `team:name`, that Dagster shows as the owner of its assets,"
            " instead of `team:` and the team's name"
        ),
    )
    publish: Publish = Field(
        Publish(),
        description="`postgres_url`: a PostgreSQL database (`postgresql://user@host:5432/name`) that releases are loaded into",
    )

    @field_validator("reporting_timezone")
    @classmethod
    def _is_timezone(cls, value: str) -> str:
        # DuckDB does not know "localtime", which would differ from machine to machine.
        if value not in available_timezones() - {"localtime"}:
            raise ValueError(f"unknown time zone {value!r}{did_you_mean(value, available_timezones())}")
        return value

    @field_validator("reporting_currency")
    @classmethod
    def _is_currency(cls, value: str) -> str:
        if value not in CURRENCIES:
            meant = MISTAKEN_CURRENCIES.get(value)
            raise ValueError(f"{value!r} is not in ISO 4217{f'; did you mean {meant!r}?' if meant else ''}")
        return value

    @field_validator("gross_margin")
    @classmethod
    def _is_plain(cls, value: Decimal) -> Decimal:
        return value.normalize()  # 0.8 and 0.80 are the same margin and must give the same digest

    @field_validator("partition_start", mode="before")
    @classmethod
    def _is_day(cls, value: object) -> object:
        if not isinstance(value, date | str):
            raise ValueError("write a day, such as '2010-01-01'")
        return value

    @field_validator("churn_risk_levels")
    @classmethod
    def _rise(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not value[0] < value[1] < value[2]:
            raise ValueError("each level must lie above the one before")
        return value

    @field_validator("targets")
    @classmethod
    def _are_metrics(cls, value: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        known = _metrics_with_targets() if value else ()
        for name in value:
            if name not in known:
                raise ValueError(f"unknown metric with a target {name!r}{did_you_mean(name, known)}")
        return {name: target.normalize() for name, target in value.items()}

    @field_validator("plans")
    @classmethod
    def _are_plans(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for landed, name in value.items():
            if name not in PLANS:
                raise ValueError(
                    f"{landed}: unknown plan {name!r}, expected one of {', '.join(PLANS)}{did_you_mean(name, PLANS)}"
                )
        return {landed.strip().lower(): name for landed, name in value.items()}

    @field_validator("owners")
    @classmethod
    def _are_owners(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for team, owner in value.items():
            if team not in TEAMS:
                raise ValueError(f"unknown team {team!r}, expected one of {', '.join(TEAMS)}{did_you_mean(team, TEAMS)}")
            check_owner(team, owner)
        return value

    @field_validator("required_sources")
    @classmethod
    def _are_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in CONTRACT:
                raise ValueError(f"unknown source {name!r}{did_you_mean(name, CONTRACT)}")
        return value

    @field_validator("identity_deny_list")
    @classmethod
    def _are_compared_lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("\0" in text for text in value):
            raise ValueError("an id holds a NUL character, which no landed id does")
        return tuple(sorted({text.strip().lower() for text in value}))

    @field_validator("ignored_referrers")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({text.strip().lower().removeprefix("www.") for text in value} - {""}))

    @field_validator("session_gap")
    @classmethod
    def _is_gap(cls, value: str) -> str:
        if duration(value) > timedelta(days=1):
            raise ValueError("a session's gap is at most a day")
        return value

    @field_validator("max_release_age")
    @classmethod
    def _is_age(cls, value: str) -> str:
        duration(value)
        return value

    @model_validator(mode="after")
    def _core_names(self) -> "Config":
        # A typo would leave every funnel on that event permanently empty. A site's own funnels may name their own events.
        known = {*CORE_EVENTS, *(step.event for funnel in self.funnels for step in funnel.steps)}
        for landed, name in self.event_names.items():
            if name not in known:
                raise ValueError(
                    f"event_names.{landed}: no core event and no step of a funnel is called {name!r}{did_you_mean(name, known)}"
                )
        return self

    @model_validator(mode="after")
    def _distinct_funnels(self) -> "Config":
        names = [funnel.name for funnel in self.funnels]
        if len(set(names)) < len(names):
            raise ValueError("two funnels have the same name")
        return self


def _metrics_with_targets() -> list[str]:
    with (DBT_PROJECT / "seeds" / "targets.csv").open(encoding="utf-8", newline="") as file:
        return [row["metric"] for row in csv.DictReader(file)]
