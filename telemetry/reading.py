"""What one device said at one instant."""

from collections.abc import Sequence
from typing import Annotated, NewType

import msgspec

from telemetry.identity import NAME_PATTERN, is_name
from telemetry.metric import METRICS, Kind, Value, ValueType, fault_of
from telemetry.quality import Quality

Micros = NewType("Micros", int)
"""An instant: integer microseconds since 1970, UTC. 16 digits until 2286, so exact in JSON everywhere."""

EARLIEST = 1_000_000_000_000_000
LATEST = 9_999_999_999_999_999
MAX_VALUES = 256

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, description="3 to 64 of a to z, 0 to 9 and -")]


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one device said at one instant.

    ``at`` is when the device was read or spoke, UTC microseconds; never when we sent or stored it. It is unique per
    device for ever (a tie moves by 1 us at the edge) but not increasing: histories and backward clocks are legal.
    ``values`` maps metric to value, of the type that ``telemetry.metric`` fixes for the kind; numbers are finite.
    ``quality`` is of the whole reading; ``faults`` tells of single metrics, as ``{"humidity": "bad: exception 2"}``;
    the metric ``"*"`` stands for all. (``gc=False``: a reading holds no cycle, and a centre collecting a million of them spent a
    third of its time on it.) A discrete event carries ``event`` in its values and an ``event_id``.

    The decoder does not look at ``device``: a pattern took it half of its time. ``faults_of`` does.
    """

    device: Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"pattern": NAME_PATTERN})]
    kind: Kind
    at: Annotated[int, msgspec.Meta(ge=EARLIEST, le=LATEST)]
    values: Annotated[dict[str, Value], msgspec.Meta(max_length=MAX_VALUES)]
    quality: Quality = Quality.GOOD
    faults: dict[str, str] | None = None
    event_id: Annotated[str, msgspec.Meta(max_length=128)] | None = None


_FLOATS, _BOOLS = (
    {kind: frozenset(name for name, metric in metrics.items() if metric.type is type_) for kind, metrics in METRICS.items()}
    for type_ in (ValueType.FLOAT, ValueType.BOOL)
)


def faults_of(reading: Reading) -> list[str]:
    """Everything that a store could not take about this reading; empty when it is sound."""
    found = [] if is_name(reading.device) else [f"the device id {reading.device[:80]!r} is malformed"]
    return found + [fault for name, value in reading.values.items() if (fault := fault_of(reading.kind, name, value))]


def all_sound(readings: Sequence[Reading]) -> bool:
    """Whether no reading has a fault. All that come pass here: a device is looked at once, and a value by its type."""
    if not all(map(is_name, {reading.device for reading in readings})):
        return False
    for reading in readings:
        floats, bools = _FLOATS[reading.kind], _BOOLS[reading.kind]
        for name, value in reading.values.items():
            if type(value) is float and name in floats and value - value == 0.0:  # neither infinite nor none
                continue
            if not (type(value) is bool and name in bools) and fault_of(reading.kind, name, value):
                return False
    return True


def any_said_twice(readings: Sequence[Reading]) -> bool:
    """Whether two are of one device at one instant. All that come pass here: instants alone clear most batches."""
    if len({reading.at for reading in readings}) == len(readings):
        return False
    return len({(reading.device, reading.at) for reading in readings}) < len(readings)
