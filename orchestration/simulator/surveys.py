"""Surveys: likelihood to recommend the product (NPS), and satisfaction (CSAT).

Belongs here: `surveys`. Does not belong here: free feedback (`feedback`), whose texts are used as comments.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, HOUR, NEVER, Calendar, Floats, Ints, stream
from orchestration.simulator.feedback import draw_languages, draw_texts, draw_topics, texts
from orchestration.simulator.files import labels, look_up, numbered, timestamps
from orchestration.simulator.people import People, office_time
from orchestration.simulator.tables import LaterStates, Post, Rows, day_number, select

KINDS = ("nps", "csat")
NPS, CSAT = range(2)
_SCALES = ((0, 10), (1, 5))


class Surveys:
    """Answers of the day; scores depend on the same latent satisfaction as churn, the account's churn logit."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self.realised: Counter[str] = Counter()
        self._user_ids = numbered("u_", people.user, 6)
        self._under_way = Post(calendar)
        self._states = LaterStates(calendar, seed, "surveys")

    def step(self, day: int, active: Ints, tickets: Rows | None, churn_logit: Floats) -> None:
        """Survey active people, and those whose tickets landed; the logit is one per account."""
        rng = stream(self._seed, "surveys.step", day)
        for kind, rate in ((NPS, p.NPS_RATE), (CSAT, p.CSAT_RATE)):
            who = active[rng.random(len(active)) < rate]
            at = self._calendar.start(day) + office_time(rng, len(who))
            self._answer(rng, day, kind, who, at, churn_logit, np.zeros(len(who)))
        if tickets is not None:
            asked = np.flatnonzero(rng.random(len(tickets["at"])) < p.CSAT_TICKET_RATE)
            solved = tickets["solved"][asked]
            penalty = np.where(solved >= NEVER, p.CSAT_UNSOLVED_PENALTY, 0.0)
            # Authors of unsolved tickets are surveyed when the ticket is exported.
            asked_at = np.where(solved >= NEVER, tickets["at"][asked] + p.TICKET_EXPORT_DAYS * 24 * HOUR, solved)
            at = asked_at + (rng.exponential(3, len(asked)) * HOUR).astype(np.int64)
            self._answer(rng, day, CSAT, tickets["who"][asked], at, churn_logit, penalty)

    def _answer(
        self, rng: np.random.Generator, day: int, kind: int, who: Ints, at: Ints, churn_logit: Floats, penalty: Floats
    ) -> None:
        n = len(who)
        if not n:
            return
        given, (lowest, highest) = (p.NPS_SCORE, p.CSAT_SCORE)[kind], _SCALES[kind]
        discontent = churn_logit[self._people.account[who]] - p.SATISFACTION_MIDDLE
        score = given["mean"] - given["slope"] * discontent - penalty + rng.normal(0, given["noise"], n)
        answers = {
            "at": at,
            "who": who,
            "kind": np.full(n, kind),
            "score": np.clip(np.round(score), lowest, highest).astype(np.int64),
            "topic": draw_topics(rng, discontent),
            "commented": (rng.random(n) < p.COMMENT_RATE).astype(np.int64),
        }
        self._under_way.send(answers, at, day)

    def surveys(self, day: int) -> pa.Table | None:
        """Responses that arrive on the day."""
        landed = self._under_way.receive(day)
        if landed is not None:
            rng = stream(self._seed, "surveys.texts", day)
            n, country = len(landed["at"]), self._people.country[landed["who"]]
            comment = draw_texts(rng, landed["topic"], draw_languages(rng, country))
            landed = {**landed, "number": day_number(self._calendar, day) + np.arange(n), "updated": landed["at"]}
            landed["comment"] = np.where(landed["commented"] == 1, comment, -1)
            landed = self._change(landed, day)
        landed = self._states.behind(landed, day)
        if landed is None:
            return None
        return pa.table(
            {
                "response_id": numbered("sr_", landed["number"], 15),
                "user_id": look_up(self._user_ids, landed["who"]),
                "account_id": numbered("acc_", self._people.account[landed["who"]] + 1, 5),
                "responded_at": timestamps(landed["at"]),
                "kind": labels(KINDS, landed["kind"]),
                "score": pa.array(landed["score"]),
                "comment": texts(landed["comment"]),
                "updated_at": timestamps(landed["updated"]),
            }
        )

    def _change(self, answers: Rows, day: int) -> Rows:
        """Let some answers of the day land with another score first, and with the final one when the writer changes it."""
        rng = stream(self._seed, "surveys.changes", day)
        n = len(answers["at"])
        chance, waits, shift = rng.random(n), rng.uniform(*p.CORRECTION_DAYS, n), rng.integers(1, 3, n)
        highest = np.array([scale[1] for scale in _SCALES])[answers["kind"]]
        changes = chance < p.SURVEY_CHANGE_RATE
        score = np.where(answers["score"] + shift <= highest, answers["score"] + shift, answers["score"] - shift)
        first = {**answers, "score": np.where(changes, score, answers["score"])}
        written = answers["at"] + (waits * DAY).astype(np.int64)
        self._states.add(select(first, changes), select({**answers, "updated": written}, changes), day)
        # Changes after the last day are dropped.
        arrives = self._calendar.day_of(written) < self._calendar.days
        self._count(answers["kind"], np.where(arrives, answers["score"], first["score"]))
        self.realised["changed_scores"] += int((changes & arrives).sum())
        return first

    def _count(self, kinds: Ints, latest: Ints) -> None:
        for kind, name in enumerate(KINDS):
            scores = latest[kinds == kind]
            self.realised[f"{name}_responses"] += len(scores)
            self.realised[f"{name}_score_sum"] += int(scores.sum())
            if kind == NPS:
                self.realised["nps_promoters"] += int((scores >= 9).sum())
                self.realised["nps_detractors"] += int((scores <= 6).sum())
