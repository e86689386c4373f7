"""A person who asks for it is gone from the whole home: lake, quarantine, build file, releases, logs; and stays so."""

import json
import resource
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.base.errors import NorthstarError
from orchestration.config.loading import load
from orchestration.landing.erasure import Ledger
from orchestration.landing.lake import Lake
from orchestration.ml_steps.model_store import ModelStore
from orchestration.night import intake
from orchestration.night.run import Night
from orchestration.publishing.store import ReleaseStore
from orchestration.warehouse import build_file
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.fold_plan import FoldPlanner
from tests.integration.conftest import ask, at_home, copy_home, current, digests, look, restated, restated_in_truth, run_stages
from tests.integration.zoe import FILE, LANDED, REQUEST, ZOE, land
from tests.oracles.restatements import MARTS as ORACLE_MARTS


def traces(home: Path) -> list[str]:
    """Where below a home, the landing zone apart, one of Zoe's ids or words stands, in plain bytes or in a cell."""
    files = [path for path in home.rglob("*") if path.is_file() and (home / "landing") not in path.parents]
    words = [word.encode() for word in ZOE]
    found = [str(path.relative_to(home)) for path in files if contains_any(path, words)]
    parquet: dict[Path, list[str]] = {}
    for path in files:
        if path.suffix == ".parquet":
            parquet.setdefault(path.parent.parent, []).append(str(path))
    with duckdb.connect() as connection:
        for paths in parquet.values():
            connection.execute(
                "create or replace temp view cells as from"
                f" read_parquet({paths}, hive_partitioning = false, filename = true, union_by_name = true)"
            )
            rows = connection.execute(f"select distinct filename from cells where {in_texts(connection, 'cells')}")
            found += [str(Path(name).relative_to(home)) for (name,) in rows.fetchall()]
    for path in (path for path in files if path.suffix == ".duckdb" and not path.is_symlink()):
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, table in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                where = in_texts(connection, f'"{schema}"."{table}"')
                if connection.execute(f'select 1 from "{schema}"."{table}" where {where} limit 1').fetchall():
                    found.append(f"{path.relative_to(home)}: {schema}.{table}")
    return found


def contains_any(path: Path, words: list[bytes]) -> bool:
    stored = path.read_bytes()
    return any(word in stored for word in words)


