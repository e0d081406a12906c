"""How many readings the embedded store holds, by gateway and hour: the SQL. Pure."""

from typing import Any

from ingest.store.protocol import HOUR_US


def count(prefixes: tuple[str, ...], gateway: str | None, start: int, end: int) -> tuple[str, list[Any]]:
    """The statement and its values. A reading is what a batch says of a device at one instant, however many metrics it has."""
    inside = f"({' OR '.join(['starts_with(community, ?)'] * len(prefixes))})"
    inside += " AND gateway = ?" if gateway is not None else ""
    return (
        "WITH place AS (SELECT id, community, gateway, dense_rank() OVER (ORDER BY community, gateway, device) AS number"  # noqa: S608 - our own words; values are bound
        f" FROM series WHERE {inside}), said AS (SELECT DISTINCT place.number, instant, stream, seq"
        " FROM point JOIN place ON place.id = point.series WHERE instant >= ? AND instant < ?)"
        f" SELECT community, gateway, instant // {HOUR_US} * {HOUR_US} AS hour, count(*)"
        " FROM said JOIN (SELECT DISTINCT number, community, gateway FROM place) USING (number) GROUP BY ALL"
    ), [*prefixes, *([gateway] if gateway is not None else []), start, end]
