"""The tables of northstar.toml and waivers.toml below the top: funnels, channel rules, pages, publication and waivers.

Belongs here: one model per table, with its checks. Does not belong here: keys of the top level and their defaults (`schema`).
"""

import csv
import re
from datetime import date, datetime
from typing import Annotated
from urllib.parse import unquote

from pydantic import Field, SecretStr, field_validator, model_validator

from orchestration.base.suggestion import did_you_mean
from orchestration.config.filters import Condition, FilterError, parse_filter
from orchestration.config.project import DBT_PROJECT
from orchestration.config.values import Frozen, Name, check_postgres_url, duration

# Characters that end a path segment, and NUL, which landed text never contains.
_NOT_IN_SEGMENTS = "/?#;\0"

# Syntax of Python's regular expressions that DuckDB's (RE2) lack.
_NOT_IN_RE2 = re.compile(r"\(\?(?:<?[=!]|P=)|\\[1-9]")


class FunnelStep(Frozen):
    """One step of a funnel: an event by its core name or as it landed, and a filter over its columns."""

    step: Name
    event: Annotated[str, Field(min_length=1, max_length=200)]
    where: str | None = None

    @field_validator("where")
    @classmethod
    def _parses(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_filter(value)
            except FilterError as error:
                raise ValueError(str(error)) from error
        return value

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The comparisons of the filter, joined by `and`; empty without a filter."""
        return parse_filter(self.where) if self.where else ()


class Funnel(Frozen):
    """A funnel: ordered steps and the window that begins with the first (`7d`, `30m`, …; none means no limit)."""

    name: Name
    steps: Annotated[tuple[FunnelStep, ...], Field(min_length=2, max_length=12)]
    window: str | None = None

    @field_validator("window")
    @classmethod
    def _is_window(cls, value: str | None) -> str | None:
        if value is not None:
            duration(value)
        return value

    @model_validator(mode="after")
    def _distinct_steps(self) -> "Funnel":
        names = [step.step for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError(f"the steps of funnel {self.name!r} need different names")
        return self

    @property
    def window_seconds(self) -> int | None:
        """Length of the window in seconds; None means no limit."""
        return None if self.window is None else int(duration(self.window).total_seconds())


class ChannelRule(Frozen):
    """A channel and the patterns (RE2) that a touch must all match: one `[[channel_rules]]`, tried before the shipped rules.

    source: utm_source, else the referring host. medium: utm_medium. Both in lower case with hyphens for blanks and underscores.
    host: the referring host if no source is named. click: the name of the click id in the page's URL.
    """

    channel: str
    source: str | None = None
    medium: str | None = None
    host: str | None = None
    click: str | None = None

    @field_validator("channel")
    @classmethod
    def _is_channel(cls, value: str) -> str:
        known = _channels()
        if value not in known:
            raise ValueError(f"unknown channel {value!r}, expected one of {', '.join(known)}{did_you_mean(value, known)}")
        return value

    @field_validator("source", "medium", "host", "click")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"invalid pattern {value!r}: {error}") from None
            if unknown := _NOT_IN_RE2.search(value):
                raise ValueError(f"invalid pattern {value!r}: {unknown[0]} (look-around and back-references) is not supported")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> "ChannelRule":
        if self.source is self.medium is self.host is self.click is None:
            raise ValueError("a rule needs a pattern for source, medium, host or click")
        return self


class Pages(Frozen):
    """Published segments of a page's path: `[pages]`, in addition to the built-in detection of ids.

    id_segments_after: segments that are always followed by an id. keep: segments that are never ids. Both are compared in lower
    case, with percent-escapes resolved.
    """

    id_segments_after: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @field_validator("id_segments_after", "keep", mode="before")
    @classmethod
    def _are_segments(cls, value: object) -> object:
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
            raise ValueError('expected a list of segments of a path, such as ["users", "orders"]')
        segments = [unquote(text).strip().lower() for text in value]
        for text, segment in zip(value, segments, strict=True):
            if not segment or any(mark in segment for mark in _NOT_IN_SEGMENTS):
                meant = next((part for part in re.split(r"[/?#;]", segment) if part.strip()), "")
                hint = f"; did you mean {meant.strip()!r}?" if meant else ""
                raise ValueError(f"{text!r} is not one segment of a path, which is what stands between two slashes{hint}")
        return sorted(set(segments))


class Publish(Frozen):
    """Additional targets of releases, besides the files of the home."""

    postgres_url: SecretStr | None = None

    @field_validator("postgres_url")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_postgres_url(value.get_secret_value())
        return value


class Waiver(Frozen):
    """Permission to publish although one named critical check fails: one `[[waivers]]` of waivers.toml."""

    mart: Annotated[str, Field(min_length=1)]
    check: Annotated[str, Field(min_length=1)]
    until: date
    reason: Annotated[str, Field(min_length=1)]
    by: Annotated[str, Field(min_length=1)]

    @field_validator("until", mode="before")
    @classmethod
    def _is_day(cls, value: object) -> object:
        if isinstance(value, datetime) or not isinstance(value, date | str):
            raise ValueError("write the last day on which it holds, such as 2026-12-01")
        return value

    @field_validator("reason", "by", mode="before")
    @classmethod
    def _says_something(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value


class Waivers(Frozen):
    """Waivers of the gate: the keys of waivers.toml."""

    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> "Waivers":
        names = [f"{waiver.mart}.{waiver.check}" for waiver in self.waivers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"waived twice: {', '.join(sorted(twice))}")
        return self


def _channels() -> list[str]:
    with (DBT_PROJECT / "seeds" / "channel_rules.csv").open(encoding="utf-8", newline="") as file:
        return sorted({row["channel"] for row in csv.DictReader(file)})
