"""The company's own records of users and accounts, as states that land when they are written.

Belongs here: `users`, `accounts`. Does not belong here: what they do or pay.
"""

import numpy as np
import pyarrow as pa

from orchestration.landing.simulator import parameters as p
from orchestration.landing.simulator.clock import NEVER, Calendar, Ints
from orchestration.landing.simulator.events import Rows, concat, select
from orchestration.landing.simulator.files import labels, look_up, numbered, timestamps
from orchestration.landing.simulator.people import COMPANY_SIZES, INDUSTRIES, INTERNAL, NEW, OWNERS, ROLES, People

_GENDERS = ("female", "male", "undisclosed")


class Registry:
    """States of users and accounts, ordered by the time at which they were written; a day is a slice."""

    def __init__(self, calendar: Calendar, people: People) -> None:
        self._calendar, self._people = calendar, people
        self._user_ids = numbered("u_", people.user, 6)
        users = np.flatnonzero(people.signed_up_at < NEVER)
        # New users of the platform tell about themselves when they finish the onboarding; of all others it is known at once.
        waits = people.first_seen[users] < NEVER
        waits &= people.account[users] >= 0
        later = users[waits & (people.profile_at[users] < NEVER)]
        self._users = _by_time(
            {"who": users, "at": people.signed_up_at[users], "full": (~waits).astype(np.int64)},
            {"who": later, "at": people.profile_at[later], "full": np.ones(len(later), dtype=np.int64)},
        )
        accounts = np.arange(len(people.account_kind))
        paid = np.full(len(accounts), NEVER)
        payers = np.flatnonzero(people.journeys.paid_at < NEVER)
        paid[people.account[people.journeys.person[payers]]] = people.journeys.paid_at[payers]
        owned = np.flatnonzero(paid < NEVER)
        self._accounts = _by_time(
            {"who": accounts, "at": people.account_created, "full": (people.account_kind != NEW).astype(np.int64)},
            {"who": owned, "at": paid[owned], "full": np.ones(len(owned), dtype=np.int64)},
        )

    def _arrived(self, table: Rows, day: int) -> Rows:
        start, end = self._calendar.start(np.array([day, day + 1]))
        first = 0 if day == 0 else int(np.searchsorted(table["at"], start))
        return select(table, np.arange(first, int(np.searchsorted(table["at"], end))))

    def users(self, day: int) -> pa.Table | None:
        """States of users written on the day; with the first day those of all who were there before."""
        people, states = self._people, self._arrived(self._users, day)
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
        """States of accounts written on the day; with the first day those of all that were there before."""
        people, states = self._people, self._arrived(self._accounts, day)
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


def _by_time(*parts: Rows) -> Rows:
    table = concat(list(parts))
    return select(table, np.argsort(table["at"], kind="stable"))
