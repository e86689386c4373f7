"""Experiments: exposures of units to variants.

Belongs here: `exposures`. Does not belong here: the effect of a treatment, applied where the changed step is drawn (`people`).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, MINUTE, NEVER, SECOND, Calendar, Ints, Mask, stream
from orchestration.simulator.files import labels, look_up, numbered, timestamps
from orchestration.simulator.people import NEW, STAFF, People
from orchestration.simulator.tables import by_time, day_slice

_BLOCK = 10


class Experiments:
    """All first exposures of the period, ordered by time; a day is a slice."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people = calendar, people
        self._user_ids = numbered("u_", people.user, 6)
        journeys = people.journeys
        begins, ends = calendar.experiment_window
        # Earlier accounts are exposed in the first week; the staff's account does not take part.
        comes = begins + (stream(seed, "experiments.accounts").random(len(people.account_kind)) * 7 * DAY).astype(np.int64)
        comes = np.where(people.account_kind == NEW, people.account_created + MINUTE, comes)
        comes[people.account_kind == STAFF] = NEVER
        moments: dict[str, tuple[Ints, Ints]] = {
            "signup_completed": (journeys.person, journeys.at[:, 2]),
            "logged_in": (journeys.person, journeys.at[:, 3]),
            "account_seen": (np.arange(len(comes)), comes),
        }
        parts = []
        for number, experiment in enumerate(p.EXPERIMENTS):
            unit, at = moments[experiment.exposed_by]
            # The day on which an experiment ends has no exposure, and the period may end before it.
            exposed = (at >= begins) & (at < min(ends, int(calendar.start(calendar.days))))
            treated = self._treated(seed, experiment, at)
            parts.append(
                {
                    "at": at[exposed] + SECOND,
                    "unit": unit[exposed],
                    "experiment": np.full(int(exposed.sum()), number),
                    "treated": treated[exposed].astype(np.int64),
                }
            )
        self._exposures = by_time(*parts)

    def _treated(self, seed: int, experiment: p.Experiment, at: Ints) -> Mask:
        """Flag per unit; in every ten consecutive units the share of treated ones is exact."""
        if experiment is p.CHECKLIST:
            return np.asarray(self._people.journeys.treated == 1)
        rank = np.empty(len(at), dtype=np.int64)
        rank[np.argsort(at, kind="stable")] = np.arange(len(at))
        shuffled = np.lexsort((stream(seed, f"experiments.{experiment.name}").random(len(at)), rank // _BLOCK))
        treated = np.zeros(len(at), dtype=bool)
        treated[shuffled] = np.arange(len(at)) % _BLOCK < experiment.treated_share * _BLOCK
        return treated

    def exposures(self, day: int) -> pa.Table | None:
        """Exposures of the day."""
        exposed = day_slice(self._exposures, self._calendar, day)
        if not len(exposed["at"]):
            return None
        is_user = np.array([experiment.unit == "user" for experiment in p.EXPERIMENTS])[exposed["experiment"]]
        users = look_up(self._user_ids, np.where(is_user, exposed["unit"], -1))
        accounts = numbered("acc_", np.where(is_user, -1, exposed["unit"] + 1), 5)
        variants = [variant for experiment in p.EXPERIMENTS for variant in experiment.variants]
        return pa.table(
            {
                "experiment_id": labels([experiment.name for experiment in p.EXPERIMENTS], exposed["experiment"]),
                "variant": labels(variants, exposed["experiment"] * 2 + exposed["treated"]),
                "unit_id": pc.coalesce(users, accounts),
                "exposed_at": timestamps(exposed["at"]),
            }
        )

    def truth(self) -> list[dict[str, object]]:
        """For each experiment: intended and actual split, and how many of each variant reached the step that it may change."""
        journeys = self._people.journeys
        begins, ends = (self._calendar.date(int(self._calendar.day_of(np.array(at)))) for at in self._calendar.experiment_window)
        finished = np.zeros(len(self._people.kind), dtype=bool)
        finished[journeys.person] = journeys.at[:, 4] < int(self._calendar.start(self._calendar.days))
        result: list[dict[str, object]] = []
        for number, experiment in enumerate(p.EXPERIMENTS):
            mine = self._exposures["experiment"] == number
            unit, treated = self._exposures["unit"][mine], self._exposures["treated"][mine]
            control_rate = p.PLG_STEPS[experiment.step] if experiment.step else None
            result.append(
                {
                    "experiment_id": experiment.name,
                    "unit": experiment.unit,
                    "exposed_by": experiment.exposed_by,
                    "begins": begins.isoformat(),
                    "ends_before": ends.isoformat(),
                    "intended_share": experiment.intended_share,
                    "treated_share": experiment.treated_share,
                    "is_split_broken": experiment.intended_share != experiment.treated_share,
                    "effect": experiment.step
                    and {"step": experiment.step, "control_rate": control_rate, "treated_rate": experiment.treated_rate},
                    "exposed": {name: int((treated == code).sum()) for code, name in enumerate(experiment.variants)},
                    "onboarded": {
                        name: int(finished[unit[treated == code]].sum()) for code, name in enumerate(experiment.variants)
                    }
                    if experiment.unit == "user"
                    else None,
                }
            )
        return result
