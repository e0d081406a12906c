"""A query's time in slices of whole hours, so that counting a year is many small questions. Pure."""

from collections.abc import Iterator

from ingest.store.protocol import HOUR_US, Query

SLICE_US = 24 * HOUR_US
"""So that no other read waits longer than counting a day takes."""


def slices(query: Query) -> Iterator[tuple[int, int]]:
    """Pieces of [start, end) that end where an hour does. Raises ``ValueError`` for a query without bounds."""
    if query.start is None or query.end is None:
        raise ValueError("readings are counted between two instants")
    start = query.start
    while start < query.end:
        end = min(start // SLICE_US * SLICE_US + SLICE_US, query.end)
        yield start, end
        start = end
