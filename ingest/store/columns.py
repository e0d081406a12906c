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
_CODE = {quality: code for code, quality in enumerate(QUALITIES)}


class Series(NamedTuple):
    """One metric of one device, as it stands in the table of series."""

    id: int
    community: str
    gateway: str
    device: str
    kind: str
    metric: str


class Catalogue:
    """The numbers of the series: those of the file, and those that this transaction adds."""

    def __init__(self, known: Iterable[Series] = ()) -> None:
        self._devices: dict[tuple[str, str, str, str], dict[str, int]] = {}
        self._added: list[Series] = []
        self._last = 0
        for entry in known:
            self._devices.setdefault(entry[1:5], {})[entry.metric] = entry.id
            self._last = max(self._last, entry.id)

    def device(self, ref: GatewayRef, device: str, kind: Kind) -> dict[str, int]:
        """The numbers of the metrics of one device; ``add`` what is missing."""
        return self._devices.setdefault((*ref, device, kind.value), {})

    def add(self, ref: GatewayRef, device: str, kind: Kind, metric: str) -> int:
        self._last = self.device(ref, device, kind)[metric] = self._last + 1
        self._added.append(Series(self._last, *ref, device, kind.value, metric))
        return self._last

    def take_added(self) -> list[Series]:
        """The series added since the last call."""
        added, self._added = self._added, []
        return added


class Points:
    """A growing block of points. What most points have not (text, reason, ...) is kept apart and costs them nothing."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._dense: dict[str, list[int]] = {name: [] for name in ("series", "instant", "quality", "stream", "seq")}
        self._sparse: dict[str, dict[int, Any]] = {name: {} for name in ("number", "whole", "text", "reason", "event_id")}

    def __len__(self) -> int:
        return len(self._dense["instant"])

    def add(self, ref: GatewayRef, stream: int, seq: int, reading: Reading) -> None:
        """Adds the points of a sound reading that came as ``seq`` of the stream numbered ``stream``."""
        dense, sparse, first = self._dense, self._sparse, len(self)
        numbers = self._catalogue.device(ref, reading.device, reading.kind)
        for place, (metric, value, quality, reason) in enumerate(facts(reading.values, reading.quality, reading.faults), first):
            number = numbers.get(metric)
            dense["series"].append(number or self._catalogue.add(ref, reading.device, reading.kind, metric))
            dense["quality"].append(_CODE[quality])
            if value is not None:
                sparse[_column(reading.kind, metric, value)][place] = value
            if reason:
                sparse["reason"][place] = reason
            if reading.event_id is not None:
                sparse["event_id"][place] = reading.event_id
        count = len(dense["series"]) - first
        dense["instant"] += [reading.at] * count
        dense["stream"] += [stream] * count
        dense["seq"] += [seq] * count

    def columns(self) -> Mapping[str, Column]:
        """One array a column, masked or ``None`` where a point has no such value."""
        sparse = self._sparse
        return {
            **{name: np.array(values, dtype=np.int64) for name, values in self._dense.items()},
            "number": _masked(sparse["number"], len(self), np.float64),
            "whole": _masked(sparse["whole"], len(self), np.int64),
            **{name: _texts(sparse[name], len(self)) for name in ("text", "reason", "event_id")},
        }


def _column(kind: Kind, metric: str, value: Value) -> str:
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
