"""The population: visitors, users, teams and their devices, and the journey of each visitor of the platform.

Belongs here: one row per person, device or account, drawn once; their number depends on `users`, not on the number of days.
Does not belong here: daily behaviour (`activity`, `shop`) and payments (`billing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    NEVER_DAY,
    SECOND,
    Calendar,
    Floats,
    Ints,
    Mask,
    stream,
)

PLATFORM, INTERNAL, SHOP, BOT = range(4)
PAYING_BASE, FREE_BASE, STAFF, NEW = range(4)

TOUCHES = tuple(touch for channel in p.CHANNELS for touch in channel.touches)
TOUCH_CHANNEL = np.array([number for number, channel in enumerate(p.CHANNELS) for _ in channel.touches])
DIRECT = next(number for number, touch in enumerate(TOUCHES) if touch.utm_source is None and touch.referrer is None)
ROLES = ("owner", "admin", "member", "analyst", "consumer")
INDUSTRIES = ("manufacturing", "retail", "finance", "logistics", "education", "healthcare", "software")
COMPANY_SIZES = ("1-49", "50-199", "200-999", "1000+")
OWNERS = 8


@dataclass
class Journeys:
    """The journey of each new visitor of the platform, one row per visitor; a step not reached is NEVER.

    at: (n, 6) instants of visit, signup_start, signup_complete, first_login, onboarding_complete and first_value_achieved.
    later_days: (n, 3) days of activity after the value: three for visitors who become active, else none or one; NEVER_DAY =
    none.
    paid_at: first payment, for the first members of accounts that convert.
    treated: 1 for persons in the treatment group of the onboarding experiment, if they sign up while it runs.
    """

    person: Ints
    at: Ints
    on_return: Ints
    later_days: Ints
    paid_at: Ints
    treated: Ints


@dataclass
class People:
    """One row per person, then one per account; -1 stands for none."""

    kind: Ints
    touch: Ints  # of the first visit
    country: Ints
    city_tier: Ints
    gender: Ints
    birth_year: Ints
    first_seen: Ints
    signed_up_at: Ints
    profile_at: Ints  # when role, gender and year of birth became known
    user: Ints  # rank by sign-up
    account: Ints
    role: Ints
    inviter: Ints
    activity_rate: Floats
    breadth: Ints  # features the person knows
    regular_from: Ints  # first day of habitual use
    first_device: Ints
    device_count: Ints
    room: Ints  # device in a meeting room, shared with one other person
    device_class: Ints  # one row per device: the persons' own in their order, then those in meeting rooms
    account_kind: Ints  # one row per account
    account_created: Ints
    account_founder: Ints
    account_industry: Ints
    account_size: Ints
    account_breadth: Floats
    journeys: Journeys
    shop_depth: Ints  # depth of each person's first shop session: 0 viewed … 3 ordered
    shop_span: Ints  # length of that session

    def where(self, kind: int) -> Ints:
        """Persons of a kind."""
        return np.flatnonzero(self.kind == kind)


def pick(rng: np.random.Generator, weights: Sequence[float], size: int) -> Ints:
    """Draw indices by weight."""
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative / cumulative[-1], rng.random(size), side="right").astype(np.int64)


def office_time(rng: np.random.Generator, size: int) -> Ints:
    """Microseconds since midnight of sessions at work: 08:00 to 20:30, most of them mid-morning and mid-afternoon."""
    hour = np.where(rng.random(size) < 0.5, rng.normal(10.3, 1.2, size), rng.normal(15.3, 1.9, size))
    return (np.clip(hour, 8.0, 20.5) * HOUR + rng.random(size) * 5 * MINUTE).astype(np.int64)


def leisure_time(rng: np.random.Generator, size: int) -> Ints:
    """Microseconds since midnight of visits at leisure: 07:00 to 23:00, most of them in the evening."""
    hour = np.where(rng.random(size) < 0.6, rng.normal(20.3, 1.4, size), rng.normal(13.0, 2.5, size))
    return (np.clip(hour, 7.0, 22.9) * HOUR + rng.random(size) * 5 * MINUTE).astype(np.int64)


def _lag(rng: np.random.Generator, step: str, size: int) -> Ints:
    median, sigma = p.PLG_LAGS[step]
    return (rng.lognormal(np.log(median), sigma, size) * SECOND).astype(np.int64)


def _multipliers(touch: Ints, name: str) -> Floats:
    return np.asarray(np.array([getattr(channel, name) for channel in p.CHANNELS])[TOUCH_CHANNEL[touch]])


def signup_rates() -> dict[str, Floats]:
    """Planted probability, by channel, that a first visit ends in a sign-up: on the platform, and in the shop."""
    multiplier = np.array([channel.signup_multiplier for channel in p.CHANNELS])
    return {
        "platform": multiplier * p.PLG_STEPS["signup_start"] * p.PLG_STEPS["signup_complete"],
        "shop": multiplier * float(np.prod(list(p.SHOP_STEPS.values()))),
    }


def _first_touch(rng: np.random.Generator, size: int) -> Ints:
    weights = [channel.visitor_share * touch.weight for channel in p.CHANNELS for touch in channel.touches]
    return pick(rng, weights, size)


def _visitor_count(signups: float, rates: Floats) -> int:
    shares = np.array([channel.visitor_share for channel in p.CHANNELS])
    return max(1, round(signups / float((shares * rates).sum())))


def _journeys(rng: np.random.Generator, calendar: Calendar, person: Ints, touch: Ints, treated: Mask) -> Journeys:
    n = len(person)
    begins, ends = calendar.experiment_window
    day = pick(rng, calendar.visit_weights(p.WEEK_PLATFORM).tolist(), n)
    at = np.full((n, 6), NEVER, dtype=np.int64)
    at[:, 0] = calendar.start(day) + office_time(rng, n)
    on_return = rng.random(n) < p.RETURN_SIGNUP_SHARE
    lags = np.where(on_return, _lag(rng, "signup_start_on_return", n), _lag(rng, "signup_start", n))
    reached = rng.random(n) < p.PLG_STEPS["signup_start"] * _multipliers(touch, "signup_multiplier")
    at[:, 1] = np.where(reached, at[:, 0] + lags, NEVER)
    for column, step in enumerate(("signup_complete", "first_login", "onboarding_complete", "first_value_achieved"), start=2):
        exposed = treated & (at[:, 2] >= begins) & (at[:, 2] < ends) & (step == p.CHECKLIST.step)
        reached = reached & (rng.random(n) < np.where(exposed, p.CHECKLIST.treated_rate or 0.0, p.PLG_STEPS[step]))
        at[:, column] = np.where(reached, at[:, column - 1] + _lag(rng, step, n), NEVER)
    # Days strictly after the value's own day; persons who do not become active stay below three days under any definition.
    value_day = calendar.day_of(np.where(reached, at[:, 5], 0))
    later = value_day[:, None] + np.cumsum(rng.geometric(0.55, (n, p.ACTIVE_DAYS)), axis=1)
    active = reached & (rng.random(n) < p.PLG_STEPS["active_user"])
    wanders = reached & ~active & (rng.random(n) < 0.5)
    later[~active, 1:] = NEVER_DAY
    later[~active & ~wanders, 0] = NEVER_DAY
    pays = active & (rng.random(n) < p.PLG_STEPS["paid_conversion"] * _multipliers(touch, "paid_multiplier"))
    paid_at = np.where(pays, calendar.start(later[:, -1]) + 21 * HOUR + _lag(rng, "paid_conversion", n), NEVER)
    return Journeys(person, at, on_return.astype(np.int64), later, paid_at, treated.astype(np.int64))


def _rooms(rng: np.random.Generator, account: Ints, eligible: Ints, first_device: int) -> Ints:
    """Meeting-room device of each person, numbered from `first_device`: the first two members of some teams share one."""
    member = eligible[np.argsort(account[eligible], kind="stable")]
    opens = np.r_[True, account[member][1:] != account[member][:-1]] if len(member) else np.zeros(0, dtype=bool)
    second = np.flatnonzero(np.r_[False, opens[:-1]] & ~opens)
    second = second[rng.random(len(second)) < p.MEETING_ROOM_RATE]
    room = np.full(len(account), -1, dtype=np.int64)
    for offset in (0, 1):
        room[member[second - offset]] = first_device + np.arange(len(second))
    return room


def _teams(rng: np.random.Generator, order: Ints) -> Ints:
    """For each sign-up (in order of time) the position of its account's first member; teams have at most TEAM_LIMIT members."""
    n = len(order)
    founds = rng.random(n) < p.FOUNDER_SHARE
    founds[:1] = True
    founders = np.flatnonzero(founds)
    latest = np.cumsum(founds) - 1
    # New members join the more attractive of two recent accounts, which makes some teams large.
    appeal = rng.random(len(founders))
    first, second = (np.maximum(latest - rng.integers(0, 30, n), 0) for _ in range(2))
    joined = founders[np.where(appeal[first] >= appeal[second], first, second)]
    leader = np.where(founds, np.arange(n), joined)
    grouped = np.argsort(leader, kind="stable")
    starts = np.r_[True, leader[grouped][1:] != leader[grouped][:-1]]
    position = np.arange(n) - np.maximum.accumulate(np.where(starts, np.arange(n), 0))
    rank = np.empty(n, dtype=np.int64)
    rank[grouped] = position
    return np.where(rank >= p.TEAM_LIMIT, np.arange(n), leader)


