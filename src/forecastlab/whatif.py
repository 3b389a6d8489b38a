"""Assumptions of a hypothetical run: what they are, how they are written, and what they change in the simulation.

Everything else stays as in the forecast: the same draws of the posterior and the same random numbers of every deal, so
the difference between the two is the assumption alone.

    arrivals=+20%     new deals arrive so much more (or less) often, from now on
    conversion=-10%   deals move on from milestone to milestone at so much lower (or higher) a rate
    amounts=-5%       what is signed from now on is so much less (or more)
    delay=30d         what is signed from now on is signed so many days later
    drop=unproven     open deals with a milestone claimed without evidence bring nothing
    drop=D-0042       this open deal brings nothing
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from forecastlab.history import History
from forecastlab.periods import Period
from forecastlab.schema import UsageError
from forecastlab.simulate import Draws, Future

UNPROVEN: Final = "unproven"
FACTORS: Final = ("arrivals", "conversion", "amounts")
LONGEST: Final = 365  # days of delay
_PERCENT: Final = re.compile(r"([+-])(\d+(?:\.\d+)?)\s*%")
_DAYS: Final = re.compile(r"(\d+)d")


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a hypothetical run takes for granted; by default nothing.

    Parameters
    ----------
    arrivals, conversion, amounts : float
        Factors.
    delay : int
        Days.
    drop : tuple of str
        ``unproven`` or ids of deals.
    texts : tuple of str
        As they were asked for, in order: ``arrivals=+20%``.
    """

    arrivals: float = 1.0
    conversion: float = 1.0
    amounts: float = 1.0
    delay: int = 0
    drop: tuple[str, ...] = ()
    texts: tuple[str, ...] = field(default=())


NOTHING: Final = Assumptions()


def parse(text: str) -> Assumptions:
    """Read assumptions with commas between them.

    Raises
    ------
    UsageError
        With everything that is wrong with them.
    """
    found, faults = NOTHING, []
    for part in (piece.strip() for piece in text.split(",")):
        if not text.strip():
            continue
        try:
            found = _with(found, part)
        except ValueError as error:
            faults.append(f"{part!r}: {error}")
    if faults:
        raise UsageError("--what-if is not understood.\n" + "\n".join(f"- {fault}" for fault in faults))
    return found


def _with(found: Assumptions, part: str) -> Assumptions:
    name, _, value = (piece.strip() for piece in part.partition("="))
    if name in FACTORS:
        changed = replace(found, **{name: getattr(found, name) * _factor(value)})
    elif name == "delay":
        changed = replace(found, delay=found.delay + _days(value))
    elif name == "drop" and value:
        changed = replace(found, drop=(*found.drop, value))
    else:
        raise ValueError(
            "Write arrivals=+20%, conversion=-10%, amounts=-5%, delay=30d, drop=unproven or drop=<deal_id>, with "
            "commas between them."
        )
    if f"{name}={value}" in found.texts:
        raise ValueError("It is there twice.")
    return replace(changed, texts=(*found.texts, f"{name}={value}"))


def _factor(value: str) -> float:
    match = _PERCENT.fullmatch(value)
    if not match:
        raise ValueError("A change is written with its sign and %: +20% or -10%.")
    factor = 1.0 + float(match[1] + match[2]) / 100.0
    if not 0.0 <= factor <= 10.0:
        raise ValueError("A change lies between -100% and +900%.")
    return factor


def _days(value: str) -> int:
    match = _DAYS.fullmatch(value)
    if not match or not 0 < int(match[1]) <= LONGEST:
        raise ValueError(f"A delay is a number of days from 1 to {LONGEST}: 30d.")
    return int(match[1])


def check_deals(assumed: Assumptions, known: frozenset[str]) -> None:
    """Make sure that the deals to be dropped exist.

    Raises
    ------
    UsageError
        Naming those that do not.
    """
    missing = [name for name in assumed.drop if name != UNPROVEN and name not in known]
    if missing:
        raise UsageError(
            f"--what-if drop={missing[0]}: there is no such deal"
            + (f" (nor {', '.join(missing[1:])})" if missing[1:] else "")
            + ". Write drop=unproven, or the deal_id of a deal."
        )


