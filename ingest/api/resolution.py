"""How finely a question about history is answered. Pure."""

from collections.abc import Callable
from enum import StrEnum

from ingest.store import Level, Query
from telemetry.metric import Kind

HOUR_US = Level.HOUR.width_us
FINEST_SPAN_US = {Level.RAW: 6 * HOUR_US, Level.FIVE_MINUTES: 7 * 24 * HOUR_US}
"""How long a time each level answers for: 5 readings a minute are 1,800 in 6 hours; 7 days are 2,016 windows."""


class Resolution(StrEnum):
    RAW = "raw"
    FIVE_MINUTES = "5m"
    HOUR = "1h"
    AUTO = "auto"


def level_of(resolution: Resolution, query: Query, now: int, kept_from: Callable[[Level, Kind], int]) -> Level:
    """The level to answer from. ``auto`` without a start asks for the newest readings, which are raw."""
    if resolution is not Resolution.AUTO:
        return Level(resolution.value)
    if query.start is None:
        return Level.RAW
    span = (now if query.end is None else query.end) - query.start
    kinds = [query.kind] if query.kind else list(Kind)
    for level, longest in FINEST_SPAN_US.items():
        if span <= longest and query.start >= min(kept_from(level, kind) for kind in kinds):
            return level
    return Level.HOUR
