"""The form of the landing contract: the properties of a source and its columns.

Belongs here: types, rules of a key and of erasure, `Column` and `Source`. Does not belong here: the sources (`contract`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from orchestration.base.suggestion import nearest

UPDATED_AT = "updated_at"
"""The column that dates a state."""


class Type(Enum):
    """Type of a column's values; `sql` is its DuckDB type in the lake's Parquet files."""

    ID = "id"  # trimmed, never empty
    TEXT = "text"
    TIMESTAMP = "timestamp"  # UTC; an offset in the file is converted, none means UTC
    DATE = "date"
    MONEY = "money"
    CURRENCY = "currency"  # ISO 4217, three capitals
    NUMBER = "number"
    RATE = "rate"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    JSON = "json"

    @property
    def sql(self) -> str:
        """The type's name in DuckDB SQL."""
        return _SQL_TYPES[self]


# Decimals, not doubles: sums of doubles depend on the order in which threads add and differ from run to run.
_SQL_TYPES = {
    Type.ID: "VARCHAR",
    Type.TEXT: "VARCHAR",
    Type.TIMESTAMP: "TIMESTAMP",
    Type.DATE: "DATE",
    Type.MONEY: "DECIMAL(18,4)",
    Type.CURRENCY: "VARCHAR",
    Type.NUMBER: "DECIMAL(18,6)",
    Type.RATE: "DECIMAL(18,8)",
    Type.INTEGER: "BIGINT",
    Type.BOOLEAN: "BOOLEAN",
    Type.JSON: "JSON",
}


class Personal(Enum):
    """The personal data in a column, which decides how it is erased (`erasure`)."""

    USER = "user"  # id of the user whose row it is → the person's token
    ANONYMOUS = "anonymous"  # id of a device; without a user, the row belongs to its person → NULL, and the user's id the token
    CONTACT = "contact"  # the same of a contact → the token
    MENTION = "mention"  # a user's id in anyone's row → the token; in the erased person's own row NULL
    PAGE = "page"  # an address → without its query; NULL when it names an id of its row
    REFERRER = "referrer"  # an address → its host, which still identifies the channel of the visit
    DETAIL = "detail"  # anything else about the person → NULL, or an empty text where the column is required


@dataclass(frozen=True)
class Column:
    """One column of a source: a required one is present in every file and filled in every row.

    minimum, maximum: inclusive bounds. above: exclusive lower bound. may_lie_ahead: whether a time may lie after its arrival;
    all other times are facts of the past.
    allowed: the only allowed values. spellings: other spellings of values, in lower case with underscores. Both are matched in
    any case, with spaces or hyphens for underscores, and enter the lake in the contract's spelling.
    personal: how it is erased; None if it says nothing about a person or is kept as a business fact (amounts, times).
    """

    name: str
    type: Type
    description: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    minimum: int | None = None
    above: int | None = None
    maximum: int | None = None
    personal: Personal | None = None
    may_lie_ahead: bool = False
    spellings: Mapping[str, str] = field(default_factory=dict, hash=False)


class Keep(Enum):
    """Rule that decides which row of a key is kept.

    FIRST: the fact is immutable; the row that was received or arrived first is kept, later ones are copies of it.
    LATEST: the row is a state, and a later one replaces it: by `updated_at` if the source has it (a row without one counts as
    written when its arrival day began, UTC), then by arrival day, the time of the file, its name and the row's number in it.
    """

    FIRST = "first"
    LATEST = "latest"


@dataclass(frozen=True)
class Source:
    """One source of the landing zone.

    key: the columns that identify a fact; of the rows with equal keys one is kept. In an optional column of the key, empty is a
    value of its own: spend without a campaign is one fact, not one per row.
    keep: which row of a key is kept.
    happened_at: the column with the time of the fact, if the source has facts in time.
    one_of: at least one of these columns must be filled in every row.
    summed: columns that add up over rows of one file that share the key (and `updated_at`) but differ.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    happened_at: str
    keep: Keep = Keep.LATEST
    one_of: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the source has none."""
        return {column.name: column for column in self.columns}[name]

    @property
    def latest_by(self) -> str | None:
        """The column that dates a state; None for sources of immutable facts, and where arrival alone decides."""
        is_dated = any(column.name == UPDATED_AT for column in self.columns)
        return UPDATED_AT if self.keep is Keep.LATEST and is_dated else None

    def nearest_column(self, name: str) -> str | None:
        """The column most similar to `name`; None when none is similar."""
        return next(iter(nearest(name, (column.name for column in self.columns), likeness=0.6)), None)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Names of the columns that every file must have."""
        return tuple(column.name for column in self.columns if column.required)
