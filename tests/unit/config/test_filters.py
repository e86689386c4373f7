"""The filter language: what it says, that it says the same when written out again, and that nothing else passes through it."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.config.filters import Condition, FilterError, parse_filter
from orchestration.landing.contract import CONTRACT

COLUMNS = [column.name for column in CONTRACT["events"].columns if column.name != "properties"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value = 5", [("value", "=", ("5",), (Decimal(5),))]),
        ("value == 5", [("value", "=", ("5",), (Decimal(5),))]),
        ("value <> 5", [("value", "<>", ("5",), (Decimal(5),))]),
        ("value != -0.5", [("value", "<>", ("-0.5",), (Decimal("-0.5"),))]),
        ("value<.5", [("value", "<", ("0.5",), (Decimal("0.5"),))]),
        ("value >= '5'", [("value", ">=", ("5",), ())]),
        ("feature = 'it''s'", [("feature", "=", ("it's",), ())]),
        ("feature = ''", [("feature", "=", ("",), ())]),
        ("feature in ('a', 'b')", [("feature", "in", ("a", "b"), ())]),
        ("value IN (1, 2.5)", [("value", "in", ("1", "2.5"), (Decimal(1), Decimal("2.5")))]),
        ("user_id is null", [("user_id", "is null", (), ())]),
        ("user_id IS NOT NULL", [("user_id", "is not null", (), ())]),
        ("properties.kind = true", [("properties.kind", "=", ("true",), ())]),
        ('properties."a key, with. signs" = 1', [("properties.a key, with. signs", "=", ("1",), (Decimal(1),))]),
        ("(value > 1) and feature = 'x'", [("value", ">", ("1",), (Decimal(1),)), ("feature", "=", ("x",), ())]),
        (
            "value > 1 AND value <= 3 and page is not null",
            [("value", ">", ("1",), (Decimal(1),)), ("value", "<=", ("3",), (Decimal(3),)), ("page", "is not null", (), ())],
        ),
    ],
)
def test_grammar(text: str, expected: list) -> None:
    assert parse_filter(text) == tuple(Condition(*condition) for condition in expected)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_the_contract_can_be_named(column: str) -> None:
    assert parse_filter(f"{column} is null") == (Condition(column, "is null", (), ()),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("value >", "cannot be read"),
        ("value > 0) or (1=1", "cannot be read"),
        ("value > 0; drop table intermediate.int_events__unique", "cannot be read"),
        ("value > 0 or value < -1", "is not understood; write comparisons (=, <>, <, <=, >, >=, in, is null) joined by 'and'"),
        ("not value = 3", "is not understood"),
        ("value between 1 and 2", "is not understood"),
        ("feature like 'a%'", "is not understood"),
        ("feature is true", "is not understood"),
        ("value", "is not understood"),
        ("true", "is not understood"),
        ("value in ()", "is not understood"),
        ("value in (select 1)", "is not understood"),
        ("exists (select 1)", "is not understood"),
        ("value in (1, 'a')", "mixes numbers and texts in one comparison"),
        ("nope = 1", "unknown event column 'nope'; known are event_id, event, occurred_at"),
        ("properties = '{}'", "unknown event column 'properties'"),
        ("properties.a.b = 1", "unknown event column 'properties.a.b'"),
        ("control.run = 1", "unknown event column 'control.run'"),
        ("lower(feature) = 'a'", "unknown event column"),
        ("value + 1 = 2", "unknown event column"),
        ("read_text('/etc/passwd') = 'a'", "unknown event column"),
        ("1 < value", "expected a text or a number, not"),
        ("value = other", "expected a text or a number, not"),
        ("value = null", "expected a text or a number, not"),
        ("value = (select max(value) from intermediate.int_events__unique)", "expected a text or a number, not"),
        ("feature = 'a' || 'b'", "expected a text or a number, not"),
        ("feature = getenv('HOME')", "expected a text or a number, not"),
        ("feature = ?", "expected a text or a number, not"),
        ("feature = $1", "expected a text or a number, not"),
        ("value = 5::int", "expected a text or a number, not"),
    ],
)
def test_anything_else_is_refused_with_the_part_at_fault(text: str, said: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter(text)
    assert repr(text) in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["value = -'5'", "value = -true"])
def test_a_sign_before_a_text_is_not_dropped(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text)


@pytest.mark.parametrize("text", ["value > 1e999999999", "value > -1e999999999", "(" * 700 + "value = 1" + ")" * 700])
def test_the_absurd_is_refused_in_words(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text)


@pytest.mark.parametrize("name", ['a"b', "", "*", "a\\b"])
def test_a_property_s_name_is_one_that_a_path_can_hold(name: str) -> None:
    """Names are looked up as `$."<name>"`: one that ends the quotes is an error in DuckDB, and `*` would mean every member."""
    quoted = name.replace('"', '""')
    with pytest.raises(FilterError):
        parse_filter(f"properties.\"{quoted}\" = 'x'")


_numbers = st.decimals(min_value=-(10**9), max_value=10**9, places=4, allow_nan=False, allow_infinity=False)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_ .$-]{0,12}", fullmatch=True)
_attributes = st.sampled_from(COLUMNS) | _names.map(lambda name: f"properties.{name}")


def _conditions() -> st.SearchStrategy[Condition]:
    operators = st.sampled_from(("=", "<>", "<", "<=", ">", ">="))
    as_number = st.tuples(_attributes, operators, _numbers).map(
        lambda part: Condition(part[0], part[1], (str(part[2]),), (part[2],))
    )
    as_text = st.tuples(_attributes, operators, _texts).map(lambda part: Condition(part[0], part[1], (part[2],), ()))
    in_texts = st.tuples(_attributes, st.lists(_texts, min_size=1, max_size=3)).map(
        lambda p: Condition(p[0], "in", tuple(p[1]), ())
    )
    in_numbers = st.tuples(_attributes, st.lists(_numbers, min_size=1, max_size=3)).map(
        lambda part: Condition(part[0], "in", tuple(map(str, part[1])), tuple(part[1]))
    )
    nulls = st.tuples(_attributes, st.sampled_from(("is null", "is not null"))).map(lambda part: Condition(*part, (), ()))
    return as_number | as_text | in_texts | in_numbers | nulls


def written(condition: Condition) -> str:
    attribute = condition.attribute
    if attribute.startswith("properties."):
        attribute = f'properties."{attribute.removeprefix("properties.")}"'
    literals = condition.numbers or ["'" + text.replace("'", "''") + "'" for text in condition.texts]
    if condition.operator == "in":
        return f"{attribute} in ({', '.join(map(str, literals))})"
    return f"{attribute} {condition.operator} {''.join(map(str, literals))}"


@given(st.lists(_conditions(), min_size=1, max_size=5))
@example([Condition("feature", "=", ("'; drop table x; --",), ())])
@example([Condition("feature", "in", ("a\\' or 1=1 --", "/* */", "\\"), ())])
def test_what_is_written_is_what_is_read(conditions: list[Condition]) -> None:
    found = parse_filter(" and ".join(map(written, conditions)))
    assert [(c.attribute, c.operator, c.numbers) for c in found] == [(c.attribute, c.operator, c.numbers) for c in conditions]
    assert [c.texts for c in found if not c.numbers] == [c.texts for c in conditions if not c.numbers]


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["value", ">", "1", "'a'", "and", "(", ")", "in", "--", ";", "or", "not", ","])).map(" ".join)
)
def test_any_text_is_conditions_or_a_filter_error(text: str) -> None:
    try:
        found = parse_filter(text)
    except FilterError:
        return
    assert found
    for condition in found:
        assert condition.attribute in COLUMNS or condition.attribute.startswith("properties.")
        assert condition.operator in {"=", "<>", "<", "<=", ">", ">=", "in", "is null", "is not null"}
        assert all(isinstance(text, str) for text in condition.texts)
