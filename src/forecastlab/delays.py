"""Late records: how long after they occur facts become known, and which share of the newest ones is known.

A fact that occurred s days before the as-of date is known only if it was recorded within s days. So the newest weeks
look poor: wins signed but not entered, moves not told, deals met but not written down. ``G(s)``, the probability that a
fact is recorded within s days, says how poor. Events and arrivals of the newest weeks are thinned by it, and so must
their exposure be (``Delays.exposure``, ``Delays.weekly``). What ``unseen`` simulates is the rest, 1 - G.

Delays count whole days, from the day of the fact to that of its record, as the as-of date does. They are truncated:
a fact of s days ago is in the sample only if its delay is at most s. Hence the reversed hazard, the probability that a
delay lies in a bin given that it lies in it or below, from facts old enough for the whole bin (Lagakos, Barraj and De
Gruttola 1988). With Beta priors its posterior is exact, and G is a product of them: without truncation, the Dirichlet
posterior of the shares of the bins.

What is no delay: facts older than the first record, brought in when recording began; days on which most facts recorded
were more than ``LATE_RECORD_DAYS`` old, an import; and what was recorded more than ``LONGEST`` days late. Such facts
are old when they come and say nothing about what is missing now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecastlab.history import LATE_RECORD_DAYS, History

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOPS: Final = np.array([0, 1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 28, 42, 56, 90])  # last days of the bins of delay
LONGEST: Final = 90
WINDOW: Final = 730  # days; the newest facts, for habits change
LEAST_FACTS: Final = 30
LEAST_KNOWN: Final = 0.9  # share of the facts with a recording time: below it nobody knows the delays
LEAST_LATE: Final = 0.01  # share of delays longer than one day: below it they are not worth a model
BULK_FACTS: Final = 10  # old facts recorded on one day, at least, that make an import
COMPLETE: Final = 0.995  # share seen from which on nothing is missing worth simulating
POOL_WEIGHT: Final = 20.0  # facts by which arrivals and other facts are drawn to what they have in common
ENTRIES: Final = 1
OTHERS: Final = 0


@dataclass(frozen=True, slots=True)
class Delays:
    """Posterior of the delays of facts.

    Parameters
    ----------
    late, sooner : float arrays, (2, bin - 1)
        Beta parameters of the reversed hazards of the bins after the first: of ``OTHERS``, then of ``ENTRIES``.
    """

    late: Floats
    sooner: Floats

    @property
    def seen(self) -> Floats:
        """Mean of G: the share known of facts 0, 1, ... ``LONGEST`` days before the as-of day: (2, day)."""
        return _by_day(self.late / (self.late + self.sooner))

    @property
    def reach(self) -> int:
        """Days before now from which on facts are as good as completely known."""
        return int((self.seen < COMPLETE).any(axis=0).sum())

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        """Draw G from its posterior: (draw, 2, day)."""
        return _by_day(rng.beta(self.late, self.sooner, (size, *self.late.shape)))

    def exposure(self, start: Floats, stop: Floats, now: float) -> Floats:
        """Return the exposure (days) of pieces of spells to exits that are known by now: the integral of G.

        Parameters
        ----------
        start, stop : float arrays
            Time as in ``history``.
        now : float
            End of the as-of day.
        """
        missing = missing_days(self.seen[OTHERS])
        knots = np.arange(len(missing), dtype=float)
        lost = np.interp(now - start, knots, missing) - np.interp(now - stop, knots, missing)
        return np.asarray(stop - start - lost)

    def weekly(self, weeks: int) -> Floats:
        """Return the share of the arrivals of each week that is known by now, oldest week first: (week,)."""
        return weekly_seen(self.seen[ENTRIES], weeks)


def missing_days(seen: Floats) -> Floats:
    """Return the integral of 1 - G from now back to 0, 1, 2 ... days before: (..., day) to (..., day + 1)."""
    total = np.cumsum(1.0 - seen, axis=-1)
    return np.concatenate([np.zeros((*seen.shape[:-1], 1)), total], axis=-1)


def weekly_seen(seen: Floats, weeks: int) -> Floats:
    """Return the mean of G over each of the newest weeks, oldest first: (..., day) to (..., week)."""
    days = np.minimum(7 * np.arange(weeks + 1), seen.shape[-1])
    missing = missing_days(seen)[..., days]
    return np.asarray(1.0 - np.diff(missing, axis=-1)[..., ::-1] / 7.0)


def _by_day(hazard: Floats) -> Floats:
    """Reversed hazards (..., bin - 1) to G by whole days (..., day); even within a bin."""
    below = np.cumprod((1.0 - hazard)[..., ::-1], axis=-1)[..., ::-1]
    tops = np.concatenate([below, np.ones((*hazard.shape[:-1], 1))], axis=-1)
    days = np.arange(LONGEST + 1)
    upper = np.searchsorted(TOPS, days)
    lower = np.maximum(upper - 1, 0)
    share = np.where(upper > 0, (days - TOPS[lower]) / np.maximum(TOPS[upper] - TOPS[lower], 1), 1.0)
    return np.asarray(tops[..., lower] + share * (tops[..., upper] - tops[..., lower]))


def estimate_delays(history: History) -> Delays | None:
    """Estimate the delays of facts from one snapshot.

    Parameters
    ----------
    history : History

    Returns
    -------
    Delays or None
        None where recording times are not known, facts are too few, or delays negligible: then nothing is corrected.
    """
    records = _counted(history.records)
    if len(records) < LEAST_FACTS or records["known"].mean() < LEAST_KNOWN:
        return None
    records = records[records["known"]]
    ago, delay, entry = (records[name].to_numpy() for name in ("ago", "delay", "entry"))
    start = np.full(len(TOPS), 0.5 / (len(TOPS) - 1))
    start[0] = 0.5
    late, sooner = _beta(ago, delay, start)
    mean = late / (late + sooner)
    below = _by_day(mean)
    if below[1] > 1.0 - LEAST_LATE:
        return None
    share = POOL_WEIGHT * np.diff(below[TOPS], prepend=0.0)
    kinds = [_beta(ago[entry == kind], delay[entry == kind], share) for kind in (False, True)]
    return Delays(np.stack([found[0] for found in kinds]), np.stack([found[1] for found in kinds]))


def _beta(ago: Ints, delay: Ints, prior: Floats) -> tuple[Floats, Floats]:
    """Beta parameters of the reversed hazards of the bins after the first; ``prior``: facts by bin."""
    place = np.searchsorted(TOPS, delay)
    late, sooner = prior[1:].copy(), np.cumsum(prior)[:-1]
    for number in range(1, len(TOPS)):
        old = ago >= TOPS[number]
        late[number - 1] += (old & (place == number)).sum()
        sooner[number - 1] += (old & (place < number)).sum()
    return late, sooner


def _counted(records: pd.DataFrame) -> pd.DataFrame:
    """Facts of the window whose delay is one: no bulk, nothing from before the first record."""
    known = records["known"]
    recorded = records["ago"] - records["delay"]  # days from the record to the as-of date
    began = recorded[known].max() if known.any() else 0
    old = known & (records["delay"] > LATE_RECORD_DAYS)
    of_day = pd.DataFrame({"old": old, "all": known}).groupby(recorded).transform("sum")
    bulk = (of_day["old"] >= BULK_FACTS) & (2 * of_day["old"] > of_day["all"])
    kept = (records["ago"] <= min(began, WINDOW)) & (records["delay"] <= LONGEST) & ~bulk
    return records[kept]
