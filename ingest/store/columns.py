"""Readings as the columns of the embedded store: pure.

A *series* is one metric of one device. It is written once and points name it by number, which keeps points narrow.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.store.facts import facts
from telemetry.identity import GatewayRef
from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.quality import Quality
from telemetry.reading import Reading

Column = NDArray[Any]
QUALITIES = tuple(Quality)
MAX_SHAPES = 64
_CODE = {quality: code for code, quality in enumerate(QUALITIES)}


class Series(NamedTuple):
    """One metric of one device, as it stands in the table of series."""

    id: int
    community: str
    gateway: str
    device: str
    kind: str
    metric: str


class Place:
    """The numbers of one device's metrics. ``floats`` has those of some metrics told together, when all are floats."""

    def __init__(self, kind: str) -> None:
        self.numbers: dict[str, int] = {}
        self.floats: dict[tuple[str, ...], list[int]] = {}
        self._kind = Kind(kind)

    def learn(self, values: Mapping[str, Value]) -> None:
        """Remembers the numbers of these metrics when all are floats: a device says the same few of them again."""
        if values and all(METRICS[self._kind][metric].type is ValueType.FLOAT for metric in values):
            if len(self.floats) >= MAX_SHAPES:
                self.floats.clear()
            self.floats[tuple(values)] = [self.numbers[metric] for metric in values]


Places = dict[tuple[str, str], Place]
"""By device and kind."""


class Catalogue:
    """The numbers of the series: those of the file, and those that this transaction adds."""

    def __init__(self, known: Iterable[Series] = ()) -> None:
        self._gateways: dict[tuple[str, str], Places] = {}
        self._added: list[Series] = []
        self._last = 0
        for entry in known:
            self.device(GatewayRef(entry.community, entry.gateway), entry.device, entry.kind).numbers[entry.metric] = entry.id
            self._last = max(self._last, entry.id)

    def places(self, ref: GatewayRef) -> Places:
        """All that is known of one gateway's devices."""
        return self._gateways.setdefault(ref, {})

    def device(self, ref: GatewayRef, device: str, kind: str) -> Place:
        """The numbers of the metrics of one device; ``add`` what is missing."""
        places = self.places(ref)
        place = places.get((device, kind))
        if place is None:
            place = places[device, kind] = Place(kind)
        return place

    def add(self, ref: GatewayRef, device: str, kind: Kind, metric: str) -> int:
        self._last = self.device(ref, device, kind).numbers[metric] = self._last + 1
        self._added.append(Series(self._last, *ref, device, kind.value, metric))
        return self._last

    def take_added(self) -> list[Series]:
        """The series added since the last call."""
        added, self._added = self._added, []
        return added


class Points:
    """A growing block of points: most are a number of good standing, and what is rare costs those nothing.

    What all points of a reading share is kept once for each reading and repeated at the end, and so for a batch.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._series: list[int] = []
        self._numbers: list[Any] = []
        self._no_number: list[int] = []
        self._counts: list[int] = []
        self._instants: list[int] = []
        self._qualities: list[int] = []
        self._batches: list[tuple[int, int, int]] = []
        self._rare: dict[str, dict[int, Any]] = {name: {} for name in ("whole", "text", "reason", "event_id", "quality")}

    def __len__(self) -> int:
        return len(self._series)

    def add(self, ref: GatewayRef, stream: int, seq: int, readings: Sequence[Reading]) -> None:
        """Adds the points of sound readings that came as ``seq`` of the stream numbered ``stream``."""
        places = self._catalogue.places(ref)
        series, numbers, counts, first = self._series, self._numbers, self._counts, len(self._series)
        for reading in readings:
            values = reading.values
            place = places.get((reading.device, reading.kind))
            if place and not reading.faults and reading.event_id is None and (known := place.floats.get(tuple(values))):
                series += known
                numbers += values.values()
                counts.append(len(known))
            else:
                counts.append(self._add_facts(ref, reading))
        self._instants += [reading.at for reading in readings]
        self._qualities += [_CODE[reading.quality] for reading in readings]
        self._batches.append((stream, seq, len(series) - first))

    def columns(self) -> Mapping[str, Column]:
        """One array a column, masked or ``None`` where a point has no such value; what no point has is left out."""
        counts, points = _packed("q", self._counts), len(self)
        stream, seq, sizes = np.array(self._batches, np.int64).reshape(-1, 3).T
        columns: dict[str, Column] = {
            "instant": np.repeat(_packed("q", self._instants), counts),
            "quality": np.repeat(_packed("B", self._qualities), counts),
            "stream": np.repeat(stream, sizes),
            "seq": np.repeat(seq, sizes),
            "series": _packed("q", self._series),
            "number": _packed("d", self._numbers),
        }
        for place, code in self._rare["quality"].items():
            columns["quality"][place] = code
        if self._no_number:
            absent = np.zeros(points, dtype=bool)
            absent[self._no_number] = True
            columns["number"] = np.ma.MaskedArray(columns["number"], absent)
        if self._rare["whole"]:
            columns["whole"] = _masked(self._rare["whole"], points, np.int64)
        texts = ("text", "reason", "event_id")
        return columns | {name: _texts(self._rare[name], points) for name in texts if self._rare[name]}

    def _add_facts(self, ref: GatewayRef, reading: Reading) -> int:
        """The points of any reading, one by one; how many."""
        rare, first = self._rare, len(self._series)
        device = self._catalogue.device(ref, reading.device, reading.kind)
        for metric, value, quality, reason in facts(reading.values, reading.quality, reading.faults):
            place = len(self._series)
            number = device.numbers.get(metric)
            self._series.append(number or self._catalogue.add(ref, reading.device, reading.kind, metric))
            column = _column(reading.kind, metric, value)
            self._numbers.append(value if column == "number" else 0.0)
            if column != "number":
                self._no_number.append(place)
            if column not in ("number", ""):
                rare[column][place] = value
            if quality is not reading.quality:
                rare["quality"][place] = _CODE[quality]
            if reason:
                rare["reason"][place] = reason
            if reading.event_id is not None:
                rare["event_id"][place] = reading.event_id
        if not reading.faults:
            device.learn(reading.values)
        return len(self._series) - first


def _packed(code: str, numbers: list[Any]) -> Column:
    """As numpy would make it of the list, which it reads twice."""
    return np.frombuffer(array(code, numbers), code)


def _column(kind: Kind, metric: str, value: Value | None) -> str:
    """Where a value stands; ``""`` where there is none."""
    if value is None:
        return ""
    if type(value) is float:
        return "number"
    if isinstance(value, str):
        return "text"
    return "number" if METRICS[kind][metric].type is ValueType.FLOAT else "whole"


def _masked(values: Mapping[int, float], size: int, dtype: type[np.generic]) -> Column:
    places = np.fromiter(values.keys(), np.int64, len(values))
    numbers, absent = np.zeros(size, dtype), np.ones(size, dtype=bool)
    numbers[places] = np.fromiter(values.values(), dtype, len(values))
    absent[places] = False
    return np.ma.MaskedArray(numbers, absent)


def _texts(values: Mapping[int, str], size: int) -> Column:
    column = np.full(size, None, dtype=object)
    for place, text in values.items():
        column[place] = text
    return column
