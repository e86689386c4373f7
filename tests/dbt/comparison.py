"""Comparing a mart with its oracle, cell by cell.

Belongs here: what counts as equal. Does not belong here: running models (`harness`) or oracles.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any


def assert_same(got: Iterable[Mapping[str, Any]], key: Sequence[str], expected: Mapping[Any, Mapping[str, Any]]) -> None:
    """Same keys, none twice, and the same value in every column; floats to nine digits, decimals to half of their last place."""
    rows = [dict(row) for row in got]
    found = {tuple(row.pop(name) for name in key): row for row in rows}
    assert len(found) == len(rows), "a key occurs twice"
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    assert not missing, f"missing from the mart: {_first(missing)}"
    assert not surplus, f"only in the mart: {_first(surplus)}"
    wrong = {
        where: (found[where], dict(row))
        for where, row in expected.items()
        if found[where].keys() != row.keys() or not all(is_same(found[where][name], value) for name, value in row.items())
    }
    where, (have, want) = next(iter(sorted(wrong.items(), key=lambda item: str(item[0]))), (None, ({}, {})))
    differing = {
        name: (have.get(name), want.get(name))
        for name in have.keys() | want.keys()
        if not is_same(have.get(name), want.get(name))
    }
    assert not wrong, f"{len(wrong)} of {len(expected)} rows differ, first {where}: (got, expected) {differing}"


def is_same(got: Any, expected: Any) -> bool:
    """Whether a published value is the expected one; a decimal may be the expected value rounded to the places that it has."""
    if isinstance(got, float) and isinstance(expected, int | float) and not isinstance(expected, bool):
        return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(got, Decimal) and isinstance(expected, Decimal):
        places = -int(got.as_tuple().exponent)
        exact = -int(expected.as_tuple().exponent) <= places
        return got == expected if exact else abs(got - expected) <= Decimal(1).scaleb(-places) / 2
    return bool(type(got) is type(expected) and got == expected)


def _first(keys: Iterable[Any]) -> list[Any]:
    return sorted(keys, key=str)[:3]
