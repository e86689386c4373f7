"""An answer is remembered for equal rows alone."""

from tests.oracles.memory import remembered


def test_equal_rows_are_computed_once_and_changed_ones_anew() -> None:
    computed = []

    @remembered
    def total(facts, limit, names=None):
        computed.append((limit, names))
        return sum(row["amount"] for rows in facts.values() for row in rows if row["amount"] <= limit)

    facts = {"orders": [{"amount": 1}, {"amount": 5}]}
    assert [total(facts, 9), total({"orders": [{"amount": 1}, {"amount": 5}]}, 9)] == [6, 6]
    assert computed == [(9, None)]
    assert total(facts, 3) == 1
    assert total(facts, 9, names={"a": "b"}) == 6
    assert computed == [(9, None), (3, None), (9, {"a": "b"})]
    # In place, as tests do.
    facts["orders"][1]["amount"] = 7
    assert total(facts, 9) == 8
    facts["orders"].append({"amount": 2})
    assert total(facts, 9) == 10
    assert len(computed) == 5