def build_people(calendar: Calendar, users: int, seed: int) -> People:  # noqa: PLR0915 (one draw per trait, in the order of the stream)
    """Draw all persons present before or arriving within the period: about `users` of them sign up in it.

    Persons are stored in blocks: earlier customers, staff, earlier shop customers, new visitors of the platform, new visitors
    of the shop, bots. Accounts likewise: earlier paying and free ones, the staff's, new ones by sign-up.
    """
    rates = signup_rates()
    rng = stream(seed, "people.base")
    paying = max(1, round(users * p.BASE_PAYING_ACCOUNTS))
    free = max(1, round(users * p.BASE_FREE_ACCOUNTS))
    base_created = calendar.start(-rng.integers(*p.BASE_AGE_DAYS, paying + free)) + office_time(rng, paying + free)
    team = np.minimum(1 + rng.geometric(1 / p.BASE_TEAM_MEAN, paying + free) - 1, p.TEAM_LIMIT)
    team[paying:] = np.minimum(team[paying:], 3)
    base_account = np.repeat(np.arange(paying + free), team)
    leads = np.r_[True, base_account[1:] != base_account[:-1]]
    joined_later = (rng.random(len(base_account)) * 20 * DAY).astype(np.int64)
    base_signed = base_created[base_account] + np.where(leads, 0, joined_later)

    staff = max(p.INTERNAL_USERS[0], round(users * p.INTERNAL_USERS[1]))
    old_shop = max(1, round(users * p.BASE_SHOP_CUSTOMERS))
    new_platform = _visitor_count(users * (1 - p.SHOP_SIGNUP_SHARE), rates["platform"])
    new_shop = _visitor_count(users * p.SHOP_SIGNUP_SHARE, rates["shop"])
    sizes = [len(base_account), staff, old_shop, new_platform, new_shop, p.BOT_COUNT]
    base_rows, staff_rows, old_shop_rows, platform_rows, shop_rows, bot_rows = np.split(
        np.arange(sum(sizes)), np.cumsum(sizes)[:-1]
    )
    n = sum(sizes)
    kind = np.repeat([PLATFORM, INTERNAL, SHOP, PLATFORM, SHOP, BOT], sizes)

    rng = stream(seed, "people.attributes")
    touch = _first_touch(rng, n)
    touch[bot_rows] = DIRECT
    country = pick(rng, list(p.COUNTRIES.values()), n)
    city_tier = pick(rng, p.CITY_TIERS, n) + 1
    gender = pick(rng, (0.48, 0.47, 0.05), n)
    birth_year = np.clip(rng.normal(1990, 8, n), 1955, 2006).astype(np.int64)
    device_count = pick(rng, p.DEVICES_PER_PERSON, n) + 1
    device_count[bot_rows] = 1
    first_device = np.cumsum(device_count) - device_count
    device_class = pick(rng, list(p.DEVICES.values()), int(device_count.sum()))
    activity_rate = rng.beta(*p.ACTIVITY_RATE, n)

    treated = stream(seed, f"experiments.{p.CHECKLIST.name}").random(len(platform_rows)) < p.CHECKLIST.treated_share
    journeys = _journeys(stream(seed, "people.platform"), calendar, platform_rows, touch[platform_rows], treated)
    signed_up_at = np.full(n, NEVER, dtype=np.int64)
    first_seen = np.full(n, NEVER, dtype=np.int64)
    profile_at = np.full(n, NEVER, dtype=np.int64)
    signed_up_at[base_rows] = base_signed
    signed_up_at[staff_rows] = calendar.start(-380) + 9 * HOUR
    signed_up_at[platform_rows] = journeys.at[:, 2]
    first_seen[platform_rows] = journeys.at[:, 0]
    profile_at[platform_rows] = journeys.at[:, 4]

    rng = stream(seed, "people.shop")
    shoppers = np.r_[old_shop_rows, shop_rows]
    days = np.r_[
        -rng.integers(5, p.BASE_AGE_DAYS[1], old_shop), pick(rng, calendar.visit_weights(p.WEEK_SHOP).tolist(), new_shop)
    ]
    first_seen[shoppers] = calendar.start(days) + leisure_time(rng, len(shoppers))
    shop_span, shop_depth = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    shop_span[shoppers] = rng.integers(240, 1_500, len(shoppers)) * SECOND
    reached, depth = np.ones(len(shoppers), dtype=bool), np.zeros(len(shoppers), dtype=np.int64)
    for step, rate in p.SHOP_STEPS.items():
        quality = _multipliers(touch[shoppers], "signup_multiplier") if step == "cart_added" else 1.0
        reached = reached & (rng.random(len(shoppers)) < rate * quality)
        depth += reached
    shop_depth[shoppers] = np.where(np.isin(shoppers, old_shop_rows), 3, depth)
    buys = shoppers[shop_depth[shoppers] == 3]
    # A shop customer registers on the way to the first order, just before it is placed.
    signed_up_at[buys] = first_seen[buys] + shop_span[buys] * 93 // 100

    signed = np.flatnonzero(signed_up_at < NEVER)
    user = np.full(n, -1, dtype=np.int64)
    user[signed[np.argsort(signed_up_at[signed], kind="stable")]] = np.arange(1, len(signed) + 1)

    rng = stream(seed, "people.teams")
    joiners = platform_rows[journeys.at[:, 2] < NEVER]
    joiners = joiners[np.argsort(signed_up_at[joiners], kind="stable")]
    leader = _teams(rng, joiners)
    founder_positions = np.unique(leader)
    new_accounts = len(founder_positions)
    account = np.full(n, -1, dtype=np.int64)
    account[base_rows] = base_account
    account[staff_rows] = paying + free
    account[joiners] = paying + free + 1 + np.searchsorted(founder_positions, leader)
    founders = np.r_[base_rows[leads], staff_rows[:1], joiners[founder_positions]].astype(np.int64)
    count = len(founders)
    is_founder = np.zeros(n, dtype=bool)
    is_founder[founders] = True
    journeys.paid_at[~is_founder[platform_rows]] = NEVER
    role = np.where(is_founder, 0, pick(rng, (0.15, 0.6, 0.25), n) + 1)
    role[kind == SHOP] = len(ROLES) - 1
    inviter = np.where((account >= 0) & ~is_founder & (kind == PLATFORM), founders[account], -1)

    rng = stream(seed, "people.rooms")
    room = _rooms(rng, account, np.flatnonzero((account >= 0) & (kind == PLATFORM)), len(device_class))
    device_class = np.r_[device_class, pick(rng, list(p.DEVICES.values()), max(int(room.max()) + 1 - len(device_class), 0))]

    regular_from = np.full(n, NEVER_DAY, dtype=np.int64)
    regular_from[base_rows] = calendar.day_of(base_signed) + 1
    regular_from[staff_rows] = -379
    regular_from[platform_rows] = np.where(journeys.later_days[:, -1] < NEVER_DAY, journeys.later_days[:, -1] + 1, NEVER_DAY)

    appetite = rng.beta(*p.FEATURE_APPETITE, count)
    breadth = rng.binomial(len(p.FEATURES) - 1, np.where(account >= 0, appetite[account], 0.0)) + 1
    # Features known within an account: the maximum of its members, since all start with the most popular features.
    account_breadth = np.zeros(count)
    members = np.flatnonzero(account >= 0)
    np.maximum.at(account_breadth, account[members], breadth[members])
    country[members] = country[founders[account[members]]]
    return People(
        kind=kind,
        touch=touch,
        country=country,
        city_tier=city_tier,
        gender=gender,
        birth_year=birth_year,
        first_seen=first_seen,
        signed_up_at=signed_up_at,
        profile_at=profile_at,
        user=user,
        account=account,
        role=role,
        inviter=inviter,
        activity_rate=activity_rate,
        breadth=breadth,
        regular_from=regular_from,
        first_device=first_device,
        device_count=device_count,
        room=room,
        device_class=device_class,
        account_kind=np.repeat([PAYING_BASE, FREE_BASE, STAFF, NEW], [paying, free, 1, new_accounts]),
        account_created=signed_up_at[founders],
        account_founder=founders,
        account_industry=rng.integers(0, len(INDUSTRIES), count),
        account_size=pick(rng, (0.4, 0.35, 0.18, 0.07), count),
        account_breadth=account_breadth,
        journeys=journeys,
        shop_depth=shop_depth,
        shop_span=shop_span,
    )
