"""Support tickets: requests for help, and their times to response and solution.

Belongs here: `tickets`, and their influence on churn. Does not belong here: churn itself (`billing`), answers to surveys.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, HOUR, NEVER, NEVER_DAY, Calendar, Floats, Ints, Mask, stream
from orchestration.simulator.files import labels, look_up, numbered, timestamps
from orchestration.simulator.people import BOT, SHOP, STAFF, People, office_time, pick
from orchestration.simulator.tables import LaterStates, Post, Rows, day_number, select

_WINDOW_DAYS = 30
_SHARE, _WEIGHT, _RESPONSE, _SOLUTION = np.array(list(p.TICKET_SEVERITIES.values())).T


class Support:
    """Tickets day by day. A ticket lands in its current state, some again much later; arrays follow accounts, never days."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self.realised: Counter[str] = Counter()
        n = len(people.account_kind)
        self._user_ids = numbered("u_", people.user, 6)
        member = np.flatnonzero((people.account >= 0) & (people.kind != SHOP) & (people.kind != BOT))
        self._member = member[np.argsort(people.account[member], kind="stable")]
        self._size = np.bincount(people.account[member], minlength=n)
        self._first = np.cumsum(self._size) - self._size
        shape = p.TICKET_RATE_SHAPE
        rate = stream(seed, "support.rates").gamma(shape, p.TICKET_RATE / shape, n) * (0.5 + 0.25 * self._size)
        self._rate = np.where(people.account_kind == STAFF, 0.0, rate)
        self._trouble_until = np.full(n, -NEVER_DAY)
        self._under_way = Post(calendar)
        self._states = LaterStates(calendar, seed, "support.tickets")
        self._arrived: Rows | None = None
        self._severity = np.zeros((_WINDOW_DAYS, n))
        self._unsolved = np.zeros((_WINDOW_DAYS, n), dtype=np.int64)

    def step(self, day: int, paying: Mask) -> None:
        """Advance to the day: open its tickets, and receive those due to arrive; `paying` is a flag per account."""
        rng = stream(self._seed, "support.step", day)
        n = len(self._rate)
        starts = rng.random(n) < p.TROUBLE_START_RATE
        until = day + rng.uniform(*p.TROUBLE_DAYS, n).astype(np.int64)
        self._trouble_until = np.where(starts & (self._trouble_until < day), until, self._trouble_until)
        troubled = np.where(self._trouble_until >= day, p.TROUBLE_FACTOR, 1.0)
        season = self._calendar.season(day, p.WEEK_PLATFORM)
        rate = self._rate * troubled * np.where(paying, 1.0, p.TICKET_FREE_FACTOR) * season
        account = np.repeat(np.arange(n), rng.poisson(rate))
        at = self._calendar.start(day) + office_time(rng, len(account))
        who = self._member[self._first[account] + (rng.random(len(account)) * self._size[account]).astype(np.int64)]
        severity = pick(rng, _SHARE.tolist(), len(account))
        responds, solves = (
            (rng.lognormal(np.log(hours[severity]), p.TICKET_SOLUTION_SIGMA) * HOUR).astype(np.int64)
            for hours in (_RESPONSE, _SOLUTION)
        )
        contacts = 1 + rng.poisson(0.6 + 0.5 * severity)
        keep = self._people.signed_up_at[who] < at
        export = at + p.TICKET_EXPORT_DAYS * DAY
        solved = at + responds + solves
        self._under_way.send(
            {
                "number": (day_number(self._calendar, day) + np.arange(len(account)))[keep],
                "at": at[keep],
                "account": account[keep],
                "who": who[keep],
                "severity": severity[keep],
                "answered": (at + responds)[keep],
                "responded": np.where(at + responds <= export, at + responds, NEVER)[keep],
                "solved": np.where(solved <= export, solved, NEVER)[keep],
                "contacts": contacts[keep],
                "updated": np.minimum(solved, export)[keep],
            },
            np.minimum(solved, export)[keep],
            day,
        )
        # Nothing lands before the first day; tickets closed by then land with it and influence churn from then on.
        self._arrived = self._under_way.receive(day) if day >= 0 else None
        self._severity[day % _WINDOW_DAYS], self._unsolved[day % _WINDOW_DAYS] = 0, 0
        if self._arrived is not None:
            opened = self._calendar.day_of(self._arrived["at"])
            landed = select(self._arrived, opened > day - _WINDOW_DAYS)
            place = (opened[opened > day - _WINDOW_DAYS] % _WINDOW_DAYS, landed["account"])
            np.add.at(self._severity, place, _WEIGHT[landed["severity"]])
            np.add.at(self._unsolved, place, landed["solved"] >= NEVER)

    def recent(self) -> tuple[Floats, Ints]:
        """Per account, for landed tickets opened in the last 30 days (the day included): weights, and unsolved tickets."""
        return self._severity.sum(axis=0), self._unsolved.sum(axis=0)

    @property
    def arrived(self) -> Rows | None:
        """Tickets that arrive on the day; None when there are none."""
        return self._arrived

    def _solve(self, unsolved: Rows, day: int) -> None:
        """Let some tickets that landed unsolved be solved when they no longer influence churn."""
        rng = stream(self._seed, "support.solutions", day)
        chance, waits = rng.random(len(unsolved["at"])), rng.uniform(*p.LATE_SOLUTION_DAYS, len(unsolved["at"]))
        solved = np.maximum(unsolved["answered"] + HOUR, unsolved["at"] + (waits * DAY).astype(np.int64))
        happens = (chance < p.LATE_SOLUTION_RATE) & (solved >= int(self._calendar.start(day)))
        after = {**unsolved, "responded": unsolved["answered"], "solved": solved, "contacts": unsolved["contacts"] + 1}
        self._states.add(select(unsolved, happens), select({**after, "updated": solved}, happens), day)
        self.realised["solved_late"] += int((happens & (self._calendar.day_of(solved) < self._calendar.days)).sum())

    def tickets(self, day: int) -> pa.Table | None:
        """Tickets that arrive on the day, as rows of `tickets`."""
        landed = self._arrived
        if landed is not None:
            unsolved = landed["solved"] >= NEVER
            self.realised["unsolved"] += int(unsolved.sum())
            for code, severity in enumerate(p.TICKET_SEVERITIES):
                self.realised[severity] += int((landed["severity"] == code).sum())
            self._solve(select(landed, unsolved), day)
        landed = self._states.behind(landed, day)
        if landed is None:
            return None
        return pa.table(
            {
                "ticket_id": numbered("t_", landed["number"], 15),
                "account_id": numbered("acc_", landed["account"] + 1, 5),
                "user_id": look_up(self._user_ids, landed["who"]),
                "opened_at": timestamps(landed["at"]),
                "first_response_at": timestamps(landed["responded"]),
                "resolved_at": timestamps(landed["solved"]),
                "contacts": pa.array(landed["contacts"]),
                "severity": labels(list(p.TICKET_SEVERITIES), landed["severity"]),
                "updated_at": timestamps(landed["updated"]),
            }
        )
