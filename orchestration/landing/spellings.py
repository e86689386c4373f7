"""Spellings of words that the contract knows: the SQL that turns what a source writes into the contract's word.

Belongs here: matching without regard to case, spaces and hyphens. Does not belong here: the words and their spellings
(`contract`), and words that only the configuration knows (`[plans]`, `[event_names]`).
"""

from orchestration.base.sql import literal
from orchestration.landing.source import Column


def canonical(column: Column, value: str) -> str:
    """Give the SQL for a value in the contract's spelling; one that the contract does not know stays as it is."""
    words = {word: word for word in column.allowed} | dict(column.spellings)
    if not words:
        return value
    plain = f"replace(replace(lower({value}), '-', '_'), ' ', '_')"
    branches = " ".join(f"WHEN {literal(spelled)} THEN {literal(word)}" for spelled, word in sorted(words.items()))
    return f"CASE {plain} {branches} ELSE {value} END"
