"""The consumer shop: its sessions, and its orders.

Belongs here: browsing, carts, orders, repeat purchases. Does not belong here: the platform's users.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, NEVER, SECOND, Calendar, Ints, stream
from orchestration.simulator.events import EVENT, PRODUCTS, rows
from orchestration.simulator.files import labels, look_up, money, numbered, timestamps
from orchestration.simulator.people import DIRECT, SHOP, People, leisure_time, pick
from orchestration.simulator.tables import LaterStates, Post, Records, Rows, by_time, concat, day_slice, select

VIEWED, CARTED, CHECKED_OUT, ORDERED = range(4)
# Above the sessions numbered by date (`activity`), which begin with the year.
_SESSION_BASE = 3 * 10**14
_CURRENCIES = ("CNY", "EUR")
_FULFILMENT = ("online", "pickup", "store")
_STATUSES = ("completed", "returned", "canceled")


class Shop:
    """All sessions and orders of the period, ordered by time; a day is a slice. Earlier orders have day -1."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self.realised: Counter[str] = Counter()
        self._user_ids = numbered("u_", people.user, 6)
        self._sessions = self._draw_sessions(stream(seed, "shop.sessions"))
        ordered = np.flatnonzero(self._sessions["depth"] == ORDERED)
        self._orders = self._draw_orders(stream(seed, "shop.orders"), select(self._sessions, ordered))
        self._placed = by_time(self._orders)
        self._sessions["order"] = np.full(len(self._sessions["at"]), -1)
        self._sessions["order"][ordered] = np.arange(len(ordered))
        self._records = Records(calendar, seed, "shop.orders")
        self._states = LaterStates(calendar, seed, "shop.orders")
        self._refunds = Post(calendar)

    def _draw_sessions(self, rng: np.random.Generator) -> Rows:
        people, calendar = self._people, self._calendar
        shoppers = people.where(SHOP)
        firsts = {
            "at": people.first_seen[shoppers],
            "person": shoppers,
            "depth": people.shop_depth[shoppers],
            "span": people.shop_span[shoppers],
            "touch": people.touch[shoppers],
            "known": np.zeros(len(shoppers), dtype=np.int64),
        }
        customers = shoppers[people.shop_depth[shoppers] == ORDERED]
        repeats = self._draw_repeats(rng, customers)
        # Customers' sessions without an order, in the twelve days before a session with one.
        looks = np.repeat(np.arange(len(repeats["at"])), rng.geometric(1 - p.SHOP_BROWSE_ONLY_RATE, len(repeats["at"])) - 1)
        at = repeats["at"][looks] - (rng.uniform(0.2, 12, len(looks)) * DAY).astype(np.int64)
        person = repeats["person"][looks]
        keep = at > people.signed_up_at[person] + DAY
        browses = self._session(rng, at[keep], person[keep], np.zeros(int(keep.sum()), dtype=np.int64), known=1)
        cart, checkout, order = p.SHOP_STEPS.values()
        shares = (1 - cart, cart * (1 - checkout), cart * checkout * (1 - order))
        browses["depth"] = pick(rng, shares, len(browses["at"]))
        # Visitors without an order who return once.
        strangers = shoppers[people.shop_depth[shoppers] < ORDERED]
        back = strangers[rng.random(len(strangers)) < p.RETURN_VISITS_MEAN]
        at = people.first_seen[back] + DAY + (rng.exponential(5, len(back)) * DAY).astype(np.int64)
        returns = self._session(rng, at, back, np.zeros(len(back), dtype=np.int64), known=0)
        sessions = concat([firsts, repeats, browses, returns])
        sessions = select(sessions, sessions["at"] < int(calendar.start(calendar.days)))
        return by_time(sessions)

    def _session(self, rng: np.random.Generator, at: Ints, person: Ints, depth: Ints, *, known: int) -> Rows:
        n = len(at)
        direct = rng.random(n) < p.RETURN_DIRECT_SHARE
        return {
            "at": at,
            "person": person,
            "depth": depth,
            "span": rng.integers(180, 1_200, n) * SECOND,
            "touch": np.where(direct, DIRECT, self._people.touch[person]),
            "known": np.full(n, known),
        }

    def _draw_repeats(self, rng: np.random.Generator, customers: Ints) -> Rows:
        """Purchases after the first, similar to BG/NBD: gamma-distributed rates, a chance to stop after each purchase.

        Unlike BG/NBD, customers may stop after the first purchase, days are whole and weekends attract purchases, so fitted
        parameters differ from the planted ones.
        """
        calendar, given = self._calendar, p.SHOP_REPEAT
        rate = rng.gamma(given["r"], 1 / given["alpha"], len(customers))
        death = rng.beta(given["a"], given["b"], len(customers))
        day = calendar.day_of(self._people.first_seen[customers])
        person, parts = customers, []
        while True:
            alive = (rng.random(len(person)) >= death) & (day < calendar.days)
            person, rate, death, day = person[alive], rate[alive], death[alive], day[alive]
            day = day + 1 + np.minimum(rng.exponential(1 / np.maximum(rate, 1e-6)), 10_000).astype(np.int64)
            # Weekends attract purchases: half of those due on Thursday or Friday wait for Saturday.
            weekday = (day + calendar.first.weekday()) % 7
            day = np.where((weekday >= 3) & (weekday <= 4) & (rng.random(len(day)) < 0.35), day + 5 - weekday, day)
            if not len(person):
                break
            at = calendar.start(day) + leisure_time(rng, len(day))
            parts.append(self._session(rng, at, person, np.full(len(day), ORDERED), known=1))
        if not parts:
            return self._session(rng, np.zeros(0, dtype=np.int64), customers[:0], np.zeros(0, dtype=np.int64), known=1)
        return concat(parts)

    def _draw_orders(self, rng: np.random.Generator, sessions: Rows) -> Rows:
        n = len(sessions["at"])
        category = pick(rng, (0.34, 0.18, 0.22, 0.26), n)
        median, cost_share = np.array(list(p.SHOP_CATEGORIES.values())).T
        items = 1 + rng.poisson(0.6, n)
        listed = rng.lognormal(np.log(median[category]), 0.5) * (0.7 + 0.3 * items)
        share = np.where(rng.random(n) < p.SHOP_DISCOUNT_RATE, rng.integers(1, 5, n) * 0.05, 0.0)
        euro = rng.random(n) < p.SHOP_EUR_RATE
        cents = np.maximum(np.round(listed * np.where(euro, 12.8, 100.0)), 1).astype(np.int64)
        discount = (cents * share).astype(np.int64)
        amount = cents - discount
        fate = rng.random(n)
        returned = fate < p.SHOP_RETURN_RATE
        canceled = fate > 1 - p.SHOP_CANCEL_RATE
        partial = (fate > 0.5) & (fate < 0.5 + p.SHOP_PARTIAL_REFUND_RATE)
        fulfilment = pick(rng, (0.86, 0.1, 0.04), n)
        store = np.where(fulfilment == 0, -1, rng.integers(1, 13, n))
        at = sessions["at"] + sessions["span"]
        waits = np.where(canceled, rng.uniform(*p.SHOP_CANCEL_DAYS, n), rng.uniform(*p.SHOP_RETURN_DAYS, n))
        paid_back = (returned | partial) & (rng.random(n) < p.SHOP_PAYMENT_REFUND_RATE)
        return {
            "number": 1 + np.arange(n),
            "at": at,
            "person": sessions["person"],
            "amount": amount,
            "discount": discount,
            "refunded": np.where(returned | canceled, amount, np.where(partial, amount * 3 // 10, 0)),
            "cost": (cents * cost_share[category] * rng.uniform(0.95, 1.05, n)).astype(np.int64),
            "currency": euro.astype(np.int64),
            "items": items,
            "category": category,
            "fulfilment": fulfilment,
            "store": store,
            "status": np.where(returned, 1, np.where(canceled, 2, 0)),
            # Time of return, refund or cancellation, and whether the payments show it (2: only the payments).
            "settled": np.where(returned | canceled | partial, at + (waits * DAY).astype(np.int64), NEVER),
            "paid_back": paid_back * np.where(partial, 2, 1),
        }

    def orders(self, day: int) -> pa.Table | None:
        """Orders that arrive on the day, the first day including all earlier ones; None when there are none."""
        placed = day_slice(self._placed, self._calendar, day)
        self._refunds.send(select(placed, placed["paid_back"] > 0), placed["settled"][placed["paid_back"] > 0], day)
        # An order is complete until it is settled, and refunds that only the payments show never change it.
        open_ = {**placed, "status": np.zeros_like(placed["status"]), "refunded": np.zeros_like(placed["refunded"])}
        open_ |= {"settled": np.full_like(placed["at"], NEVER), "updated": placed["at"]}
        settled = {**placed, "updated": placed["settled"]}
        is_settled = (placed["settled"] < NEVER) & (placed["paid_back"] < 2)
        # Orders settled before the first day land only in their final state.
        is_past = is_settled & (placed["settled"] < int(self._calendar.start(0)))
        self._records.add({name: np.where(is_past, settled[name], values) for name, values in open_.items()})
        changes = is_settled & ~is_past
        unlate = {"late": np.zeros(int(changes.sum()), dtype=np.int64)}
        self._states.add({**select(open_, changes), **unlate}, {**select(settled, changes), **unlate}, day)
        landed = self._records.arrive(day)
        self.realised["orders_not_arrived"] = self._records.waiting
        if landed is not None:
            self.realised["orders"] += len(landed["at"])
            self.realised["orders_from_before"] += int((landed["at"] < int(self._calendar.start(0))).sum())
            self.realised["late_orders"] += int(landed["late"].sum())
            self.realised["amount_cny_cents"] += int(landed["amount"][landed["currency"] == 0].sum())
        landed = self._states.behind(landed, day)
        if landed is None:
            return None
        return pa.table(
            {
                "order_id": numbered("ord_", landed["number"], 7),
                "user_id": look_up(self._user_ids, landed["person"]),
                "ordered_at": timestamps(landed["at"]),
                "amount": money(landed["amount"]),
                "discount": money(landed["discount"]),
                "refunded_amount": money(landed["refunded"]),
                "refunded_at": timestamps(np.where(landed["refunded"] > 0, landed["settled"], NEVER)),
                "cost": money(landed["cost"]),
                "currency": labels(_CURRENCIES, landed["currency"]),
                "items": pa.array(landed["items"]),
                "category": labels(list(p.SHOP_CATEGORIES), landed["category"]),
                "store_id": numbered("store_", landed["store"], 2),
                "fulfilment": labels(_FULFILMENT, landed["fulfilment"]),
                "status": labels(_STATUSES, landed["status"]),
                "updated_at": timestamps(landed["updated"]),
            }
        )

    def refunds(self, day: int) -> pa.Table | None:
        """Refunds of orders that arrive on the day, as rows of `payments`: every other names its order only in `refund_of`."""
        landed = self._refunds.receive(day)
        if landed is None:
            return None
        self.realised["payment_refunds"] += len(landed["at"])
        self.realised["payment_refunds_stated_by_order"] += int((landed["paid_back"] == 1).sum())
        alone = landed["paid_back"] == 2
        self.realised["payment_refunds_cny_cents"] += int(landed["refunded"][alone & (landed["currency"] == 0)].sum())
        nobody = np.full(len(landed["at"]), -1)
        even = landed["number"] % 2 == 0
        return pa.table(
            {
                "payment_id": numbered("ref_", landed["number"], 7),
                "account_id": numbered("acc_", nobody, 5),
                "user_id": look_up(self._user_ids, landed["person"]),
                "paid_at": timestamps(landed["settled"]),
                "kind": labels(("order",), np.zeros_like(landed["number"])),
                "amount": money(landed["refunded"]),
                "currency": labels(_CURRENCIES, landed["currency"]),
                "status": labels(("refunded",), np.zeros_like(landed["number"])),
                "refund_of": numbered("ord_", np.where(even, landed["number"], -1), 7),
                "order_id": numbered("ord_", np.where(even, -1, landed["number"]), 7),
                "updated_at": timestamps(landed["settled"]),
            }
        )

    def events(self, day: int) -> list[Rows]:
        """Events of the sessions that begin on the day."""
        people = self._people
        window = self._calendar.start(np.array([day, day + 1]))
        chosen = np.arange(*np.searchsorted(self._sessions["at"], window))
        if not len(chosen):
            return []
        sessions = select(self._sessions, chosen)
        rng = stream(self._seed, "shop.events", day)
        n = len(chosen)
        device = people.first_device[sessions["person"]] + (
            rng.random(n) ** 3 * people.device_count[sessions["person"]] * sessions["known"]
        ).astype(np.int64)
        product = rng.integers(0, PRODUCTS, n)
        views = 1 + rng.poisson(2.0, n)
        view = np.repeat(np.arange(n), views)
        opens = np.r_[True, view[1:] != view[:-1]]

        def step(name: str, where: Ints, position: float, **columns: Ints | int) -> Rows:
            return rows(
                at=sessions["at"][where] + (sessions["span"][where] * position).astype(np.int64),
                event=EVENT[name],
                person=sessions["person"][where],
                device=device[where],
                session=_SESSION_BASE + chosen[where],
                **columns,
            )

        place = np.where(opens, 0.0, rng.random(len(view)) * 0.6)
        seen = step("product_viewed", view, 0.0, touch=np.where(opens, sessions["touch"][view], -1), user=sessions["known"][view])
        seen["at"] = sessions["at"][view] + (sessions["span"][view] * place).astype(np.int64)
        seen["product"] = np.where(opens, product[view], rng.integers(0, PRODUCTS, len(view)))
        parts = [seen]
        shown = np.flatnonzero(rng.random(n) < p.SHOP_COUPON_RATE)
        clicked = shown[rng.random(len(shown)) < p.SHOP_COUPON_CLICK_RATE]
        for where, name, position in ((shown, "coupon_shown", 0.05), (clicked, "coupon_clicked", 0.06)):
            parts.append(step(name, where, position, product=product[where], user=sessions["known"][where]))
        for depth, name, position in ((CARTED, "cart_added", 0.65), (CHECKED_OUT, "checkout_started", 0.85)):
            where = np.flatnonzero(sessions["depth"] >= depth)
            parts.append(step(name, where, position, product=product[where], user=sessions["known"][where]))
        where = np.flatnonzero((sessions["depth"] == ORDERED) & (sessions["known"] == 0))
        registered = step("signup_completed", where, 0.0)
        registered["at"] = people.signed_up_at[sessions["person"][where]]
        parts.append(registered)
        where = np.flatnonzero(sessions["depth"] == ORDERED)
        order = sessions["order"][where]
        placed = step("order_placed", where, 1.0, product=product[where], value=self._orders["amount"][order])
        parts.append(placed)
        return parts