def earlier(periods: list[Period], assumed: Assumptions, as_of: pd.Timestamp) -> list[Period]:
    """Return the periods earlier by the delay, where they end after now: delayed, their edges are the forecast's."""
    if not assumed.delay:
        return []
    days = pd.Timedelta(days=assumed.delay)
    moved = [Period(period.start - days, period.end - days, period.name) for period in periods]
    return [period for period in moved if period.end > as_of]


def dropped(history: History, assumed: Assumptions, keys: tuple[str, ...]) -> frozenset[str]:
    """Return the open deals that are assumed to bring nothing.

    Parameters
    ----------
    history : History
    assumed : Assumptions
    keys : tuple of str
        Of the milestones, in order.

    Raises
    ------
    UsageError
        A deal that was named is not open: nothing would change.
    """
    deals = history.deals
    live = deals[deals["state"].between(0, history.n_milestones - 1)].set_index("deal_id")["state"]
    found = {name for name in assumed.drop if name != UNPROVEN}
    if closed := sorted(found - set(live.index)):
        raise UsageError(
            f"--what-if drop={closed[0]}: the deal is not open as of {history.as_of.date()}, so nothing would change. "
            "Name an open one."
        )
    if UNPROVEN in assumed.drop:  # beyond where the deal stands, as in the review list
        claims = history.unproven
        beyond = pd.Index(keys).get_indexer(pd.Index(claims["milestone"])) > claims["deal_id"].map(live)
        found |= set(claims.loc[beyond, "deal_id"])
    return frozenset(found)


def kept(history: History, assumed: Assumptions, keys: tuple[str, ...]) -> History:
    """Return the snapshot without the open deals that are assumed to bring nothing; what is signed stays."""
    if not assumed.drop:
        return history
    gone = history.deals["deal_id"].isin(dropped(history, assumed, keys))
    return replace(history, deals=history.deals[~gone])


def changed_posterior(posterior: xr.Dataset, assumed: Assumptions) -> xr.Dataset:
    """Return the posterior in which deals move on at another rate, for what is computed from it directly."""
    if assumed.conversion == 1.0:
        return posterior
    shift = np.log(assumed.conversion) if assumed.conversion > 0 else -LONGEST
    return posterior.assign(moved_age=posterior["moved_age"] + shift)


def changed_future(future: Future, assumed: Assumptions) -> Future:
    """Return the future in which deals move on at another rate."""
    if assumed.conversion == 1.0:
        return future
    world = list(future.world)
    world[3] = world[3] * assumed.conversion  # factor of the hazard of moving on, by combination of groups
    return replace(future, world=tuple(world))


def changed_draws(draws: Draws, assumed: Assumptions) -> Draws:
    """Return the draws with what is signed after now at other amounts, and later."""
    if assumed.amounts == 1.0 and not assumed.delay:
        return draws
    factor = np.where(draws.slot_ends > 1e-9, assumed.amounts, 1.0)[None, :, None]
    changed = [np.stack([part[0] * factor, part[1]]) for part in (draws.open, draws.new)]
    draws = replace(draws, open=changed[0], new=changed[1])
    return _later(draws, assumed.delay) if assumed.delay else draws


def _later(draws: Draws, days: int) -> Draws:
    """What is signed after now is signed later; until then nothing is, and what is beyond the horizon is cut."""
    before = draws.slot_ends <= 1e-9
    ends = np.concatenate([draws.slot_ends[before], [float(days)], draws.slot_ends[~before] + days])
    stays = ends <= draws.slot_ends[-1] + 1e-9
    parts = []
    for part in (draws.open, draws.new):
        nothing = np.zeros((*part.shape[:2], 1, part.shape[3]))
        parts.append(np.concatenate([part[:, :, before], nothing, part[:, :, ~before]], axis=2)[:, :, stays])
    return replace(draws, slot_ends=ends[stays], open=parts[0], new=parts[1])
