"""What is read of a dbt manifest about a mart."""

import pytest

from orchestration.base.errors import NorthstarError
from orchestration.marts import Column, Periods, read_specs

NODE = {
    "resource_type": "model",
    "schema": "marts",
    "name": "mart_a",
    "unique_id": "model.northstar.mart_a",
    "description": "One row per\n day.",
    "deprecation_date": None,
    "depends_on": {"nodes": ["source.northstar.ml.churn_scores"]},
    "config": {
        "meta": {"owner": "growth", "grain": ["day", "dimension", "segment"], "requires": ["events"], "filled_by": "entrances"}
    },
    "columns": {
        "day": {"name": "day", "data_type": "date", "description": "The day.", "constraints": [{"type": "not_null"}]},
        "person_id": {
            "name": "person_id",
            "data_type": "varchar",
            "description": "Who.",
            "constraints": [],
            "config": {"meta": {"pseudonym": "person"}},
        },
        "dimension": {"name": "dimension", "data_type": "varchar", "description": "By what."},
        "revenue": {"name": "revenue", "data_type": "decimal(18, 2)", "description": "Money."},
    },
}
RESTATED = {"start": "day", "length": "day", "measures": ["revenue"], "facts": ["events"]}


def attached(name: str, **arguments) -> dict:
    metadata = {"name": name, "kwargs": arguments}
    return {"resource_type": "test", "attached_node": NODE["unique_id"], "test_metadata": metadata, "schema": "x", "name": name}


def read(*tests: dict, deprecation_date: str | None = None, **meta):
    node = NODE | {"deprecation_date": deprecation_date, "config": {"meta": NODE["config"]["meta"] | meta}}
    nodes = {node["unique_id"]: node, "model.northstar.other": node | {"schema": "core", "name": "dim_a"}}
    return read_specs({"nodes": nodes | {str(number): test for number, test in enumerate(tests)}})


def test_a_mart_is_read_with_its_columns_and_what_tests_say_of_them() -> None:
    by = attached("accepted_values", column_name="dimension", values=["all", "plan"])
    sums = attached("segments_add_up", columns=["visits"], rounded=["revenue"], keys=["day"], dimensions=["plan"])
    found = read(by, sums, attached("unique_key", columns=["day"]))
    assert list(found) == ["mart_a"]
    spec = found["mart_a"]
    assert spec.columns == (
        Column("day", "DATE", "The day.", is_required=True),
        Column("person_id", "VARCHAR", "Who.", pseudonym="person"),
        Column("dimension", "VARCHAR", "By what.", values=("all", "plan")),
        Column("revenue", "DECIMAL(18,2)", "Money."),
    )
    assert (spec.required, spec.pseudonyms, spec.values) == (("day",), {"person_id": "person"}, {"dimension": ("all", "plan")})
    assert (spec.keys, spec.sums) == (("day",), {"visits": 0, "revenue": 0.01})
    assert (spec.owner, spec.requires, spec.filled_by, spec.version) == ("growth", ("events",), "entrances", 1)
    assert spec.reads_of("ml") == ["churn_scores"]
    assert spec.comment == "One row per day."


def test_what_a_mart_says_of_its_periods_is_of_everybody_by_default() -> None:
    assert read(restated="a snapshot")["mart_a"].periods is None
    periods = Periods("day", "day", None, None, "dimension = 'all'", (), ("revenue",), ("events",), onward=False)
    assert read(restated=RESTATED)["mart_a"].periods == periods
    assert read(restated=RESTATED | {"where": "true", "onward": True})["mart_a"].periods.condition == "true"


def test_a_mart_that_is_going_says_so() -> None:
    spec = read(deprecation_date="2026-12-31T00:00:00+08:00", version=2)["mart_a"]
    assert (spec.version, str(spec.published_until)) == (2, "2026-12-31")
    assert spec.comment == "One row per day. Published until 2026-12-31."


@pytest.mark.parametrize("version", [0, -1, "2", 1.5, True, None])
def test_a_version_is_a_whole_number_from_1_on(version) -> None:
    with pytest.raises(NorthstarError, match=r"mart_a: its meta\.version is .* must be a whole number from 1 on"):
        read(version=version)


@pytest.mark.parametrize("owner", ["grwth", "growth@example.com", None])
def test_an_owner_is_a_known_team(owner) -> None:
    with pytest.raises(
        NorthstarError, match=r"mart_a: unknown team .* in meta\.owner, expected one of growth, platform, science"
    ):
        read(owner=owner)
