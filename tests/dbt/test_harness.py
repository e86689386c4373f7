"""The harness and the comparison themselves: what they refuse, and what counts as equal."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from orchestration.config.project import DBT_PROJECT
from tests.dbt.comparison import assert_same, is_same
from tests.dbt.facts import landed
from tests.dbt.harness import DbtProject


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.3001, False),
        (1, 1, True),
        (True, 1, False),
        (None, 0, False),
        (0.0, None, False),
        (Decimal("1.0000"), Decimal(1), True),
        (Decimal("0.3333"), Decimal(1) / 3, True),
        (Decimal("0.3334"), Decimal(1) / 3, False),
        (Decimal("0.10"), Decimal("0.11"), False),
    ],
)
def test_what_counts_as_equal(got, expected, same) -> None:
    assert is_same(got, expected) is same


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"key": 1, "value": 2}, {"key": 1, "value": 2}], "twice"),
        ([], "missing"),
        ([{"key": 1, "value": 2}, {"key": 3, "value": 2}], "only in the mart"),
        ([{"key": 1, "value": 3}], r"\(3, 2\)"),
        ([{"key": 1, "value": 2, "other": 0}], "other"),
    ],
)
def test_a_difference_is_named(rows, message) -> None:
    assert_same([{"key": 1, "value": 2}], ["key"], {(1,): {"value": 2}})
    with pytest.raises(AssertionError, match=message):
        assert_same(rows, ["key"], {(1,): {"value": 2}})


# `var(…)`, and not `env_var(…)`.
VARIABLE = re.compile(r"(?<!\w)var\(")
CONFIGURED = re.compile(r"config\((?:(?!}}).)*", re.DOTALL)


def test_nothing_but_code_reads_variables() -> None:
    """The harness compiles under one configuration what was parsed under another."""
    properties = [path for path in DBT_PROJECT.rglob("*.yml") if VARIABLE.search(path.read_text(encoding="utf-8"))]
    code = {path: path.read_text(encoding="utf-8") for path in DBT_PROJECT.rglob("*.sql")}
    assert any(VARIABLE.search(text) for text in code.values())
    blocks = [path for path, text in code.items() if any(map(VARIABLE.search, CONFIGURED.findall(text)))]
    assert (properties, blocks) == ([], [])
    assert VARIABLE.search(CONFIGURED.findall("{{ config(materialized=var('how')) }}")[0])


def test_only_sources_and_columns_of_the_contract_are_landed(shanghai: DbtProject) -> None:
    reporting = shanghai.reporting(date(2024, 3, 1))
    with pytest.raises(ValueError, match=r"no source of the contract: .*visits"):
        shanghai.run("stg_users", {"visits": []}, reporting)
    with pytest.raises(ValueError, match=r"no column of users: .*name"):
        shanghai.run("stg_users", {"users": [landed({"user_id": "u", "name": "x"}, 1, date(2024, 3, 1))]}, reporting)


def test_nothing_of_one_run_is_left_in_the_next(shanghai: DbtProject) -> None:
    reporting = shanghai.reporting(date(2024, 3, 1))
    users = [landed({"user_id": "u", "signed_up_at": None}, 1, date(2024, 3, 1))]
    assert [row["user_id"] for row in shanghai.run("stg_users", {"users": users}, reporting)] == ["u"]
    assert shanghai.run("stg_users", {}, reporting) == []


def test_a_relation_is_built_again_when_what_it_reads_has_changed(shanghai: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
    reporting = shanghai.reporting(date(2024, 3, 1))
    facts = {"users": [landed({"user_id": "u", "signed_up_at": None}, 1, date(2024, 3, 1))]}
    built: list[str] = []
    create = DbtProject._create

    def note(self: DbtProject, node: Any, connection: Any) -> None:
        built.append(node.address)
        create(self, node, connection)

    monkeypatch.setattr(DbtProject, "_create", note)
    shanghai.build(("stg_users", "stg_orders"), {}, reporting)
    built.clear()
    shanghai.build(("stg_users", "stg_orders"), facts, reporting)
    assert built == ['"staging"."stg_users"']
    shanghai.build(("stg_users", "stg_orders"), facts, reporting)
    assert built == ['"staging"."stg_users"']


def test_a_relation_whose_build_failed_is_built_again(shanghai: DbtProject, monkeypatch: pytest.MonkeyPatch) -> None:
    reporting = shanghai.reporting(date(2024, 3, 1))
    facts = {"users": [landed({"user_id": "v", "signed_up_at": None}, 1, date(2024, 3, 1))]}

    def fail(*_: Any) -> None:
        raise RuntimeError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(DbtProject, "_create", fail)
        with pytest.raises(RuntimeError, match="no room"):
            shanghai.run("stg_users", facts, reporting)
    assert [row["user_id"] for row in shanghai.run("stg_users", facts, reporting)] == ["v"]
