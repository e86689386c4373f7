"""What a release tells of persons: no id, address or free text that landed stands in any of its files.

Belongs here: a tiny company with a marked value in every column of text that is not published by design, and a search through all
bytes and cells of what it publishes. Does not belong here: erasure (`test_being_forgotten`).
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.landing.contract import CONTRACT
from orchestration.landing.source import Source, Type
from tests.integration.conftest import copy_home
from tests.integration.tiny import FIRST, Company, days, event, order, payment, subscription, user

# Business words that marts break down by or count: they are published as they landed. No id of a person belongs in them.
PUBLISHED = {
    "events": {"event", "utm_source", "utm_medium", "utm_campaign", "utm_content", "device_type", "os", "country", "feature"},
    "users": {"country", "role"},
    "accounts": {"industry", "company_size", "country"},
    "subscriptions": {"plan", "billing_interval", "status"},
    "payments": {"kind", "status"},
    "orders": {"category", "fulfilment", "status"},
    "ad_spend": {"utm_source", "utm_medium", "utm_campaign", "utm_content"},
    "tickets": {"severity"},
    "surveys": {"kind"},
    "feedback": {"channel"},
    "wecom": {"kind"},
    "exposures": {"experiment_id", "variant"},
}
MARK = "planted"


def marked(source: Source) -> dict[str, str]:
    """A marked value for every column of ids or texts of a source, published ones apart."""
    values = {}
    for column in source.columns:
        if column.type in {Type.ID, Type.TEXT, Type.JSON} and column.name not in PUBLISHED.get(source.name, set()):
            values[column.name] = f"{MARK}-{source.name}-{column.name}"
    values |= {name: f"{MARK}.{name}@shop.example" for name in ("user_id", "account_id", "anonymous_id") if name in values}
    values |= {name: json.dumps({f"{MARK} name": f"{MARK} value"}) for name in ("properties",) if name in values}
    if "page" in values:
        values["page"] = f"https://shop.example/u/{MARK}.user_id@shop.example/{MARK}.account_id%40shop.example?who={MARK}#{MARK}"
        values["referrer"] = f"https://www.google.com/search?q={MARK}"
    return values


def in_cells(path: Path, mark: str) -> Iterator[str]:
    """Tables and columns of a Parquet or DuckDB file in which a text stands, comments included."""
    with duckdb.connect() as connection:
        if path.suffix == ".parquet":
            connection.execute("create view cells as from read_parquet($path)".replace("$path", f"'{path}'"))
            tables = ["cells"]
        else:
            connection.execute(f"attach '{path}' as found (read_only)")
            tables = [
                f'found."{name}"'
                for (name,) in connection.execute(
                    "select table_name from duckdb_tables() where database_name = 'found'"
                ).fetchall()
            ]
            comments = connection.execute(
                "select comment from duckdb_tables() where database_name = 'found' union all select comment from duckdb_columns()"
                " where database_name = 'found'"
            ).fetchall()
            if any(mark in str(comment).lower() for (comment,) in comments):
                yield "comments"
        for table in tables:
            for column, *_ in connection.execute(f"describe {table}").fetchall():
                where = f"contains(lower(\"{column}\"::varchar), '{mark}')"
                if rows := connection.execute(f'select "{column}" from {table} where {where} limit 1').fetchall():
                    yield f"{table}.{column}: {rows[0][0]}"


def traces(folder: Path, mark: str = MARK) -> list[str]:
    """Where below a folder a text stands, in the bytes of a file or in a cell, in any case of its letters."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if mark in name.lower() or mark.encode() in path.read_bytes().lower():
            found.append(name)
        if path.suffix in {".parquet", ".duckdb"}:
            found += [f"{name}: {where}" for where in in_cells(path, mark)]
    return found


