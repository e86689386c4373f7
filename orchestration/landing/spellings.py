"""Spellings of the contract's words: the SQL that translates a source's spelling.

Belongs here: matching that ignores case, spaces and hyphens. Does not belong here: the words and their spellings (`contract`),
and words defined by the configuration (`[plans]`, `[event_names]`).
"""

from orchestration.base.sql import literal
from orchestration.landing.source import Column


def canonical(column: Column, value: str) -> str:
    """Return the SQL for a value in the contract's spelling; an unknown value is kept unchanged."""
    words = {word: word for word in column.allowed} | dict(column.spellings)
    if not words:
        return value
    plain = f"replace(replace(lower({value}), '-', '_'), ' ', '_')"
    branches = " ".join(f"WHEN {literal(spelled)} THEN {literal(word)}" for spelled, word in sorted(words.items()))
    return f"CASE {plain} {branches} ELSE {value} END"
