"""The filter language of funnel steps: comparisons over event columns and `properties.<name>`, joined by `and`.

Belongs here: parsing a filter into data. Does not belong here: SQL; the data reaches dbt as a table, so a user's text never
becomes part of a statement.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from orchestration.landing.contract import CONTRACT

if TYPE_CHECKING:
    from sqlglot import exp

# Limits of `control.funnel_conditions`: a literal that would be rounded or cut is refused.
_MOST_DIGITS, _MOST_DECIMALS = 31, 6
_LONGEST = 2_000

COLUMNS = tuple(column.name for column in CONTRACT["events"].columns if column.name != "properties")


class FilterError(ValueError):
    """A filter that is not a conjunction of comparisons."""


@dataclass(frozen=True)
class Condition:
    """One comparison of an attribute with a literal; a number is compared as a number, anything else as text.

    operator: one of =, <>, <, <=, >, >=, in, is null, is not null. texts: the literals; only `in` has more than one.
    """

    attribute: str
    operator: str
    texts: tuple[str, ...]
    numbers: tuple[Decimal, ...]


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The comparisons of a filter, joined by `and`; FilterError names the part that cannot be parsed."""
    import sqlglot
    from sqlglot import errors, exp

    if len(text) > _LONGEST:
        raise FilterError(f"filter {text[:40]!r}… is longer than {_LONGEST} characters")
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb", into=exp.Condition)
    except (errors.SqlglotError, RecursionError) as error:
        raise FilterError(f"filter {text!r} cannot be read") from error
    parts = list(tree.flatten()) if isinstance(tree, exp.And) else [tree]
    return tuple(_condition(part, text) for part in parts)


def _condition(part: "exp.Expr", text: str) -> Condition:
    from sqlglot import exp

    operators: dict[type[exp.Expr], str] = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
    if isinstance(part, exp.Paren):
        return _condition(part.this, text)
    if type(part) in operators:
        return _compare(part.this, operators[type(part)], [part.expression], text)
    if isinstance(part, exp.In) and part.expressions:
        return _compare(part.this, "in", part.expressions, text)
    negated = isinstance(part, exp.Not)
    test = part.this if negated else part
    if isinstance(test, exp.Is) and isinstance(test.expression, exp.Null):
        return Condition(_attribute(test.this, text), "is not null" if negated else "is null", (), ())
    raise FilterError(
        f"filter {text!r}: {part.sql()!r} is not understood; write comparisons (=, <>, <, <=, >, >=, in, is null) joined by 'and'"
    )


def _compare(left: "exp.Expr", operator: str, literals: "list[exp.Expr]", text: str) -> Condition:
    values = [_literal(literal, text) for literal in literals]
    numbers = tuple(value for value in values if isinstance(value, Decimal))
    if numbers and len(numbers) < len(values):
        raise FilterError(f"filter {text!r} mixes numbers and texts in one comparison")
    return Condition(_attribute(left, text), operator, tuple(str(value) for value in values), numbers)


def _attribute(node: "exp.Expr", text: str) -> str:
    from sqlglot import exp

    if isinstance(node, exp.Column):
        path = [part.name for part in node.parts]
        if len(path) == 1 and path[0] in COLUMNS:
            return path[0]
        # The name becomes a quoted member of a JSON path: these characters would end the quotes, escape, or match all members.
        if len(path) == 2 and path[0] == "properties" and path[1] and not set('"\\*') & set(path[1]):
            return f"properties.{path[1]}"
    raise FilterError(
        f"filter {text!r}: unknown event column {node.sql()!r}; known are {', '.join(COLUMNS)} and properties.<name>"
    )


def _literal(node: "exp.Expr", text: str) -> Decimal | str:
    from sqlglot import exp

    if isinstance(node, exp.Boolean):
        return "true" if node.this else "false"
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
    digits = node.this if isinstance(node, exp.Neg) else node
    if not isinstance(digits, exp.Literal) or digits.is_string:
        raise FilterError(f"filter {text!r}: expected a text or a number, not {node.sql()!r}")
    try:
        number = Decimal(str(digits.this))
    except InvalidOperation as error:
        raise FilterError(f"filter {text!r}: invalid number {node.sql()!r}") from error
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MOST_DECIMALS or number.adjusted() >= _MOST_DIGITS:
        raise FilterError(
            f"filter {text!r}: {node.sql()!r} has more than {_MOST_DIGITS} digits or {_MOST_DECIMALS} decimal places"
        )
    return number.copy_negate() if isinstance(node, exp.Neg) else number
