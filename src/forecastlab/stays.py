"""How long those that move on stay in a milestone: the posterior predictive distribution of their stays.

Within a milestone two hazards compete, constant within a bin of age. The incidence of moving on by an age follows from
them in closed form (Prentice et al. 1978: of those that leave in a bin, moved / (moved + lost) move on). Its mean over
the draws, divided by what it comes to in the end, is the distribution of the stay of a deal of which nothing else is
known than that it moves on. Draws in which few move on count for less, as they must.

The calendar is the one that ``quantities`` takes: the shock to be expected next, without season or rush.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import elementwise

from forecastlab.design import Design
from forecastlab.future import Future
from forecastlab.predictors import STAGE
from forecastlab.quantities import DRAWS, LONGEST, faded, shock_tables

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK: Final = 500  # kinds of deals at once, so that memory does not grow with them


@dataclass(frozen=True, slots=True)
class Stays:
    """Hazards of both exits, moving on and loss, as products of three factors.

    Parameters
    ----------
    edges : float array, (milestone, edge)
        Inner edges of the age bins in days; infinite where a milestone has fewer.
    age : pair of float arrays, (sample, milestone, age)
        A day, the calendar included.
    group : pair of float arrays, (sample, milestone, combination)
    band : pair of float arrays, (sample, milestone, band)
    """

    edges: Floats
    age: tuple[Floats, Floats]
    group: tuple[Floats, Floats]
    band: tuple[Floats, Floats]

    def by_share(self, milestone: Ints, combination: Ints, band: Ints, share: float) -> Floats:
        """Return the age by which a share of those that move on within ``LONGEST`` days have done so.

        Nobody waits longer than that: the last bin is open, and where hardly anybody leaves it, the tail of those that
        do would have no end.

        Parameters
        ----------
        milestone, combination, band : int arrays, (deal,)
        share : float
            Between 0 and 1, both excluded.

        Returns
        -------
        float array, (deal,)
            Days, at most ``LONGEST``; NaN where nobody moves on.
        """
        kinds, place = np.unique(np.column_stack([milestone, combination, band]), axis=0, return_inverse=True)
        found = [self._of_kinds(kinds[at : at + BLOCK], share) for at in range(0, len(kinds), BLOCK)]
        return np.concatenate([np.empty(0), *found])[place.ravel()]

    def _of_kinds(self, kinds: Ints, share: float) -> Floats:
        k, combination, band = kinds.T
        moving, losing = (
            np.moveaxis(age[:, k] * (group[:, k, combination] * by[:, k, band])[..., None], 0, 1)
            for age, group, by in zip(self.age, self.group, self.band, strict=True)
        )
        edges = np.minimum(self.edges[k], LONGEST)
        bounds = np.column_stack([np.zeros(len(k)), edges, np.full(len(k), LONGEST)])
        return _age_by_share(bounds, moving, losing, share)


def _age_by_share(bounds: Floats, moving: Floats, losing: Floats, share: float) -> Floats:
    """Age by which a share has moved on, from bounds (kind, bin + 1) and hazards (kind, sample, bin): (kind,)."""
    width = np.diff(bounds)
    rate = moving + losing
    left = np.exp(-np.cumsum(rate * width[:, None], axis=2) + rate * width[:, None])  # at the start of each bin
    going = left * np.divide(moving, rate, out=np.zeros_like(rate), where=rate > 0)
    path = np.cumsum((going * -np.expm1(-rate * width[:, None])).mean(axis=1), axis=1)
    target = share * path[:, -1]
    row = np.arange(len(path))
    bin_ = np.minimum((path < target[:, None]).sum(axis=1), path.shape[1] - 1)
    before = np.where(bin_ > 0, path[row, bin_ - 1], 0.0)
    going, rate, end = going[row, :, bin_], rate[row, :, bin_], width[row, bin_]

    def missing(days: Floats, number: Ints) -> Floats:
        gone = (going[number] * -np.expm1(-rate[number] * days[:, None])).mean(axis=1)
        return np.asarray((before[number] + gone) / target[number] - 1.0)

    known = np.flatnonzero(target > 0)
    found = np.full(len(path), np.nan)
    if len(known):
        solved = elementwise.find_root(missing, (np.zeros(len(known)), end[known]), args=(known,))
        # Without a change of sign the share is met at the very end of the bin, but for rounding.
        within = np.where(solved.success, solved.x, end[known])
        found[known] = bounds[known, bin_[known]] + within
    return found


def build_stays(future: Future, posterior: xr.Dataset, design: Design) -> Stays:
    """Return the hazards of a projection under the shock to be expected next.

    Parameters
    ----------
    future : Future
    posterior : Dataset
        The draws that ``future`` was built from (one dimension ``sample``); at most ``quantities.DRAWS`` are used.
    design : Design
    """
    size = posterior.sizes["sample"]
    take = np.linspace(0, size - 1, min(DRAWS, size)).astype(int)
    edges, world = np.asarray(future.world[0]), [np.asarray(part) for part in future.world[1:7]]
    old = np.arange(edges.shape[1] + 1) >= np.asarray(future.world[14])[:, None]
    shocks = [name for kind in STAGE for name in shock_tables(kind, posterior)]
    expected = faded(posterior[shocks].isel(sample=take), design)
    ages = []
    for number, kind in enumerate(STAGE):
        log = expected[f"{kind}_shock"].to_numpy()[:, :, -1:]
        if f"{kind}_old_shock" in expected:
            log = log + old * expected[f"{kind}_old_shock"].to_numpy()[:, :, -1:]
        ages.append(world[number][take] * np.exp(np.clip(log, -40.0, 40.0)))
    return Stays(edges, (ages[0], ages[1]), (world[2][take], world[3][take]), (world[4][take], world[5][take]))
