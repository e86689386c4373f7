"""States in whatever order their files arrive, repeated and corrected, leave the warehouse that one night would have built.

Drawn files of every source are ingested, planned and built as a night does it, with rows that restate earlier ones and rows that
contradict others, before and after them.
"""

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.landing.contract import CONTRACT
from orchestration.publishing.manifest import table_digest
from orchestration.warehouse.incremental import Incremental
from tests.dbt.facts import (
    Rows,
    accounts,
    ad_spend,
    events,
    examples,
    feedback,
    fx_rates,
    orders,
    payments,
    subscriptions,
    surveys,
    tickets,
    users,
)
from tests.dbt.harness import DbtProject
from tests.oracles.persons import latest_state
from tests.selection import usually
from tests.unit.orchestration.harness import Home

MARTS = ("mart_ltv__cohort", "mart_ltv_cac__channel_month", "mart_health__account", "mart_data_quality__daily")
STAGED = {"orders": "stg_orders", "payments": "stg_payments", "tickets": "stg_tickets", "surveys": "stg_surveys"}
STAGED |= {"feedback": "stg_feedback"}

# A landed file by source, arrival day and name: its rows, and when it was written.
Files = dict[tuple[str, date, str], tuple[Rows, int]]


@st.composite
def landings(draw: st.DrawFn, project: DbtProject) -> Files:
    zone = project.reporting(date(2024, 1, 1)).timezone
    facts = {
        "events": draw(events(zone, ("page_viewed", "value_achieved"), project.config.bot_events_per_day, size=10)),
        "users": draw(users(zone)),
        "accounts": draw(accounts()),
        "subscriptions": draw(subscriptions(zone)),
        "orders": draw(orders(zone)),
        "payments": draw(payments(zone)),
        "ad_spend": draw(ad_spend()),
        "tickets": draw(tickets(zone)),
        "surveys": draw(surveys(zone)),
        "feedback": draw(feedback(zone)),
        "fx_rates": draw(fx_rates()),
    }
    files: dict[tuple[str, date, str], Rows] = defaultdict(list)
    for source, rows in facts.items():
        for row in rows:
            files[source, row["arrived_date"], row["landed_file"].replace("parquet", "jsonl")].append(row)
    # Files of one day may be written in another order than that of their names.
    return {place: (rows, draw(st.integers(0, 3))) for place, rows in files.items()}


def text_of(row: dict[str, Any]) -> str:
    """A row as it lands: the contract's columns, times in ISO 8601."""
    kept = {
        name: value
        for name, value in row.items()
        if value is not None and name not in ("arrived_date", "landed_file", "landed_row")
    }
    if isinstance(kept.get("properties"), str):
        kept["properties"] = json.loads(kept["properties"])
    return json.dumps(kept, default=lambda value: value.isoformat() if isinstance(value, date) else str(value))


class Company:
    """A home on drawn files, with the nights that ingest, plan and build it."""

    def __init__(self, root: Path, project: DbtProject) -> None:
        self.project = project
        compiled_with = project.config.model_dump(include=project.config.model_fields_set)
        # Drawn times may lie after their arrival: such rows are refused, however many.
        self.home = Home(root, **compiled_with, max_quarantine_ratio=1)
        self.home.incremental = Incremental.read(project.manifest)

    def land(self, files: Files, days: Sequence[date] | None = None) -> None:
        for (source, day, name), (rows, written) in files.items():
            if days is None or day in days:
                path = self.home.settings.landing / source / f"dt={day}" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(text_of(row) + "\n" for row in rows), encoding="utf-8")
                os.utime(path, (1_700_000_000 + written, 1_700_000_000 + written))

    def night(self) -> None:
        self.home.ingest()
        plan = self.home.plan()
        with self.home.warehouse.connect() as connection:
            self.project.build_in(connection, MARTS, is_rebuild=plan.is_rebuild)
        self.home.warehouse.mark_folded()

    def tables(self) -> dict[str, str]:
        """Order-free digest of every table built."""
        with self.home.warehouse.connect(read_only=True) as connection:
            found = connection.execute(
                "select schema_name, table_name from duckdb_tables()"
                " where schema_name in ('staging', 'intermediate', 'core', 'marts') order by all"
            ).fetchall()
            return {f"{schema}.{table}": table_digest(connection, f'"{schema}"."{table}"') for schema, table in found}


