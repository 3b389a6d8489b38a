"""The competitors of the back-test: what a company would forecast with if it had no model of its pipeline.

    needed_dates -> summarise(tables, day) for each -> compete(tables, as_of, snapshots)

Every forecast of a date uses what was recorded by the end of that date and nothing else.
"""

from forecastlab.baselines.contest import NAMES, compete
from forecastlab.baselines.origins import needed_dates
from forecastlab.baselines.summary import Snapshot, summarise

__all__ = ["NAMES", "Snapshot", "compete", "needed_dates", "summarise"]
