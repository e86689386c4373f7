"""Which releases are kept.

Belongs here: the rule by age. Does not belong here: the current release, and removing any (`release`).
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo


def kept(published: Mapping[str, datetime], *, newest: int, months: int, timezone: tzinfo) -> set[str]:
    """Ids of the releases to keep, of those published at these (aware) instants.

    The `newest` newest are kept, and the first of each of the last `months` calendar months in `timezone`, of which that of the
    newest release is the last. Equal instants are ordered by id. The clock has no say, so that no release goes because no other
    has come; and what was the first of its month stays it, so that pruning every night keeps what pruning once would.
    """
    ordered = sorted(published, key=lambda release_id: (published[release_id], release_id))
    firsts: dict[int, str] = {}
    for release_id in ordered:
        local = published[release_id].astimezone(timezone)
        firsts.setdefault(12 * local.year + local.month, release_id)
    last = max(firsts, default=0)
    return {*ordered[max(len(ordered) - newest, 0) :], *(found for month, found in firsts.items() if month > last - months)}
