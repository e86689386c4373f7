"""The private domain: contacts in WeCom, and their interactions with the staff.

Belongs here: `wecom`. Does not belong here: visits from WeCom (`visits`).
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, HOUR, MINUTE, NEVER, Calendar, Ints, stream
from orchestration.simulator.files import labels, look_up, numbered, timestamps
from orchestration.simulator.people import BOT, INTERNAL, PLATFORM, SHOP, TOUCH_CHANNEL, People, leisure_time
from orchestration.simulator.tables import Post, Rows, concat, day_number

KINDS = (
    "friend_requested",
    "friend_accepted",
    "message_sent",
    "message_replied",
    "moment_posted",
    "moment_reacted",
    "group_message",
)
REQUESTED, ACCEPTED, SENT, REPLIED, POSTED, REACTED, GROUP = range(7)
_CHANNEL = next(number for number, channel in enumerate(p.CHANNELS) if channel.name == "wecom")


class WeCom:
    """Contacts, drawn once, and their interactions day by day. A moment lands once for each contact that it reaches."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self.realised: Counter[str] = Counter()
        self._user_ids = numbered("u_", people.user, 6)
        rng = stream(seed, "wecom.contacts")
        n = len(people.kind)
        shares, draw = p.WECOM_CONTACT_SHARES, rng.random(n)
        has_user = people.user >= 0
        joins = (TOUCH_CHANNEL[people.touch] == _CHANNEL) & (draw < shares["channel"])
        for name, kind in (("platform", PLATFORM), ("shop", SHOP)):
            joins |= has_user & (people.kind == kind) & (draw < shares[name])
        self._person = np.flatnonzero(joins & (people.kind != BOT) & (people.kind != INTERNAL))
        n = len(self._person)
        met = np.minimum(people.first_seen[self._person], people.signed_up_at[self._person])
        self._requested = met + (rng.exponential(2, n) * DAY).astype(np.int64) + 10 * MINUTE
        self._accepted = self._requested + (rng.lognormal(np.log(5), 1.2, n) * HOUR).astype(np.int64)
        self._accepted[rng.random(n) >= p.WECOM_ACCEPT_RATE] = NEVER
        self._gone = np.where(
            self._accepted < NEVER, self._accepted + (rng.exponential(p.WECOM_LIFETIME_DAYS, n) * DAY).astype(np.int64), NEVER
        )
        self._linked = has_user[self._person] & (rng.random(n) < p.WECOM_LINK_RATE)
        self._staff = rng.integers(1, p.WECOM_STAFF + 1, n)
        self._group = np.where(rng.random(n) < p.WECOM_GROUP_SHARE, rng.integers(1, p.WECOM_GROUPS + 1, n), -1)
        # Numbered in the order of meeting, so that the id does not reveal who is a user.
        self._number = np.empty(n, dtype=np.int64)
        self._number[np.argsort(self._requested, kind="stable")] = np.arange(1, n + 1)
        self._under_way = Post(calendar)
        everyone = np.arange(n)
        for kind, at in ((REQUESTED, self._requested), (ACCEPTED, self._accepted)):
            known = everyone[at < int(calendar.start(calendar.days))]
            self._under_way.send(_interactions(known, at[known], kind), at[known], 0)
        self.realised["contacts"] = int((self._requested < int(calendar.start(calendar.days))).sum())
        self.realised["linked_contacts"] = int((self._linked & (self._requested < int(calendar.start(calendar.days)))).sum())

    def wecom(self, day: int) -> pa.Table | None:
        """Interactions of the day; the first day includes earlier friendships."""
        self._step(day)
        landed = self._under_way.receive(day)
        if landed is None:
            return None
        contact, kind = landed["contact"], landed["kind"]
        for code, count in enumerate(np.bincount(kind, minlength=len(KINDS)).tolist()):
            self.realised[KINDS[code]] += count
        person = self._person[contact]
        known = self._linked[contact] & (self._people.signed_up_at[person] <= landed["at"])
        numbers = day_number(self._calendar, day) + np.arange(len(contact))
        return pa.table(
            {
                "interaction_id": numbered("w_", numbers, 15),
                "contact_id": numbered("wx_", self._number[contact], 6),
                "user_id": look_up(self._user_ids, np.where(known, person, -1)),
                "staff_id": numbered("staff_", self._staff[contact], 2),
                "kind": labels(KINDS, kind),
                "occurred_at": timestamps(landed["at"]),
                "group_id": numbered("group_", np.where(kind == GROUP, self._group[contact], -1), 2),
            }
        )

    def _step(self, day: int) -> None:
        rng = stream(self._seed, "wecom.step", day)
        start = int(self._calendar.start(day))
        friends = np.flatnonzero((self._accepted < start) & (self._gone >= start))
        parts: list[Rows] = []

        def happens(contacts: Ints, rate: float, kind: int, after: Ints | None = None) -> tuple[Ints, Ints]:
            """Draw contacts and times: at leisure, or within hours after `after`."""
            chosen = np.flatnonzero(rng.random(len(contacts)) < rate)
            if after is None:
                at = start + leisure_time(rng, len(chosen))
            else:
                at = after[chosen] + MINUTE + (rng.exponential(2, len(chosen)) * HOUR).astype(np.int64)
            parts.append(_interactions(contacts[chosen], at, kind))
            return contacts[chosen], at

        written, at = happens(friends, p.WECOM_MESSAGE_RATE, SENT)
        happens(written, p.WECOM_REPLY_RATE, REPLIED, at)
        if self._calendar.date(day).weekday() in p.WECOM_MOMENT_WEEKDAYS:
            reached, at = happens(friends, p.WECOM_MOMENT_REACH, POSTED)
            happens(reached, p.WECOM_REACTION_RATE, REACTED, at)
        happens(friends[self._group[friends] >= 0], p.WECOM_GROUP_MESSAGE_RATE, GROUP)
        drawn = concat(parts)
        self._under_way.send(drawn, drawn["at"], day)


def _interactions(contact: Ints, at: Ints, kind: int) -> Rows:
    return {"at": at, "contact": contact, "kind": np.full(len(contact), kind)}
