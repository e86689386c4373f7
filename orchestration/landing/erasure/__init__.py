"""Erasure: who asked to be forgotten, and what is left of their rows.

Belongs here: who is erased (`ledger`), which columns hold what of a person (`columns`), finding erased ids in rows (`rows`), and
taking persons out of rows on their way into the lake or already there (`rewriting`). Does not belong here: which columns are
personal (`contract`), the layout of the lake (`lake`), and what becomes of the build file and of releases (`night`,
`publishing`).

    <home>/erasures/ledger.json   per erased id its kind, a keyed digest, and the person's token; no id

The ledger is in force for good: whatever lands, late or again, loses the same fields in the same way, so that a backfill gives
the bytes that the lake holds. A person's rows stay, under one token that nobody can turn back, for the amounts and counts that
they are part of. A row is a person's when its user is, or when it has no user and its device or contact is one of the person's: a
device that was seen with the person, unless it is denied (`null`, …) or belongs to too many users to be anybody's. A device that
two users share stays in the rows of the other one. A text of anybody's row (a page, a comment, `properties`, `utm_*`) in which an
erased id stands as a segment, value, address or word goes too, in any case of its letters and with escapes resolved.

An entry is pending until everything that lay in the lake before it is rewritten. New ids are in the ledger, on the disk, before
any row loses them: a run that is killed in between is finished by the next one, by their digests.
"""

from orchestration.landing.erasure.ledger import Entry, Erased, Ledger
from orchestration.landing.erasure.rewriting import REQUESTS, enter, rewrite

__all__ = ["REQUESTS", "Entry", "Erased", "Ledger", "enter", "rewrite"]
