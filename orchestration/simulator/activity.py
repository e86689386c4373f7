"""Habitual use of the platform: which users are active on which day, what they do, and the accounts' phases of decline.

Belongs here: engagement, activity, app sessions. Does not belong here: the effect on the contract (`billing`).
"""

import numpy as np

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import NEVER_DAY, SECOND, Calendar, Floats, Ints, Mask, stream
from orchestration.simulator.events import EVENT, rows
from orchestration.simulator.people import BOT, INTERNAL, SHOP, People, office_time, pick
from orchestration.simulator.tables import Rows, day_number
from orchestration.simulator.visits import within

_RECENT, _BEFORE = 14, 28
# Long enough for a decline to run its course, so that the first day finds accounts in every phase.
WARM_UP_DAYS = 90


class Activity:
    """The state of engagement, advanced one day at a time; array sizes depend on accounts and users, never on days."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        accounts = len(people.account_kind)
        self._users: Ints = np.flatnonzero((people.account >= 0) & (people.kind != SHOP) & (people.kind != BOT))
        self._account = people.account[self._users]
        self._gone = np.zeros(len(self._users), dtype=bool)
        self._episode = np.full(accounts, -NEVER_DAY)
        self._depth = np.zeros(accounts)
        self._hold = np.zeros(accounts)
        self._history = np.zeros((_RECENT + _BEFORE, accounts))
        later = people.journeys.later_days
        at, _ = np.nonzero(later < NEVER_DAY)
        days = later[later < NEVER_DAY]
        order = np.argsort(days, kind="stable")
        self._planned_days, self._planned = days[order], people.journeys.person[at][order]

    def step(self, day: int, paying: Mask, canceled: Mask) -> Ints:
        """Advance to the day and return the persons active on it; both arguments are flags per account."""
        rng = stream(self._seed, "activity.step", day)
        engagement = self._engagement(rng, day)
        engagement = np.where(canceled, p.CANCELED_ACTIVITY, engagement)
        season = self._calendar.season(day, p.WEEK_PLATFORM) * (p.BAD_WEEK_ACTIVITY if self._calendar.is_bad(day) else 1.0)
        # Drawn for everyone, used or not, so that one account does not change the random numbers of the others.
        dropout, draw = rng.random(len(self._users)), rng.random(len(self._users))
        regular = self._people.regular_from[self._users] <= day
        stops = np.where(paying[self._account], p.PAID_DROPOUT_RATE, p.FREE_DROPOUT_RATE)
        self._gone |= regular & (dropout < stops) & (self._people.kind[self._users] != INTERNAL)
        rate = np.minimum(self._people.activity_rate[self._users] * engagement[self._account] * season, 0.97)
        active = self._users[regular & ~self._gone & (draw < rate)]
        planned = self._planned[slice(*np.searchsorted(self._planned_days, (day, day + 1)))]
        active = np.unique(np.r_[active, planned])
        self._history[day % len(self._history)] = np.bincount(self._people.account[active], minlength=len(paying))
        return active

    def _engagement(self, rng: np.random.Generator, day: int) -> Floats:
        n = len(self._episode)
        ramp = p.DECLINE_RAMP_DAYS
        age = day - self._episode
        starts = (rng.random(n) < p.DECLINE_START_RATE) & (age > self._hold + 2 * ramp)
        depth, hold = rng.uniform(*p.DECLINE_DEPTH, n), rng.uniform(*p.DECLINE_HOLD_DAYS, n)
        self._episode = np.where(starts, day, self._episode)
        self._depth, self._hold = np.where(starts, depth, self._depth), np.where(starts, hold, self._hold)
        age = day - self._episode
        falling = np.minimum(age / ramp, 1.0)
        recovering = np.clip((age - ramp - self._hold) / ramp, 0.0, 1.0)
        return np.asarray(1 - self._depth * (falling - recovering))

    def decline(self, day: int) -> Floats:
        """Per account, how far the last 14 days (the day included) lie below half of the 28 days before, in [0, 1]."""
        places = (day - np.arange(_RECENT + _BEFORE)) % len(self._history)
        recent = self._history[places[:_RECENT]].sum(axis=0)
        before = self._history[places[_RECENT:]].sum(axis=0) / (_BEFORE / _RECENT)
        return np.asarray(np.clip(1 - (recent + 1) / (before + 1), 0, 1))

    def recent(self, day: int) -> Floats:
        """Active person-days per account in the last 14 days, the day included."""
        return np.asarray(self._history[(day - np.arange(_RECENT)) % len(self._history)].sum(axis=0))

    def events(self, day: int, active: Ints) -> list[Rows]:
        """Return the events of the active persons on the day: sessions that begin with a log-in."""
        if not len(active):
            return []
        people, rng = self._people, stream(self._seed, "activity.events", day)
        person = np.repeat(active, 1 + rng.poisson(p.SESSIONS_MEAN_EXTRA, len(active)))
        sessions = len(person)
        begin = int(self._calendar.start(day)) + office_time(rng, sessions)
        device = people.first_device[person] + (rng.random(sessions) ** 2 * people.device_count[person]).astype(np.int64)
        shows_device = rng.random(sessions) < 0.85
        meets = (people.room[person] >= 0) & (rng.random(sessions) < p.MEETING_ROOM_USE)
        device = np.where(meets, people.room[person], device)
        row = np.repeat(np.arange(sessions), 2 + rng.poisson(p.SESSION_EVENTS_MEAN, sessions))
        n = len(row)
        opens = np.r_[True, row[1:] != row[:-1]]
        gap = np.where(opens, 0, np.minimum(rng.exponential(150, n), 1_500) * SECOND).astype(np.int64)
        kinds = np.array([EVENT[name] for name in p.APP_EVENTS])
        event = np.where(opens, EVENT["logged_in"], kinds[pick(rng, list(p.APP_EVENTS.values()), n)])
        liked = (rng.random(n) ** 1.5 * people.breadth[person[row]]).astype(np.int64)
        number = day_number(self._calendar, day) + np.arange(sessions)
        return [
            rows(
                at=begin[row] + within(gap, opens),
                event=event,
                person=person[row],
                device=device[row],
                session=number[row],
                feature=np.where(event == EVENT["feature_used"], liked, -1),
                # A log-in shows both ids, which links the device to the user.
                anonymous=(opens | shows_device[row]).astype(np.int64),
            )
        ]
