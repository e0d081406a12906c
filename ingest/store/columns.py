"""Readings as the columns of the embedded store: pure.

A *series* is one metric of one device. It is written once and points name it by number, which keeps points narrow.
"""

from collections.abc import Iterable, Mapping
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
    """The numbers of one device's metrics."""

    def __init__(self, kind: str) -> None:
        self.numbers: dict[str, int] = {}
        self._kind = Kind(kind)
        self._floats: dict[tuple[str, ...], list[int]] = {}

    def floats(self, values: Mapping[str, Value]) -> list[int] | None:
        """The numbers of these metrics when all are known and all are floats: a device says the same few of them again."""
        metrics = tuple(values)
        found = self._floats.get(metrics)
        if found is None and metrics and all(map(self._is_float, metrics)):
            if len(self._floats) >= MAX_SHAPES:
                self._floats.clear()
            found = self._floats[metrics] = [self.numbers[metric] for metric in metrics]
        return found

    def _is_float(self, metric: str) -> bool:
        return metric in self.numbers and METRICS[self._kind][metric].type is ValueType.FLOAT


class Catalogue:
    """The numbers of the series: those of the file, and those that this transaction adds."""

    def __init__(self, known: Iterable[Series] = ()) -> None:
        self._places: dict[tuple[str, str, str, str], Place] = {}
        self._added: list[Series] = []
        self._last = 0
        for entry in known:
            self._place(entry[1:5]).numbers[entry.metric] = entry.id
            self._last = max(self._last, entry.id)

    def device(self, ref: GatewayRef, device: str, kind: Kind) -> Place:
        """The numbers of the metrics of one device; ``add`` what is missing."""
        return self._place((*ref, device, kind))

    def add(self, ref: GatewayRef, device: str, kind: Kind, metric: str) -> int:
        self._last = self.device(ref, device, kind).numbers[metric] = self._last + 1
        self._added.append(Series(self._last, *ref, device, kind.value, metric))
        return self._last

    def take_added(self) -> list[Series]:
        """The series added since the last call."""
        added, self._added = self._added, []
        return added

    def _place(self, name: tuple[str, str, str, str]) -> Place:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = Place(name[3])
        return place


class Points:
    """A growing block of points: most are a number of good standing, and what is rare costs those nothing.

    What all points of a reading share is kept once for each reading and repeated at the end.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._series: list[int] = []
        self._numbers: list[Any] = []
        self._no_number: list[int] = []
        self._shared: dict[str, list[int]] = {name: [] for name in ("count", "instant", "quality", "stream", "seq")}
        self._rare: dict[str, dict[int, Any]] = {name: {} for name in ("whole", "text", "reason", "event_id", "quality")}

    def __len__(self) -> int:
        return len(self._series)

    def add(self, ref: GatewayRef, stream: int, seq: int, reading: Reading) -> None:
        """Adds the points of a sound reading that came as ``seq`` of the stream numbered ``stream``."""
        first, values = len(self._series), reading.values
        device = self._catalogue.device(ref, reading.device, reading.kind)
        if not reading.faults and reading.event_id is None and (numbers := device.floats(values)):
            self._series += numbers
            self._numbers += values.values()
        else:
            self._add_facts(device, ref, reading)
        shared = self._shared
        shared["count"].append(len(self._series) - first)
        shared["instant"].append(reading.at)
        shared["quality"].append(_CODE[reading.quality])
        shared["stream"].append(stream)
        shared["seq"].append(seq)

    def columns(self) -> Mapping[str, Column]:
        """One array a column, masked or ``None`` where a point has no such value; what no point has is left out."""
        counts = np.array(self._shared["count"], dtype=np.int64)
        columns: dict[str, Column] = {
            name: np.repeat(np.array(self._shared[name], dtype=np.int64), counts)
            for name in ("instant", "quality", "stream", "seq")
        }
        columns["series"] = np.array(self._series, dtype=np.int64)
        for place, code in self._rare["quality"].items():
            columns["quality"][place] = code
        no_number = np.zeros(len(self), dtype=bool)
        no_number[self._no_number] = True
        columns["number"] = np.ma.MaskedArray(np.array(self._numbers, dtype=np.float64), no_number)
        if self._rare["whole"]:
            columns["whole"] = _masked(self._rare["whole"], len(self), np.int64)
        texts = ("text", "reason", "event_id")
        return columns | {name: _texts(self._rare[name], len(self)) for name in texts if self._rare[name]}

    def _add_facts(self, device: "Place", ref: GatewayRef, reading: Reading) -> None:
        rare = self._rare
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
