"""The tables of rule tests as YAML says them, and the batches that a gateway would make of a case."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ingest.alerts.notation import seconds, words
from ingest.alerts.severity import Colour
from ingest.arrival import Arrival
from telemetry.document import nearest
from telemetry.identity import Stream
from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.presence import Device, Words
from telemetry.privacy import reference
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

GATEWAY = "gw-trial-1"
START = "2026-03-02T09:00:00+08:00"
"""A Monday that is worked; the second 0 of a case that names no other."""

KEY = b"k" * 32
"""The privacy key of every community here: what lists are hashed with."""

DELAY_US = 100_000
"""From a reading to its arrival."""

BEATS = 60
"""Words of the gateway itself over a long case."""

Time = float | str


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    kind: Kind
    zone: str = ""
    profile: str = "test"
    interval_s: float | None = None
    metrics: tuple[str, ...] = ()


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reading; or with ``trace`` (metric to series) one every ``every`` from ``at`` on. ``values`` stand in each of them.
    ``silent``: the gateway says the device does not answer; ``stale``: of unknown age."""

    at: Time
    device: str
    values: dict[str, Value] = {}
    trace: dict[str, str] = {}
    every: Time = 1.0
    silent: bool = False
    stale: bool = False


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``cleared`` missing: its condition still holds, or it is latched. ``colour`` is the last one, ``graded`` when it changed;
    ``says`` stands in its English or Chinese text. What is left out of the last four is not looked at."""

    rule: str
    device: str
    opened: Time
    cleared: Time | None = None
    count: int = 1
    value: Value | None = None
    colour: Colour | None = None
    graded: tuple[Time, ...] | None = None
    says: str | None = None


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``beats``: from when to when the gateway speaks of itself; ``epochs``: when its agent restarts. ``trap`` is the false
    alarm of the catalogue that it shows to be none, as ``door_forced/exit_button``."""

    name: str
    series: tuple[Said, ...]
    until: Time
    expect: tuple[Expected, ...]
    beats: tuple[tuple[Time, Time], ...] = ()
    epochs: tuple[Time, ...] = ()
    start: str | None = None
    trap: str | None = None


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``files`` are rules from this file's folder, ``rules`` more of them, ``more`` what else a rules file may say, as
    ``schedules``; ``lists``: what stands on a list, in place of its file; ``about``: whose episodes count here, or all."""

    devices: tuple[Place, ...]
    cases: tuple[Case, ...]
    files: tuple[str, ...] = ()
    rules: Any = None
    more: dict[str, Any] = {}
    lists: dict[str, tuple[str, ...]] = {}
    about: tuple[str, ...] = ()


def arrivals_of(table: Table, case: Case, community: str, start: int, *, beats: bool) -> list[Arrival]:
    """Each reading as a batch of its own, as soon as it is said; with ``beats`` those of the gateway itself."""
    kinds = {place.id: place.kind for place in table.devices}
    readings = [reading for said in case.series for reading in _readings(said, kinds[said.device], start)]
    if beats:
        readings += _beats(case, start)
    numbers: dict[Stream, int] = {}
    arrivals = []
    for one in sorted(readings, key=lambda one: one.at):
        epoch = 1 + sum(start + micros_of(epoch) <= one.at for epoch in case.epochs)
        urgent = one.kind in (Kind.ACCESS, Kind.SAFETY) or "event" in one.values
        stream = Stream(community, GATEWAY, f"{epoch:016x}", "urgent" if urgent else "bulk")
        numbers[stream] = numbers.get(stream, 0) + 1
        arrivals.append(Arrival(stream, numbers[stream], (one,), Micros(one.at + DELAY_US)))
    return arrivals


def _beats(case: Case, start: int) -> Iterator[Reading]:
    """What the gateway says of itself: absence is measured by it."""
    for first, last in case.beats or ((0.0, case.until),):
        begin, span = seconds(first), seconds(last) - seconds(first)
        step = max(5.0, span / BEATS)
        for number in range(int(span // step)):
            yield _reading(start + micros_of(begin + step * number + 0.5), GATEWAY, Kind.GATEWAY, {"unsent": 0})


def _readings(said: Said, kind: Kind, start: int) -> Iterator[Reading]:
    at = start + micros_of(said.at)
    if not said.trace:
        yield _reading(at, said.device, kind, said.values, "silent" if said.silent else "stale" if said.stale else "")
        return
    for number, row in enumerate(_rows(said.trace)):
        values = {name: _as_metric(kind, name, word.value) for name, word in row.items() if word.value is not None}
        mark = next((word.said for word in row.values() if word.said), "")
        if values or mark:
            yield _reading(at + number * micros_of(said.every), said.device, kind, {**said.values, **values}, mark)


def _rows(trace: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    series = {name: words(text) for name, text in trace.items()}
    for number in range(max(map(len, series.values()))):
        yield {name: found[number] for name, found in series.items() if number < len(found)}


def _as_metric(kind: Kind, name: str, value: Value) -> Value:
    """A number of a series as whole as its metric is."""
    is_whole = METRICS[kind][name].type is ValueType.INT
    return int(value) if is_whole and isinstance(value, float) else value


def _reading(at: int, device: str, kind: Kind, values: Mapping[str, Value], said: str = "") -> Reading:
    quality = {"silent": Quality.BAD, "stale": Quality.STALE}.get(said, Quality.GOOD)
    faults = {"*": "no answer"} if said == "silent" else None
    shown = {} if said == "silent" else {name: _referred(value) for name, value in values.items()}
    return Reading(device=device, kind=kind, at=Micros(at), values=shown, quality=quality, faults=faults)


def _referred(value: Value) -> Value:
    """``ref:京A12345`` is said as the gateway says it: as its keyed hash."""
    return reference(value.removeprefix("ref:"), KEY) if isinstance(value, str) and value.startswith("ref:") else value


def device_of(place: Place) -> Device:
    words = Words(f"{place.id}处", f"the {place.id}")
    units = {name: METRICS[place.kind][name].unit for name in place.metrics}
    return Device(
        id=place.id,
        kind=place.kind,
        profile=place.profile,
        zone=place.zone,
        place=words,
        interval_s=place.interval_s,
        metrics=units,
    )


def table_faults(table: Table) -> Iterator[tuple[str, str, str]]:
    """Everything wrong with a table beyond its shape: path, reason, cure."""
    kinds = {place.id: place.kind for place in table.devices}
    names = [case.name for case in table.cases]
    for number, device in enumerate(table.devices):
        for name in device.metrics:
            if name not in METRICS[device.kind]:
                yield f"devices[{number}].metrics", f"{device.kind} has no metric {name!r}", nearest(name, METRICS[device.kind])
    for number, case in enumerate(table.cases):
        here = f"cases[{number}]"
        if names.index(case.name) != number:
            yield f"{here}.name", f"{case.name!r} stands twice", "each case has a name of its own"
        yield from _refused(f"{here}.start", instant, case.start or START)
        yield from _refused(f"{here}.until", seconds, case.until)
        for place, one in enumerate(case.expect):
            for name in ("opened", "cleared"):
                yield from _refused(f"{here}.expect[{place}].{name}", seconds, getattr(one, name) or 0.0)
        for place, said in enumerate(case.series):
            yield from _said_faults(said, kinds, f"{here}.series[{place}]")


def _said_faults(said: Said, kinds: Mapping[str, Kind], path: str) -> Iterator[tuple[str, str, str]]:
    yield from _refused(f"{path}.at", seconds, said.at)
    yield from _refused(f"{path}.every", seconds, said.every)
    if said.device not in kinds:
        yield f"{path}.device", f"no device {said.device!r}", nearest(said.device, kinds)
        return
    known = METRICS[kinds[said.device]]
    for name in {**said.values, **said.trace}:
        if name not in known:
            yield path, f"{kinds[said.device]} has no metric {name!r}", nearest(name, known)
    for name, text in said.trace.items():
        yield from _refused(f"{path}.trace.{name}", words, text)


def _refused(path: str, reader: Callable[[Any], object], text: object) -> Iterator[tuple[str, str, str]]:
    try:
        reader(text)
    except ValueError as error:
        yield path, str(error), ""


def instant(text: str) -> int:
    """UTC microseconds. Raises ``ValueError`` for what is none, or says no time zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} says no time zone, as {START}")
    return round(at.timestamp() * 1_000_000)


def micros_of(time: Time) -> int:
    return round(seconds(time) * 1_000_000)