def in_texts(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """A condition: one of Zoe's ids or words stands in a column that could hold it, which one of numbers or times could not."""
    types = connection.execute(f"select column_name, column_type from (describe {relation})").fetchall()
    texts = [name for name, type_ in types if any(text in type_ for text in ("VARCHAR", "JSON", "BLOB", "ENUM"))]
    return " or ".join(f"contains(\"{name}\"::varchar, '{word}')" for name in texts for word in ZOE) or "false"


def lake_of_others(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every accepted row of the lake that did not land in one of Zoe's files."""
    lake, found = Lake(home), {}
    with duckdb.connect() as connection:
        for source in ("events", "users", "orders", "payments", "subscriptions"):
            rows = f"select * from read_parquet(?, hive_partitioning = false) where landed_file <> '{FILE}' order by all"
            found[source] = connection.execute(rows, [[str(path) for path in lake.files(source)]]).fetchall()
            assert found[source]
    return found


def totals(home: Path) -> list[tuple[Any, ...]]:
    return look(
        home,
        "select (select count(*) from intermediate.int_events__unique), (select count(*) from core.dim_persons),"
        " (select count(*) from core.fct_orders), (select sum(amount) from core.fct_orders),"
        " (select count(*) from core.fct_payments), (select sum(amount) from core.fct_payments),"
        " (select count(*) from staging.stg_surveys), (select sum(score) from staging.stg_surveys)",
    )


def held(home: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """Content-addressed names of everything in lake and quarantine."""
    lake = Lake(home)
    return {
        (source, str(day)): (*partition.data_files, *partition.quarantine_files)
        for source in (*LANDED, "erasures")
        for day, partition in lake.partitions(source).items()
    }


def entries(home: Path) -> list[tuple[str, ...]]:
    ledger = json.loads((home / "erasures" / "ledger.json").read_text())
    assert ledger["unpublished"] == {"persons": 0, "partitions": 0, "rows": 0, "unknown": 0, "misnamed": 0}
    assert all(entry["applied_at"] and entry["published"] == [] for entry in ledger["entries"])
    return sorted((entry["kind"], entry["digest"], entry["token"]) for entry in ledger["entries"])


@pytest.fixture(scope="module", autouse=True)
def _small_files_are_kept() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FoldPlanner, "worth_keeping", 0)
        yield


@pytest.fixture(scope="module")
def asked(next_day, tmp_path_factory) -> Path:
    """A home that has published twice with Zoe in it, and to which her request has come."""
    home = copy_home(next_day, tmp_path_factory.mktemp("asked") / "home")
    assert "erase" not in json.loads((home / "night.json").read_text())
    land(home, REQUEST)
    return home


@pytest.fixture(scope="module")
def erased(asked, tmp_path_factory, northstar) -> Path:
    """The home after the night that erased her."""
    home = copy_home(asked, tmp_path_factory.mktemp("erased") / "home")
    night = northstar(home, "nightly")
    assert night.returncode == 0, night.stdout + night.stderr
    (home / "night.txt").write_text(night.stdout)
    return home


def test_nothing_of_the_person_is_left(asked, erased):
    before = traces(asked)
    assert "warehouse.duckdb: intermediate.int_events__unique" in before
    assert any(trace.startswith("lake/feedback") for trace in before)
    assert any(trace.startswith("quarantine/events") for trace in before)
    assert traces(erased) == []


def test_the_night_says_what_it_did_and_names_nobody(asked, erased):
    said = (erased / "night.txt").read_text()
    assert "1 person, 9 partitions rewritten" in said
    assert "data through" in said
    assert "event days affected" in said
    assert "everything is built" not in said
    # She bought something: the releases of before the request publish her pseudonym.
    pruned = [current(asked)["release_id"], current(asked)["previous_release_id"]]
    assert current(erased)["erasure"] == {
        "persons": 1,
        "partitions_rewritten": 9,
        "releases_pruned": pruned,
        "unknown_requests": 0,
    }
    kinds = [kind for kind, *_ in entries(erased)]
    assert kinds == ["anonymous", "anonymous", "anonymous", "contact", "user"]


def test_a_small_build_file_is_deleted_and_the_plan_says_why(asked, tmp_path, monkeypatch):
    home = copy_home(asked, tmp_path / "home")
    monkeypatch.setattr(FoldPlanner, "worth_keeping", (home / "warehouse.duckdb").stat().st_size + 1)
    with at_home(home), Night(load()) as night:
        intake.ingest(night)
        intake.erase(night)
        assert not night.warehouse.path.exists()
        assert intake.plan(night).rebuild_reason == "1 person erased"


def test_a_build_file_that_finds_no_room_to_be_rewritten_is_deleted(asked, tmp_path, monkeypatch, caplog):
    home = copy_home(asked, tmp_path / "home")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    rewrite = Warehouse.rewrite

    def rewrite_on_full_disk(warehouse: Warehouse, kept: Mapping[tuple[str, str], str]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            rewrite(warehouse, kept)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(Warehouse, "rewrite", rewrite_on_full_disk)
    with at_home(home), Night(load()) as night:
        intake.ingest(night)
        intake.erase(night)
        assert not list(home.glob("*warehouse.duckdb*"))
        assert not list(home.glob(".warehouse.duckdb*"))
        assert night.ledger.pending == []
        assert "could not be rewritten" in caplog.text


def test_what_the_erasure_restated_is_told(asked, erased):
    told = restated(erased)
    assert told
    assert {figure: values for figure, values in told.items() if figure[0] in ORACLE_MARTS} == restated_in_truth(asked, erased)
    assert restated(erased, by="erasure") == told


def test_the_facts_stay_and_belong_to_one_person(asked, erased):
    events, persons, *others = totals(asked)[0]
    # The event of the last day shows whose the tablet is, which was a visitor of its own.
    assert totals(erased) == [(events + 1, persons - 1, *others)]
    revenue = "select sum(customer_count), sum(revenue) from marts.mart_ltv__cohort where dimension = 'all'"
    assert ask(erased, revenue) == ask(asked, revenue)
    (token,) = {token for *_, token in entries(erased)}
    orders = look(erased, f"select count(*), sum(landed_amount)::double from core.fct_orders where user_id = '{token}'")
    assert orders == [(2, 133.45)]
    assert look(
        erased, f"select count(*), count(anonymous_id) from intermediate.int_events__unique where user_id = '{token}'"
    ) == [(6, 0)]
    assert look(erased, f"select gender, birth_year from staging.stg_users where user_id = '{token}'") == [(None, None)]


def test_everyone_else_is_untouched(asked, erased):
    assert lake_of_others(erased) == lake_of_others(asked)


def test_golden_rows_name_nobody(erased):
    champion = ModelStore(erased, "churn").champion()
    for row in champion.golden if champion else ():
        assert all(value is None or isinstance(value, float) for value in row.values())


@pytest.mark.long
@pytest.mark.parametrize(
    "again", [{"days": (date(2026, 11, 10), date(2026, 11, 15))}, {"anew": True}], ids=["backfill", "rebuild"]
)
def test_backfill_and_rebuild_keep_the_person_erased(erased, tmp_path, again):
    home = copy_home(erased, tmp_path / "home")
    assert "erase" not in run_stages(home, **again)
    assert digests(home) == digests(erased)
    assert held(home) == held(erased)
    assert traces(home) == []


class Killed(NorthstarError):  # noqa: N818 - says what happened
    """The night ends here."""


def last(owner: Any, name: str, *, after: bool) -> Callable[[pytest.MonkeyPatch], None]:
    """Let the first call of a method or function be the last thing that a night does: before the work is done, or after."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)

        def dying(*args: Any, **options: Any) -> Any:
            if after:
                original(*args, **options)
            raise Killed("killed by a test")

        monkeypatch.setattr(owner, name, dying)

    return patch


KILLS = {
    "after ingest": last(intake, "erase", after=False),
    "after the links": last(Lake, "load", after=False),
    "in the rewriting": last(Lake, "commit", after=True),
    "before the sweep": last(Lake, "sweep", after=False),
    "before the build file goes": last(Lake, "sweep", after=True),
    "in the rewriting of the build file": last(build_file, "sync_path", after=False),
    "before it counts as done": last(Ledger, "mark_applied", after=False),
    "before the plan": last(Ledger, "mark_applied", after=True),
    "after the build": last(Warehouse, "mark_folded", after=False),
    "before the old releases go": last(ReleaseStore, "remove", after=False),
    "before they count as gone": last(Ledger, "mark_published", after=False),
}


@pytest.mark.long
def test_a_night_killed_at_every_step_in_turn_ends_the_same(asked, erased, tmp_path, monkeypatch):
    home = copy_home(asked, tmp_path / "home")
    before = [current(home)["release_id"], current(home)["previous_release_id"]]
    for patch in KILLS.values():
        with monkeypatch.context() as patched:
            patch(patched)
            with pytest.raises(Killed):
                run_stages(home)
    assert not [release_id for release_id in before if (home / "published" / "releases" / release_id).exists()]
    run_stages(home)
    assert traces(home) == []
    assert held(home) == held(erased)
    assert entries(home) == entries(erased)
    assert digests(home) == digests(erased)
    pruned = [json.loads(path.read_text())["erasure"] for path in home.glob("published/releases/*/manifest.json")]
    assert sorted(record["releases_pruned"] for record in pruned if record) == [[], before, before]
