"""Values that several keys share: names, durations and addresses, each with its check.

Belongs here: types of values, independent of the key. Does not belong here: keys (`schema`, `tables`).
"""

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from orchestration.base.errors import UserError

_DURATION = re.compile(r"(?P<count>[1-9]\d{0,8})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST_DURATION = timedelta(days=36_525)  # a century: anything longer is a typo

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]

# Teams that own assets and marts. dbt's `meta.owner` and the assets name a team; a site's `[owners]` gives it an address.
TEAMS = ("growth", "platform", "science")
_OWNER = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:[A-Za-z0-9_]+")

Probability = Annotated[float, Field(gt=0, lt=1)]

# Within the limits of DuckDB and the calendar, and above any sensible value.
Count = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]


class SettingsError(UserError):
    """An unknown setting or an invalid value."""


class Frozen(BaseModel):
    """An immutable model that rejects unknown keys."""

    # The input may be a password: pydantic's error messages must not repeat it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def duration(text: str) -> timedelta:
    """A duration such as `7d`; ValueError when it is invalid or longer than a century."""
    match = _DURATION.fullmatch(text)
    unit = timedelta(**{_UNITS[match["unit"]]: 1}) if match else None
    # Compared before multiplying: a timedelta overflows above 999,999,999 days.
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
    """Raise ValueError, without repeating the URL, when it is not the URL of a PostgreSQL database."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"postgresql", "postgres"} and len(parts.path) > 1 and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError(
            "write postgresql://user:password@host:5432/database, and special characters of the password as %40 (@), %2F (/), …"
        )
