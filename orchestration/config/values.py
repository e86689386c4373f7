"""Values that several keys share: names, durations and addresses, each with its check.

Belongs here: what a value may look like, whatever key it is for. Does not belong here: keys (`schema`, `tables`).
"""

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from orchestration.base.errors import UserError

_DURATION = re.compile(r"(?P<count>[1-9]\d{0,8})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST_DURATION = timedelta(days=36_525)  # a century: what is longer is a slip of the pen

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]

# Who answers for assets and marts. dbt's `meta.owner` and the assets name one; a site's `[owners]` gives it an address.
TEAMS = ("growth", "platform", "science")
_OWNER = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:[A-Za-z0-9_]+")

Probability = Annotated[float, Field(gt=0, lt=1)]

# What DuckDB and the calendar can hold, and more than anybody means.
Count = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]


class SettingsError(UserError):
    """A setting that is unknown or has a value it cannot have."""


class Frozen(BaseModel):
    """A model whose values never change, and of which an unknown key is an error."""

    # What was written may be a password: pydantic's own words about a fault must not repeat it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def duration(text: str) -> timedelta:
    """A duration such as `7d`; ValueError when it is none or longer than a century."""
    match = _DURATION.fullmatch(text)
    unit = timedelta(**{_UNITS[match["unit"]]: 1}) if match else None
    # Compared before it is multiplied: a timedelta overflows from 999,999,999 days on.
    if match is None or unit is None or int(match["count"]) > _LONGEST_DURATION / unit:
        raise ValueError(
            f"invalid duration {text!r}: expected a number followed by s, m, h, d or w, such as '7d', up to a century"
        )
    return int(match["count"]) * unit


def check_owner(team: str, owner: str) -> None:
    """Raise ValueError when Dagster would not accept the owner of a team."""
    if not _OWNER.fullmatch(owner):
        raise ValueError(
            f"{team}: invalid owner {owner!r}: expected an e-mail address or 'team:' and a name of letters, digits and _"
        )


def check_postgres_url(url: str) -> None:
    """Raise ValueError, without the URL, when it is none of a PostgreSQL database."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"postgresql", "postgres"} and len(parts.path) > 1 and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError(
            "write postgresql://user:password@host:5432/database, and special characters of the password as %40 (@), %2F (/), …"
        )
