"""Which alerts follow from others, by the catalogue: a fire release opens doors, a dead gateway silences devices. Pure.

An inhibitor counts while its condition stands and for a grace after it: what it brought about takes a moment to be over.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ingest.alerts.episode import Alert
from ingest.alerts.rule import CatalogueKind, Within

GRACE_US = 60_000_000


class Inhibitor(NamedTuple):
    """A kind that brings others about, and how far around it."""

    kind: str
    within: Within


def inhibitors(kinds: Iterable[CatalogueKind]) -> Mapping[str, tuple[Inhibitor, ...]]:
    """For each kind those that it may follow from."""
    found: dict[str, tuple[Inhibitor, ...]] = {}
    for one in kinds:
        for kind in one.inhibits:
            found[kind] = (*found.get(kind, ()), Inhibitor(one.id, one.inhibits_within))
    return found


class Standing(NamedTuple):
    """An alert that may inhibit others."""

    id: str
    kind: str
    gateway: str
    zone: str
    opened_at: int
    over_at: int | None


def cause(alert: Alert, at: int, by: Iterable[Inhibitor], standing: Iterable[Standing]) -> str:
    """The id of the alert that ``alert`` follows from at an instant, the oldest of them; ``""``: of none. All are of its
    community."""
    within = {one.kind: one.within for one in by}
    causes = [
        one
        for one in standing
        if one.kind in within and one.id != alert.id and _counts(one, at) and _is_near(one, alert, within[one.kind])
    ]
    return min(causes, key=lambda one: (one.opened_at, one.id)).id if causes else ""


def _counts(one: Standing, at: int) -> bool:
    return one.opened_at <= at and (one.over_at is None or at < one.over_at + GRACE_US)


def _is_near(one: Standing, alert: Alert, within: Within) -> bool:
    match within:
        case Within.COMMUNITY:
            return True
        case Within.ZONE:
            return bool(one.zone) and one.zone == alert.zone
        case Within.GATEWAY:
            return one.gateway == alert.gateway
