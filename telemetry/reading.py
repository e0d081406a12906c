"""What one device said at one instant."""

from math import isfinite
from typing import Annotated, NewType

import msgspec

from telemetry.identity import NAME_PATTERN
from telemetry.metric import METRICS, Kind, Value, ValueType, fault_of
from telemetry.quality import Quality

Micros = NewType("Micros", int)
"""An instant: integer microseconds since 1970, UTC. 16 digits until 2286, so exact in JSON everywhere."""

EARLIEST = 1_000_000_000_000_000
LATEST = 9_999_999_999_999_999
MAX_VALUES = 256

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one device said at one instant.

    ``at`` is when the device was read or spoke, UTC microseconds; never when we sent or stored it. It is unique per
    device for ever (a tie moves by 1 us at the edge) but not increasing: histories and backward clocks are legal.
    ``values`` maps metric to value, of the type that ``telemetry.metric`` fixes for the kind; numbers are finite.
    ``quality`` is of the whole reading; ``faults`` tells of single metrics, as ``{"humidity": "bad: exception 2"}``;
    the metric ``"*"`` stands for all. (``gc=False``: a reading holds no cycle, and a centre collecting a million of them spent a
    third of its time on it.) A discrete event carries ``event`` in its values and an ``event_id``.
    """

    device: Name
    kind: Kind
    at: Annotated[int, msgspec.Meta(ge=EARLIEST, le=LATEST)]
    values: Annotated[dict[str, Value], msgspec.Meta(max_length=MAX_VALUES)]
    quality: Quality = Quality.GOOD
    faults: dict[str, str] | None = None
    event_id: Annotated[str, msgspec.Meta(max_length=128)] | None = None


_PYTHON = {ValueType.FLOAT: float, ValueType.BOOL: bool, ValueType.INT: int, ValueType.TEXT: str}
_TYPES = {kind: {name: _PYTHON[metric.type] for name, metric in metrics.items()} for kind, metrics in METRICS.items()}


def faults_of(reading: Reading) -> list[str]:
    """Everything that a store could not take about this reading; empty when it is sound.

    Every reading passes here, so what most values are is told by their type alone.
    """
    found: list[str] = []
    types = _TYPES[reading.kind]
    for name, value in reading.values.items():
        said = type(value)
        if said is types.get(name) and (said is bool or (isinstance(value, float) and isfinite(value))):
            continue
        if fault := fault_of(reading.kind, name, value):
            found.append(fault)
    return found
