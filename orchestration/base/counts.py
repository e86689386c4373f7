"""Counts in messages.

Belongs here: singular and plural of counted nouns. Does not belong here: whole messages.
"""


def counted(count: int, noun: str) -> str:
    """Count and noun with thousands separators, such as `1 row` or `1,234 rows`; noun: singular with a regular plural."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"