def land(company: Company) -> None:
    at = f"{FIRST}T09:00:00Z"
    rows: dict[str, dict[str, Any]] = {
        "accounts": {"created_at": f"{FIRST}T00:00:00Z"},
        "users": {**user(FIRST, 1)},
        "subscriptions": {**subscription(FIRST, 1)},
        "tickets": {"opened_at": at},
        "surveys": {"responded_at": at, "kind": "nps", "score": 9},
        "feedback": {"created_at": at},
        "wecom": {"kind": "message_sent", "occurred_at": at},
        "outcomes": {"measured_at": at, "actual_roi": 2},
        "exposures": {"experiment_id": "x", "variant": "a", "exposed_at": at},
        "ad_spend": {"spend_date": str(FIRST), "utm_source": "google", "utm_medium": "cpc", "cost": 10, "currency": "USD"},
    }
    for source, row in rows.items():
        company.land(source, FIRST, [{**row, **marked(CONTRACT[source])}])
    events, orders, payments = (marked(CONTRACT[source]) for source in ("events", "orders", "payments"))
    for day in days(12):
        seen = [
            {**event(day, 1, name, hour), **events, "event_id": f"{MARK}-{day}-{hour}"}
            for hour, name in enumerate(("page_viewed", "product_viewed", "cart_added"), 10)
        ]
        refused = {**seen[0], "event_id": f"{MARK}-{day}-bad", "occurred_at": f"{MARK} soon"}
        others = [event(day, number, "product_viewed", page="/team/kim") for number in range(2, 5)]
        # Nobody is known to have stopped before a step that nobody ever sent.
        others += [event(day, number, "checkout_started", page="/team/kim") for number in range(5, 6)]
        company.land("events", day, [*seen, refused, *others])
        company.land("orders", day, [{**order(day, 1), **orders, "order_id": f"{MARK}-{day}"}])
        company.land("payments", day, [{**payment(day, 1), **payments, "payment_id": f"{MARK}-{day}", "refund_of": None}])


@pytest.fixture(scope="module")
def company(prepared, tmp_path_factory) -> Company:
    company = Company(copy_home(prepared, tmp_path_factory.mktemp("marked") / "home"))
    company.configure("max_quarantine_ratio = 1\n")
    land(company)
    company.night()
    return company


def test_every_marked_column_is_in_the_lake(company) -> None:
    """What is searched for did land, column by column, and is found where it is."""
    assert all(names <= {column.name for column in CONTRACT[source].columns} for source, names in PUBLISHED.items())
    for source in CONTRACT:
        expected = set(marked(CONTRACT[source])) - {"refund_of"}
        found = {trace.split(": ")[1].removeprefix("cells.") for trace in traces(company.home / "lake" / source) if ": " in trace}
        assert source in {"erasures", "fx_rates"} or found - {"extra"} == expected, source
    assert traces(company.home / "quarantine")


def test_no_file_of_a_release_holds_what_landed_of_a_person(company) -> None:
    assert {*company.manifest["left_out"]} == {"mart_churn__account"}
    assert ("/u/:id/:id",) in company.ask("select distinct exit_page from mart_funnel_exits__weekly")
    for folder in ("published", "gate", "models", "dbt", "dagster", "tmp"):
        assert traces(company.home / folder) == [], folder


def test_the_search_finds_what_a_release_should_not_hold(company, tmp_path) -> None:
    release = company.home / "published" / "releases" / company.manifest["release_id"]
    copy = Path(shutil.copytree(release, tmp_path / "copy"))
    for path in copy.rglob("*"):
        path.chmod(0o755)
    planted = MARK.upper()
    for name in ("gate.json", "manifest.json", "data_docs/index.html"):
        (copy / name).write_text(f"{(copy / name).read_text()}{planted}")
    mart = "mart_funnel_exits__weekly"
    with duckdb.connect(str(copy / "marts.duckdb")) as connection:
        connection.execute(f"update {mart} set exit_page = '{planted}' where exit_rank = 1")
        connection.execute(f"comment on table {mart} is '{planted}'")
        connection.execute(f"copy {mart} to '{copy}/parquet/{mart}.parquet' (compression zstd)")
    found = {trace.split(": ")[0] for trace in traces(copy)}
    assert found == {"gate.json", "manifest.json", "data_docs/index.html", "marts.duckdb", f"parquet/{mart}.parquet"}
    assert {trace for trace in traces(copy) if "comments" in trace} == {"marts.duckdb: comments"}


@pytest.mark.long
def test_pages_are_published_as_configured_from_the_next_night_on(company, tmp_path) -> None:
    """Nothing has landed since: the configuration alone is another one."""
    pages = "select distinct exit_page from mart_funnel_exits__weekly"
    assert ("/team/kim",) in company.ask(pages)
    later = Company(copy_home(company.home, tmp_path / "home"))
    later.configure('max_quarantine_ratio = 1\n[pages]\nid_segments_after = ["team"]\n')
    later.night()
    assert {page for (page,) in later.ask(pages)} == {page.replace("kim", ":id") for (page,) in company.ask(pages)}