@examples(1)
@given(data=st.data())
def test_states_in_any_order_repeated_and_corrected(
    shanghai: DbtProject, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    files = data.draw(landings(shanghai))
    days = list(data.draw(st.permutations(sorted({day for _, day, _ in files}))))
    # Without any events there is no night.
    days.sort(key=lambda day: not any(of == "events" and arrived == day for of, arrived, _ in files))
    chosen = data.draw(st.integers(1, len(days) - 1))
    days = [days[0], *days[chosen:], *days[1:chosen]]
    root = tmp_path_factory.mktemp("states")
    at_once, shuffled = Company(root / "at_once", shanghai), Company(root / "shuffled", shanghai)
    at_once.land(files)
    at_once.night()
    third = max(len(days) // 3, 1)
    portions = [days[:third], days[third : 2 * third], days[2 * third :]]
    # A day that is wrong at first: its files say something else, and are replaced in the next night.
    wrong = {
        (source, day, name): ([{**row, **_other(source)} for row in rows], written + 9)
        for (source, day, name), (rows, written) in files.items()
        if day == days[0]
    }
    shuffled.land(files, portions[0])
    shuffled.land(wrong)
    shuffled.night()
    shuffled.land(files, [*portions[1], days[0]])
    shuffled.night()
    shuffled.land(files, portions[2])
    shuffled.night()
    assert shuffled.tables() == at_once.tables()
    # The same files once more, and a day ingested again.
    shuffled.land(files)
    shuffled.home.ingest([days[0]])
    shuffled.night()
    assert shuffled.tables() == at_once.tables()
    _check_states(at_once, files)


def _other(source: str) -> dict[str, Any]:
    """A column of every row that a first version of a file has otherwise."""
    columns = {column.name for column in CONTRACT[source].columns}
    return {
        name: value for name, value in {"amount": 3, "score": 5, "contacts": 4, "cost": 2, "text": "?"}.items() if name in columns
    }


def _check_states(company: Company, files: Files) -> None:
    """The state of each key that stays, by plain Python: of what ingest accepted, the latest."""
    with company.home.warehouse.connect(read_only=True) as connection:
        for source, model in STAGED.items():
            key = CONTRACT[source].key[0]
            accepted = {
                tuple(place)
                for place in connection.execute(f"select arrived_date, landed_file, landed_row from lake.{source}").fetchall()
            }
            rows = []
            for (of, day, name), (landed, written) in files.items():
                for number, row in enumerate(landed, start=1):
                    if of == source and (day, name, number) in accepted:
                        # The time of a file decides before its name does.
                        rows.append({**row, "landed_file": f"{written:02}{name}", "landed_row": number})
            told = {"orders": "amount", "payments": "amount", "tickets": "contacts", "surveys": "score"}.get(
                source, "answered_at"
            )
            expected = sorted((row[key], row.get("user_id"), row.get(told)) for row in latest_state(rows, [key]))
            found = connection.execute(f"select {key}, user_id, {told} from staging.{model} order by all").fetchall()
            assert sorted(found, key=str) == sorted(expected, key=str)


# What was known of accounts on past as-of dates is kept until something changes that had arrived by them.

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 10)


def subscription(mrr: int) -> dict[str, Any]:
    return {
        "subscription_id": "s1",
        "account_id": "c1",
        "plan": "professional",
        "billing_interval": "month",
        "status": "active",
        "changed_at": f"{JANUARY}T01:00:00Z",
        "mrr": mrr,
        "currency": "USD",
    }


def use(event_id: str, day: date, *, received: str, account_id: str) -> dict[str, Any]:
    occurred = {"event_id": event_id, "event": "feature_used", "feature": "export", "occurred_at": f"{day}T01:00:00Z"}
    return {**occurred, "received_at": f"{day}T{received}Z", "user_id": "u1", "account_id": account_id}


FIRST_NIGHT: Files = {
    ("subscriptions", JANUARY, "a.jsonl"): ([subscription(10)], 1),
    ("events", FEBRUARY, "a.jsonl"): ([use("e1", FEBRUARY, received="10:00:00", account_id="c1")], 1),
    ("events", MARCH, "a.jsonl"): ([use("e2", MARCH, received="10:00:00", account_id="c1")], 1),
}
CORRECTIONS: dict[str, Files] = {
    "a state of an old day is corrected": {("subscriptions", JANUARY, "a.jsonl"): ([subscription(20)], 2)},
    # Of copies the one received first stays, and the event is known from the day on which any of them arrived.
    "a copy received earlier arrives later": {
        ("events", MARCH, "b.jsonl"): ([use("e1", FEBRUARY, received="09:00:00", account_id="c2")], 1)
    },
}


@pytest.mark.parametrize("correction", usually(list(CORRECTIONS), 1))
@pytest.mark.parametrize("is_protected", [True, False], ids=["", "unprotected"])
def test_past_as_of_dates_follow_what_changed_before_them(
    shanghai: DbtProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, correction: str, is_protected: bool
) -> None:
    if not is_protected:
        only_new = "insert into control.affected_as_of select data_through + 1 from control.folded_through where ? is not null"
        monkeypatch.setattr("orchestration.warehouse.fold_plan._AFFECTED_AS_OF", only_new)
    at_once, folded = Company(tmp_path / "at_once", shanghai), Company(tmp_path / "folded", shanghai)
    at_once.land({**FIRST_NIGHT, **CORRECTIONS[correction]})
    at_once.night()
    folded.land(FIRST_NIGHT)
    folded.night()
    before = folded.tables()
    folded.land(CORRECTIONS[correction])
    folded.night()
    assert folded.tables() != before
    expected = at_once.tables()
    different = {table for table, digest in folded.tables().items() if expected[table] != digest}
    if is_protected:
        assert different == set()
    else:
        assert different & {"intermediate.int_accounts__subscriptions", "intermediate.int_churn__features_used"}
