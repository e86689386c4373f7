"""Cells: the SQL that turns a landed cell into a value of the contract's type.

Belongs here: trimming, parsing and the types that need neither. Does not belong here: allowed values (`judging`), and reading
cells (`readers`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestration.base.sql import literal
from orchestration.landing.source import Type

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"})
_TIMES = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"})
_ISO_TIMESTAMP = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?)?"
# The usual forms, which need no time zone to be converted.
_UTC_TIMESTAMP = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z?"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]00:00(:00(\.0{1,9})?)?( ?(Z|UTC|[+-]00(:?00)?))?)?"
_DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
_INTEGER = r"[+-]?\d{1,18}(\.0*)?"
# White space other than the plain space: control characters, Unicode's, and the invisible marks that spreadsheets leave.
_WHITE_SPACE = "".join(
    map(
        chr,
        (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF),
    )
)


@dataclass(frozen=True)
class Cell:
    """A landed column: the SQL that reads it and the resulting DuckDB type."""

    sql: str
    type: str = "VARCHAR"
    has_nul: bool = False  # whether it may contain NUL characters
    is_plain: bool = False  # whether its texts are known to be ASCII that ends with no white space but spaces

    def is_native(self, wanted: Type) -> bool:
        """Whether a Parquet file holds it in a type that needs no parsing."""
        if wanted is Type.TIMESTAMP:
            return self.type in _TIMES or self.type == "TIMESTAMP WITH TIME ZONE"
        if wanted in {Type.MONEY, Type.NUMBER, Type.RATE}:
            return self.type in _INTEGERS or self.type.startswith("DECIMAL")
        if wanted is Type.INTEGER:
            return self.type in _INTEGERS
        return wanted in {Type.DATE, Type.BOOLEAN} and self.type == wanted.sql

    @property
    def text(self) -> str:
        """SQL for the cell as text; nested values as JSON."""
        if self.type == "VARCHAR":
            return f"replace({self.sql}, chr(0), '')" if self.has_nul else self.sql
        if self.type == "JSON" or self.type.endswith("]") or self.type.startswith(("STRUCT", "MAP", "UNION")):
            return f"to_json({self.sql})::VARCHAR"
        return f"{self.sql}::VARCHAR"

    def judged(self, wanted: Type) -> str:
        """Return the SQL for the value to be judged: the native value, or the trimmed text with NULL for an empty one."""
        if self.is_native(wanted):
            return f"timezone('UTC', {self.sql})" if self.type == "TIMESTAMP WITH TIME ZONE" else self.sql
        text = self.text
        # Ids with gaps become floating-point numbers in data frames, and decimals elsewhere: 17850.0 is 17850.
        if wanted is Type.ID and self.type in {"DOUBLE", "FLOAT"}:
            is_whole = f"abs({self.sql}) < 1e18 AND {self.sql} = trunc({self.sql})"
            text = f"CASE WHEN {is_whole} THEN {self.sql}::BIGINT::VARCHAR ELSE {text} END"
        elif wanted is Type.ID and self.type.startswith("DECIMAL"):
            text = f"regexp_replace({text}, '\\.0+$', '')"
        elif self.type == "VARCHAR":
            return trimmed(self.sql, has_nul=self.has_nul, is_plain=self.is_plain)
        return trimmed(text)

    def parsed(self, wanted: Type, judged: str) -> str:  # noqa: PLR0911 (one return per type)
        """Return the SQL for the value in the contract's type, NULL when the judged value cannot be converted."""
        cast = f"TRY_CAST({judged} AS {wanted.sql})"
        if self.is_native(wanted):
            return cast
        match wanted:
            case Type.ID | Type.TEXT:
                return judged
            case Type.TIMESTAMP:
                # Casting to a plain timestamp would parse an offset and discard it.
                whole = f"TRY_CAST({judged} AS TIMESTAMP WITH TIME ZONE)"
                apart = f"TRY_CAST(regexp_replace({judged}, ' ([Z+-])', '\\1') AS TIMESTAMP WITH TIME ZONE)"
                # Casting the instant to a timestamp would ask the calendar of the time zone, which is UTC.
                instant = f"make_timestamp(epoch_us(coalesce({whole}, {apart})))"
                utc, iso = (f"regexp_full_match({judged}, '{pattern}')" for pattern in (_UTC_TIMESTAMP, _ISO_TIMESTAMP))
                return f"CASE WHEN {utc} THEN {cast} WHEN {iso} THEN {instant} END"
            case Type.DATE:
                return _when(judged, _ISO_DATE, f"TRY_CAST(left({judged}, 10) AS DATE)")
            case Type.CURRENCY:
                return _when(judged, "[A-Za-z]{3}", f"upper({judged})")
            case Type.INTEGER:
                return _when(judged, _INTEGER, cast)
            case Type.BOOLEAN:
                return f"CASE WHEN lower({judged}) IN ('true', 't', '1', 'false', 'f', '0') THEN {cast} END"
            case Type.JSON:
                return f"CASE WHEN json_type(TRY_CAST({judged} AS JSON)) = 'OBJECT' THEN TRY(json({judged}))::JSON END"
            case _:
                return _when(judged, _DECIMAL, cast)


def trimmed(text: str, *, has_nul: bool = False, is_plain: bool = False) -> str:
    """Return the SQL for a text without surrounding white space, NULL when nothing is left.

    has_nul: whether it may contain NUL characters, which are dropped. is_plain: whether it is known to be ASCII that ends with
    no white space but spaces.
    """
    # Nearly every cell is clean, and checking that costs a tenth of trimming. White space and control characters sort below
    # "!", and a text with as many bytes as characters contains no Unicode white space. NULL passes as clean: a vector without
    # a dirty cell is not copied.
    codes = (32,) if is_plain else (32, 9, 10, 13)
    dirty = " OR ".join([f"{text} < '!'", *(f"ends_with({text}, chr({code}))" for code in codes)])
    if not is_plain:
        dirty += f" OR strlen({text}) <> length({text})"
    whole = text
    if has_nul:
        dirty += f" OR contains({text}, chr(0))"
        whole = f"replace({text}, chr(0), '')"
    return f"CASE WHEN {dirty} THEN nullif(trim({whole}, {literal(_WHITE_SPACE)}), '') ELSE {text} END"


def _when(text: str, pattern: str, value: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN {value} END"


def json_object(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the SQL for a JSON object of names and SQL values."""
    return f"json_object({', '.join(f'{literal(name)}, {value}' for name, value in pairs)})"
