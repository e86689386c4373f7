"""Behaviour of visitors of the platform's site until their first value, and of bots.

Belongs here: site visits, the steps of the sign-up, invitations, bots. Does not belong here: habitual use (`activity`).
"""

import numpy as np

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, HOUR, MINUTE, NEVER, NEVER_DAY, SECOND, Calendar, Ints, Mask, stream
from orchestration.simulator.events import EVENT, SITE_PAGE_COUNT, rows
from orchestration.simulator.people import BOT, DIRECT, PLATFORM, People
from orchestration.simulator.tables import Rows, by_time, select

# Sessions known from the start are numbered by person, far from those numbered by day.
_SESSION_BASE = 10**14
_SESSIONS_PER_PERSON = 64
# Numbers of a person's sessions: 0 the first visit, 1 to 5 the steps, then these.
_RETURN, _INVITATION = 20, 30
_STEPS = ("signup_started", "signup_completed", "logged_in", "onboarding_completed", "value_achieved")


def session_of(person: Ints, number: Ints | int) -> Ints:
    """Session numbers from a person's own count, below 64."""
    return _SESSION_BASE + person * _SESSIONS_PER_PERSON + number


class Visits:
    """All visits and steps of the sign-up, ordered by time; a day is a slice."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self._visits = self._draw_visits(stream(seed, "visits"))
        self._steps = self._draw_steps()
        bots = stream(seed, "visits.bots")
        bot_days = min(p.BOT_DAYS, calendar.days)
        self.bot_days = {
            int(person): sorted(bots.choice(calendar.days, bot_days, replace=False).tolist()) for person in people.where(BOT)
        }

    def _draw_visits(self, rng: np.random.Generator) -> Rows:
        journeys, people = self._people.journeys, self._people
        person = journeys.person
        first_visit, started = journeys.at[:, 0], journeys.at[:, 1]
        back = np.flatnonzero((journeys.on_return == 1) & (started < NEVER))
        # Only visitors who have not begun to sign up return at random, so that no stray visit precedes a step.
        again = np.repeat(np.arange(len(person)), np.where(started < NEVER, 0, rng.poisson(p.RETURN_VISITS_MEAN, len(person))))
        again_at = first_visit[again] + HOUR + (rng.exponential(5 * DAY, len(again))).astype(np.int64)
        who = np.r_[np.arange(len(person)), back, again]
        first = np.r_[np.ones(len(person), dtype=bool), np.zeros(len(back) + len(again), dtype=bool)]
        touch = people.touch[person[who]]
        direct = ~first & (rng.random(len(who)) < p.RETURN_DIRECT_SHARE)
        visits = {
            "at": np.r_[first_visit, started[back] - 2 * MINUTE, again_at],
            "person": person[who],
            "touch": np.where(direct, DIRECT, touch),
            "session": session_of(
                person[who],
                np.r_[np.zeros(len(person)), np.full(len(back), _RETURN), np.full(len(again), _RETURN + 1)].astype(int),
            ),
            "views": 1 + rng.poisson(1.4, len(who)),
            "pricing": (rng.random(len(who)) < p.PRICING_VIEW_RATE).astype(np.int64),
        }
        return by_time(visits)

    def _draw_steps(self) -> Rows:
        journeys, people = self._people.journeys, self._people
        # A step more than 30 minutes after the previous one opens a new session.
        fresh = np.diff(journeys.at, axis=1) > 30 * MINUTE
        # … except that a visitor who returns to sign up does so in the session of the return.
        fresh[:, 0] &= journeys.on_return == 0
        session = np.where(journeys.on_return == 1, _RETURN, 0)
        parts = []
        for column, step in enumerate(_STEPS, start=1):
            session = np.where(fresh[:, column - 1], column, session)
            reached = np.flatnonzero(journeys.at[:, column] < NEVER)
            person = journeys.person[reached]
            parts.append(
                rows(
                    at=journeys.at[reached, column],
                    event=EVENT[step],
                    person=person,
                    device=people.first_device[person],
                    session=session_of(person, session[reached]),
                    user=0 if step == "signup_started" else 1,
                )
            )
        parts.append(self._invitations())
        return by_time(*parts)

    def _invitations(self) -> Rows:
        people = self._people
        invited = np.flatnonzero((people.kind == PLATFORM) & (people.inviter >= 0) & (people.first_seen < NEVER))
        sender = people.inviter[invited]
        at = people.first_seen[invited] - 2 * HOUR
        # Only habitual users send invitations, so that no invitation adds an active day to a person who should have none.
        sends = (people.regular_from[sender] < NEVER_DAY) & (self._calendar.day_of(at) >= people.regular_from[sender])
        sender, at = sender[sends], at[sends]
        return rows(
            at=at,
            event=EVENT["invite_sent"],
            person=sender,
            device=people.first_device[sender],
            session=session_of(sender, _INVITATION),
        )

    def day(self, day: int) -> list[Rows]:
        """Events of the day."""
        start, end = (int(value) for value in self._calendar.start(np.array([day, day + 1])))
        rng = stream(self._seed, "visits.views", day)
        parts = []
        visits = select(self._visits, np.arange(*np.searchsorted(self._visits["at"], (start, end))))
        if len(visits["at"]):
            visit = np.repeat(np.arange(len(visits["at"])), visits["views"] + visits["pricing"])
            opens = np.r_[True, visit[1:] != visit[:-1]]
            closes = np.r_[opens[1:], True]
            gap = np.where(opens, 0, np.minimum(rng.exponential(45, len(visit)), 300) * SECOND).astype(np.int64)
            person = visits["person"][visit]
            is_pricing = closes & (visits["pricing"][visit] == 1)
            parts.append(
                rows(
                    at=visits["at"][visit] + within(gap, opens),
                    event=np.where(is_pricing, EVENT["pricing_viewed"], EVENT["page_viewed"]),
                    person=person,
                    device=self._people.first_device[person],
                    session=visits["session"][visit],
                    page=np.where(is_pricing, -1, rng.integers(0, SITE_PAGE_COUNT, len(visit))),
                    touch=np.where(opens, visits["touch"][visit], -1),
                    user=0,
                )
            )
        steps = select(self._steps, np.arange(*np.searchsorted(self._steps["at"], (start, end))))
        if len(steps["at"]):
            parts.append(steps)
        for bot, days in self.bot_days.items():
            if day in days:
                count = int(rng.integers(*p.BOT_EVENTS_PER_DAY))
                parts.append(
                    rows(
                        at=start + HOUR + ((np.arange(count) * 5 + rng.random(count)) * SECOND).astype(np.int64),
                        event=EVENT["page_viewed"],
                        person=np.full(count, bot),
                        device=self._people.first_device[bot],
                        session=session_of(np.full(count, bot), day % _SESSIONS_PER_PERSON),
                        page=rng.integers(0, SITE_PAGE_COUNT, count),
                        user=0,
                    )
                )
        return parts


def within(gaps: Ints, opens: Mask) -> Ints:
    """Sum the gaps up, starting anew wherever `opens` is true (where the gap is 0)."""
    total = np.cumsum(gaps)
    return total - np.maximum.accumulate(np.where(opens, total, 0))
