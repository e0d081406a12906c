"""Judges a run: the centre holds exactly the accepted readings, each once and true, and the alerts that follow from them.

1. Accepted and not stored is missing, unless a loss certificate names it; a certificate counts exactly what is missing.
2. Stored and never answered by a unit, or answered at another time, is invented; a number twice is a reading twice.
3. The alerts are those of an engine that is given the stored readings once, in order, undisturbed.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ingest.alerts import AlertEngine, Alerts, load_rules
from ingest.alerts.alerts import AlertFilter
from ingest.api.fields import said
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.paging import Cursor
from simulators.verify import Stored
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.presence import Device as Known
from telemetry.reading import Micros, Reading
from tests.faults.devices import Device, Units

APART_US = 3_000_000
"""How far a reading's instant may lie from when its number was answered: a poll's time-out and a stalled machine."""

ENDED_US = 600_000_000
"""So long after the last reading every clock of a rule has run out."""

LOSS = ("loss_device", "loss_from", "loss_to", "loss_count", "loss_reason")

Key = tuple[str, int]


class Episode(NamedTuple):
    """An alert as two runs can be compared by it; instants as the API says them."""

    rule: str
    device: str
    opened_at: str
    cleared_at: str
    times: int


class Loss(NamedTuple):
    """A loss certificate; device ``*`` is any."""

    device: str
    first: int
    last: int
    readings: int
    reason: str

    def covers(self, key: Key) -> bool:
        return self.device in ("*", key[0]) and self.first <= key[1] <= self.last


def missing(accepted: Iterable[Key], rows: Sequence[Stored]) -> list[Key]:
    """What was accepted and is neither stored nor certified as lost."""
    there, losses = keys(rows), certificates(rows)
    return [key for key in accepted if key not in there and not any(loss.covers(key) for loss in losses)]


def judge(
    accepted: Counter[Key], rows: Sequence[Stored], devices: Sequence[Device], units: Units, *, apart_us: int | None = APART_US
) -> list[str]:
    """Everything that is wrong; ``apart_us`` of ``None`` when clocks were set and instants prove nothing."""
    found = [f"key used twice: {key}" for key, times in accepted.items() if times > 1]
    found += [f"missing: {key}" for key in missing(accepted, rows)]
    found += _miscounted(accepted, rows)
    metrics = Counter((row.device, row.at, row.metric) for row in rows)
    found += [f"stored {times} times: {metric}" for metric, times in metrics.items() if times > 1]
    for unit_id, device in enumerate(devices, 1):
        own = sorted((row.at, float(row.value or 0)) for row in rows if (row.device, row.metric) == (device.id, device.number))
        found += _untrue(unit_id, device, own, units, apart_us)
    return found


def certificates(rows: Iterable[Stored]) -> list[Loss]:
    """The loss certificates among stored rows."""
    readings: dict[Key, dict[str, object]] = defaultdict(dict)
    for row in rows:
        if row.metric.startswith("loss_"):
            readings[row.device, row.at][row.metric] = row.value
    return [
        Loss(str(device), int(str(first)), int(str(last)), int(str(count)), str(reason))
        for device, first, last, count, reason in (map(one.get, LOSS) for one in readings.values())
    ]


def unaccepted(rows: Sequence[Stored], devices: Sequence[Device], units: Units) -> Iterator[Key]:
    """Answers that no stored reading holds: each unit's device, and when it answered."""
    for unit_id, device in enumerate(devices, 1):
        there = {row.value for row in rows if row.device == device.id and row.metric == device.number}
        for number, at in units.answers(unit_id):
            if number not in there:
                yield device.id, at


def keys(rows: Iterable[Stored]) -> set[Key]:
    return {(row.device, row.at) for row in rows}


def _miscounted(accepted: Iterable[Key], rows: Sequence[Stored]) -> Iterator[str]:
    """Certificates say how much is gone: together neither more nor less than what is."""
    losses = certificates(rows)
    there = keys(rows)
    gone = sum(1 for key in accepted if key not in there and any(loss.covers(key) for loss in losses))
    certified = sum(loss.readings for loss in losses)
    if certified != gone:
        yield f"certificates speak of {certified} readings, {gone} are gone"


def _untrue(unit_id: int, device: Device, own: Sequence[tuple[int, float]], units: Units, apart_us: int | None) -> Iterator[str]:
    for at, value in own:
        answered = units.answered(unit_id, int(value))
        if answered is None:
            yield f"invented: {device.id} {value} at {at}"
        elif apart_us is not None and abs(at - answered) > apart_us:
            yield f"wrong: {device.id} {value} at {at}, answered at {answered}"
    for (at, value), (after, following) in pairwise(own) if apart_us is not None else ():
        if following <= value:
            yield f"wrong: {device.id} {following} at {after} follows {value} at {at}"
    for value, times in Counter(value for _, value in own).items():
        if times > 1:
            yield f"the answer {value} of {device.id} is stored {times} times"


class _Nobody:
    """No inventory: the rules of these tests go by kind."""

    def find(self, ref: GatewayRef, device: str) -> Known | None:
        return None

    def zone_of(self, ref: GatewayRef, device: str) -> str:
        return ""

    def edition(self, ref: GatewayRef) -> object:
        return None


def undisturbed(rows: Sequence[Stored], rules: Path, folder: Path) -> Counter[Episode]:
    """The alerts of a centre that took these readings in order and lived through nothing."""
    folder.mkdir()
    return asyncio.run(_undisturbed(rows, rules, folder))


async def _undisturbed(rows: Sequence[Stored], rules: Path, folder: Path) -> Counter[Episode]:
    database = Database(folder / "centre.db")
    try:
        engine = AlertEngine(load_rules([rules]), database, _Nobody(), lambda: None)
        await engine.open()
        readings = _readings(rows)
        if readings:
            stream = Stream("411202002001", "gw-fault", "0" * 16, "urgent")
            await engine.take([Arrival(stream, 1, readings, Micros(readings[-1].at))], readings[-1].at)
            await engine.tick(readings[-1].at + ENDED_US)
        return await _episodes(Alerts(database))
    finally:
        database.close()


def _readings(rows: Sequence[Stored]) -> list[Reading]:
    values: dict[Key, dict[str, object]] = defaultdict(dict)
    for row in rows:
        if row.value is not None:
            values[row.device, row.at][row.metric] = row.value
    kinds = {"meter": Kind.ENERGY, "alarm": Kind.SAFETY}
    return [
        Reading(device=device, kind=kinds[device.partition("-")[0]], at=Micros(at), values=said_then)  # type: ignore[arg-type]
        for (device, at), said_then in sorted(values.items(), key=lambda pair: pair[0][1])
        if device.partition("-")[0] in kinds
    ]


async def _episodes(alerts: Alerts) -> Counter[Episode]:
    found: Counter[Episode] = Counter()
    after: Cursor | None = None
    while True:
        page, after = await alerts.page(Scope(["41"]), AlertFilter(), after, 500)
        found.update(
            Episode(one.rule, one.device, said(one.opened_at) or "", said(one.cleared_at) or "", one.count) for one in page
        )
        if after is None:
            return found
