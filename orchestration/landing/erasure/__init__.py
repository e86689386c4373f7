"""Erasure: personal data of persons who asked to be forgotten is removed from landed rows.

Belongs here: the erased ids (`ledger`), the personal columns of a source (`columns`), finding erased ids in rows (`rows`), and
rewriting rows before they enter the lake and in the lake (`rewriting`). Does not belong here: which columns are personal
(`contract`), the layout of the lake (`lake`), and erasure from the build file and from releases (`night`, `publishing`).

    <home>/erasures/ledger.json   per erased id its kind, a keyed digest, and the person's token; no id

Ledger entries never expire. Rows that land later lose the same fields, so a backfill reproduces the bytes of the lake. Rows of an
erased person stay, under one irreversible token, because amounts and counts include them.

A row belongs to a person if its user does, or if it has no user and its device or contact was seen with that person. Denied
devices (`null`, …) and devices with too many users belong to nobody. A device shared by two users stays in the rows of the other
one. Texts of any row (page, comment, `properties`, `utm_*`) are removed if they contain an erased id as a segment, value, address
or word, ignoring case and with escapes resolved.

An entry is pending until all earlier rows of the lake are rewritten. New ids are written to the ledger before any row is changed:
if a run is killed in between, the next one continues from their digests.
"""

from orchestration.landing.erasure.ledger import Entry, Erased, Ledger
from orchestration.landing.erasure.rewriting import REQUESTS, enter, rewrite

__all__ = ["REQUESTS", "Entry", "Erased", "Ledger", "enter", "rewrite"]
