"""The company's own records of users and accounts, as states that land when they are written, and requests for erasure.

Belongs here: `users`, `accounts`, `erasures`. Does not belong here: behaviour and payments.
"""

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import MINUTE, NEVER, Calendar, Ints, stream
from orchestration.simulator.files import labels, look_up, numbered, timestamps
from orchestration.simulator.people import COMPANY_SIZES, INDUSTRIES, INTERNAL, NEW, OWNERS, ROLES, People
from orchestration.simulator.tables import Post, by_time, day_slice

_GENDERS = ("female", "male", "undisclosed")


class Registry:
    """States of users and accounts, ordered by the time of writing; a day is a slice."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people = calendar, people
        self._user_ids = numbered("u_", people.user, 6)
        users = np.flatnonzero(people.signed_up_at < NEVER)
        # New users of the platform fill in their profile when they finish the onboarding; all other profiles are known at once.
        waits = people.first_seen[users] < NEVER
        waits &= people.account[users] >= 0
        later = users[waits & (people.profile_at[users] < NEVER)]
        self._users = by_time(
            {"who": users, "at": people.signed_up_at[users], "full": (~waits).astype(np.int64)},
            {"who": later, "at": people.profile_at[later], "full": np.ones(len(later), dtype=np.int64)},
        )
        accounts = np.arange(len(people.account_kind))
        paid = np.full(len(accounts), NEVER)
        payers = np.flatnonzero(people.journeys.paid_at < NEVER)
        paid[people.account[people.journeys.person[payers]]] = people.journeys.paid_at[payers]
        owned = np.flatnonzero(paid < NEVER)
        self._accounts = by_time(
            {"who": accounts, "at": people.account_created, "full": (people.account_kind != NEW).astype(np.int64)},
            {"who": owned, "at": paid[owned], "full": np.ones(len(owned), dtype=np.int64)},
        )

        self._erasures = Post(calendar)
        self._draw_erasures(stream(seed, "registry.erasures"))

    def _draw_erasures(self, rng: np.random.Generator) -> None:
        people, calendar = self._people, self._calendar
        begins, ends = calendar.start(np.array([p.ERASURE_FROM_DAY, calendar.days])).tolist()
        new = np.flatnonzero((people.signed_up_at >= int(calendar.start(0))) & (people.signed_up_at < ends))
        known = np.flatnonzero((people.signed_up_at < ends) & (people.kind != INTERNAL))
        count = min(round(len(new) * p.ERASURE_RATE), len(known)) if calendar.days > p.ERASURE_FROM_DAY else 0
        who = rng.choice(known, count, replace=False)
        since = np.maximum(people.signed_up_at[who] + MINUTE, begins)
        at = since + (rng.random(count) * (ends - since)).astype(np.int64)
        waits = rng.random(count) < p.ERASURE_NEXT_DAY_SHARE
        self._erasures.send({"at": at, "who": who}, np.where(waits, calendar.start(calendar.day_of(at) + 1), at), 0)

    def erasures(self, day: int) -> pa.Table | None:
        """Requests for erasure that arrive on the day."""
        asked = self._erasures.receive(day)
        if asked is None:
            return None
        return pa.table({"user_id": look_up(self._user_ids, asked["who"]), "requested_at": timestamps(asked["at"])})

    def users(self, day: int) -> pa.Table | None:
        """States of users written on the day; the first day includes all earlier users."""
        people, states = self._people, day_slice(self._users, self._calendar, day)
        who, full = states["who"], states["full"] == 1
        if not len(who):
            return None
        return pa.table(
            {
                "user_id": look_up(self._user_ids, who),
                "account_id": numbered("acc_", _shifted(people.account[who]), 5),
                "signed_up_at": timestamps(people.signed_up_at[who]),
                "role": labels(ROLES, np.where(full, people.role[who], -1)),
                "invited_by_user_id": look_up(self._user_ids, people.inviter[who]),
                "country": labels(list(p.COUNTRIES), people.country[who]),
                "city_tier": pa.array(people.city_tier[who]),
                "gender": labels(_GENDERS, np.where(full, people.gender[who], -1)),
                "birth_year": pa.array(people.birth_year[who], mask=~full),
                "is_internal": pa.array(people.kind[who] == INTERNAL),
                "updated_at": timestamps(states["at"]),
            }
        )

    def accounts(self, day: int) -> pa.Table | None:
        """States of accounts written on the day; the first day includes all earlier accounts."""
        people, states = self._people, day_slice(self._accounts, self._calendar, day)
        who, full = states["who"], states["full"] == 1
        if not len(who):
            return None
        return pa.table(
            {
                "account_id": numbered("acc_", who + 1, 5),
                "created_at": timestamps(people.account_created[who]),
                "name": numbered("Firm ", who + 1, 5),
                "industry": labels(INDUSTRIES, people.account_industry[who]),
                "company_size": labels(COMPANY_SIZES, people.account_size[who]),
                "country": labels(list(p.COUNTRIES), people.country[people.account_founder[who]]),
                "owner": numbered("staff_", np.where(full, who % OWNERS + 1, -1), 2),
                "updated_at": timestamps(states["at"]),
            }
        )


def _shifted(account: Ints) -> Ints:
    return np.where(account < 0, -1, account + 1)
