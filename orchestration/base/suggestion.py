"""Suggestions for misspelled names.

Belongs here: finding the known name most similar to a given one. Does not belong here: lists of known names.
"""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, at_most: int = 1, likeness: float = 0.5) -> list[str]:
    """Known names similar to `name`, the most similar first; likeness: from 0 (anything) to 1 (the same name)."""
    return difflib.get_close_matches(name, list(known), n=at_most, cutoff=likeness)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error message that suggests a known name, `; did you mean 'x'?`, or an empty text if none is similar."""
    found = nearest(name, known)
    return f"; did you mean {found[0]!r}?" if found else ""
