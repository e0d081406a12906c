"""What of an old batch is not in the embedded store any more."""

from collections.abc import Sequence

import duckdb
import numpy as np

from ingest.arrival import Arrival
from ingest.store.embedded_file import incoming
from telemetry.identity import is_name
from telemetry.reading import Reading

_HELD = """
SELECT DISTINCT community, gateway, device, instant FROM point JOIN series ON series.id = point.series
SEMI JOIN incoming USING (community, gateway, device, instant) WHERE instant BETWEEN ? AND ?
"""

_Place = tuple[str, str, str, int]


def missing(file: duckdb.DuckDBPyConnection, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """``arrivals`` without the readings that are in ``file``, by gateway, device and instant; one that came twice is in it once.

    Readings whose device has no sound name are never in the file; they stay, to be refused.
    """
    wanted = {_place(arrival, reading) for arrival in arrivals for reading in arrival.readings if is_name(reading.device)}
    free = wanted - _held(file, sorted(wanted))
    return [arrival._replace(readings=_taken(arrival, free), looked=None) for arrival in arrivals]


def _held(file: duckdb.DuckDBPyConnection, places: Sequence[_Place]) -> set[_Place]:
    if not places:
        return set()
    instants = [place[3] for place in places]
    columns = zip(("community", "gateway", "device", "instant"), zip(*places, strict=True), strict=True)
    with incoming(file, {name: np.array(column) for name, column in columns}):
        return set(file.execute(_HELD, [min(instants), max(instants)]).fetchall())


def _taken(arrival: Arrival, free: set[_Place]) -> list[Reading]:
    """The readings of an arrival whose places are free; afterwards they are not."""
    taken = []
    for reading in arrival.readings:
        if (place := _place(arrival, reading)) in free or not is_name(reading.device):
            free.discard(place)
            taken.append(reading)
    return taken


def _place(arrival: Arrival, reading: Reading) -> _Place:
    return *arrival.stream.ref, reading.device, reading.at
