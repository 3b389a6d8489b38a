"""What is known exactly given the counts: Dirichlet, Beta, Gamma and normal-inverse-gamma posteriors.

Destinations of deals that move on, milestones where new deals enter, their mix of groups, whether an amount is known,
how the signed amount differs from the quoted one, and the rate at which lost deals come back. None of these shares a
parameter with the sampled model, so independent draws from their posteriors complete a draw of the joint posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from forecastlab.cells import Cells
from forecastlab.entries import Entries
from forecastlab.priors import Priors

Floats = npt.NDArray[np.float64]

NEXT_SHARE: Final = 0.9  # prior share of moves that go to the very next milestone
FIRST_SHARE: Final = 0.9  # prior share of new deals that enter at the first milestone


@dataclass(frozen=True, slots=True)
class Counts:
    """Draws of the conjugate parts; s a draw, K milestones.

    Parameters
    ----------
    destination : float array, (s, milestone K, age, destination K + 1)
        Cumulative over destinations.
    entry : float array, (s, K + 1)
        Cumulative over the milestones a new deal enters at; K is signed at once.
    mix : float array, (s, combination)
        Cumulative over all combinations of group levels, the last column varying fastest.
    known : float array, (s, K)
        Chance that the amount is known to a deal in a milestone.
    zero : float array, (s,)
        Chance that a first amount is 0.
    unchanged, ratio_mean, ratio_sd : float arrays, (s, K)
        Chance that the signed amount equals the one quoted in a milestone; else mean and sd of the log ratio.
    reopening : float array, (s, bin)
        Rate a day at which lost deals come back, by days since they were lost (``entries.REOPEN_EDGES``).
    """

    destination: Floats
    entry: Floats
    mix: Floats
    known: Floats
    zero: Floats
    unchanged: Floats
    ratio_mean: Floats
    ratio_sd: Floats
    reopening: Floats


def draw_counts(
    cells: Cells, entries: Entries, n_levels: tuple[int, ...], priors: Priors, size: int, rng: np.random.Generator
) -> Counts:
    """Draw the conjugate parts of the posterior.

    Parameters
    ----------
    cells : Cells
    entries : Entries
    n_levels : tuple of int
        Levels of each segment column, the unseen one included.
    priors : Priors
    size : int
        Draws.
    rng : Generator
    """
    unchanged, mean, sd = _ratios(entries, priors, size, rng)
    zero, amounts = entries.zero_amounts
    a, b = priors.reopening
    return Counts(
        destination=_destinations(cells, priors, size, rng),
        entry=np.cumsum(_dirichlet(_entry_weights(entries, priors), size, rng), axis=1),
        mix=np.cumsum(_dirichlet(_mix_weights(entries, n_levels, priors), size, rng), axis=1),
        known=rng.beta(
            entries.known[:, 0] + priors.known, entries.known[:, 1] + priors.known / 10, (size, len(entries.known))
        ),
        zero=rng.beta(zero + 0.1, amounts - zero + 10.0, size),
        unchanged=unchanged,
        ratio_mean=mean,
        ratio_sd=sd,
        reopening=rng.gamma(entries.reopened[1] + a, 1.0 / (entries.at_risk[1] + b), (size, len(entries.at_risk[1]))),
    )


def _dirichlet(weights: Floats, size: int | None, rng: np.random.Generator) -> Floats:
    """Dirichlet draws over the last axis of weights, one each where no size is given; weights of zero stay zero."""
    shape = weights.shape if size is None else (size, *weights.shape)
    gamma = rng.gamma(np.where(weights > 0, weights, 1.0), size=shape)
    gamma = np.where(weights > 0, np.maximum(gamma, 1e-300), 0.0)
    return np.asarray(gamma / gamma.sum(axis=-1, keepdims=True))


def destination_prior(n_milestones: int) -> Floats:
    """Prior shares (milestone, destination): mostly the next one, the rest evenly over the later ones."""
    shares = np.zeros((n_milestones, n_milestones + 1))
    for k in range(n_milestones):
        later = n_milestones - k
        shares[k, k + 1 :] = (1 - NEXT_SHARE) / max(later - 1, 1)
        shares[k, k + 1] = NEXT_SHARE if later > 1 else 1.0
    return shares


def _destinations(cells: Cells, priors: Priors, size: int, rng: np.random.Generator) -> Floats:
    """A milestone's shares from all its moves, then those of each age bin around them."""
    counts = cells.destinations.astype(float)
    whole = _dirichlet(counts.sum(axis=1) + priors.destination * destination_prior(len(counts)), size, rng)
    weights = counts + priors.destination * whole[:, :, None, :]
    return np.asarray(np.cumsum(_dirichlet(weights, None, rng), axis=-1))


def _entry_weights(entries: Entries, priors: Priors) -> Floats:
    n = len(entries.entry)
    prior = np.full(n, (1 - FIRST_SHARE) / (n - 1))
    prior[0] = FIRST_SHARE
    return entries.entry + priors.entry * prior


def _mix_weights(entries: Entries, n_levels: tuple[int, ...], priors: Priors) -> Floats:
    """Counts of the combinations met, plus the prior weight spread by the shares of the single levels."""
    if not n_levels:
        return np.ones(1)
    counts = np.zeros(n_levels)
    levels = [entries.mix[f"group_{i}"].to_numpy() for i in range(len(n_levels))]
    np.add.at(counts, tuple(levels), entries.mix["count"].to_numpy(dtype=float))
    share = np.ones(n_levels)
    for axis, n in enumerate(n_levels):
        others = tuple(i for i in range(len(n_levels)) if i != axis)
        single = (counts.sum(axis=others) + 1 / n) / (counts.sum() + 1)
        share = share * single.reshape([-1 if i == axis else 1 for i in range(len(n_levels))])
    return np.asarray(counts + priors.group_mix * share).ravel()


def _ratios(entries: Entries, priors: Priors, size: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Normal-inverse-gamma posterior of the log ratios that are not 0, by milestone quoted; Beta for those that are."""
    table = entries.ratio
    n, mean, ss = (table[name].to_numpy(dtype=float) for name in ("n", "mean", "ss"))
    same = table["unchanged"].to_numpy(dtype=float)
    unchanged = rng.beta(same + priors.unchanged / 2, n + priors.unchanged / 2, (size, len(n)))
    weight, prior_mean, shape = priors.unchanged, priors.ratio.mu, 2.0
    scale = shape * priors.ratio_spread**2 + 0.5 * ss + 0.5 * weight * n / (weight + n) * (mean - prior_mean) ** 2
    variance = scale / rng.gamma(shape + n / 2, size=(size, len(n)))
    centre = (weight * prior_mean + n * mean) / (weight + n)
    return unchanged, rng.normal(centre, np.sqrt(variance / (weight + n))), np.sqrt(variance)
