"""A device model as the programs use it: checked, in canonical units, with its decoders made. Frozen.

Profiles and points are compared by identity: one loaded profile is one value, and a key for what is compiled from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from device_profiles.conversion import Conversion
from device_profiles.format import ModbusMap, ParameterDocument, Personal, ScaleFrom, Table
from device_profiles.format_examples import Examples
from device_profiles.formula import Formula
from device_profiles.payload import Condition, Path, Take
from device_profiles.registers import Codec, WordsOnWire
from telemetry.metric import METRICS, Kind, ValueType
from telemetry.presence import Words


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """Where a point stands: ``count`` words from the wire address ``address``. ``sentinels`` are words that mean nothing."""

    table: Table
    address: int
    count: int
    codec: Codec
    sentinels: frozenset[WordsOnWire] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """What other points a value hangs on. ``units`` maps a code to the line from the device's number to the metric's unit."""

    scale: ScaleFrom | None = None
    unit: str | None = None
    units: Mapping[int, tuple[Fraction, Fraction]] = field(default_factory=dict)
    valid_when: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def points(self) -> frozenset[str]:
        named = {self.scale.point if self.scale else None, self.unit, *self.valid_when}
        return frozenset(name for name in named if name is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Derivation:
    """How a value is worked out of ``points`` and of what the site gave."""

    formula: Formula
    points: frozenset[str]
    given: Mapping[str, float] = field(default_factory=dict)

    def value(self, known: Mapping[str, object]) -> bool | int | float:
        """Raises ``Unfit`` with the reason where it cannot be."""
        return self.formula.value({**known, **self.given})


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One value of a device. ``metric`` ``None`` is a helper, read for other points and never emitted.

    ``unit``, ``deadband`` and ``range`` are the metric's own unit. A change smaller than ``deadband`` is not worth a reading
    (0: any change is), but one is due every ``heartbeat_s``. ``interval_s`` is 0 for a device that speaks when it likes.
    ``elsewhere``: where the same words stand too. A point with a ``derivation`` is worked out of others. ``wrap``: where a
    counter starts again, in the metric's unit. ``times``: the parameters of the site that its value is multiplied by.
    """

    name: str
    metric: str | None
    unit: str
    interval_s: float
    deadband: float
    heartbeat_s: float
    urgent: bool
    range: tuple[float, float] | None
    type: ValueType | None
    conversion: Conversion
    register: Register | None = None
    dependence: Dependence | None = None
    personal: Personal | None = None
    elsewhere: tuple[Register, ...] = ()
    derivation: Derivation | None = None
    wrap: float | None = None
    times: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[Register, ...]:
        """Everywhere in the registers that its words stand, the preferred place first."""
        return () if self.register is None else (self.register, *self.elsewhere)

    @property
    def is_polled(self) -> bool:
        """Whether requests are needed for its value: it stands in registers, or is worked out of points that do."""
        return self.register is not None or self.derivation is not None

    @property
    def needs(self) -> frozenset[str]:
        """Other points that must be read with it."""
        others = self.dependence.points if self.dependence else frozenset()
        return others | self.derivation.points if self.derivation else others

    @property
    def metrics(self) -> tuple[str, ...]:
        """Everything it emits: its metric, and for an identifier the keyed hash beside it."""
        if self.metric is None:
            return ()
        if self.personal in (Personal.PLATE, Personal.CREDENTIAL):
            return (self.metric, f"{self.metric}_ref")
        return (self.metric,)


class Pick(NamedTuple):
    """One point out of a payload; ``take`` finds its raw value."""

    point: Point
    take: Take
    conversion: Conversion


class Clock(NamedTuple):
    """Where a message tells its time and how far it is believed; see ``device_profiles.clock``."""

    path: Path
    format: str
    zone: str
    past_us: int
    future_us: int


@dataclass(frozen=True, slots=True, eq=False)
class MessageRule:
    """One meaning of one kind of message, with paths and conditions compiled. ``topic`` still holds its parameters."""

    topic: str
    json: bool
    conditions: tuple[Condition, ...]
    any_changed: tuple[tuple[Path, Path], ...]
    each: Path | None
    event: str | tuple[Path, Mapping[str, str]] | None
    event_id: tuple[Take, ...]
    clock: Clock | None
    retained: str
    require: tuple[str, ...]
    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MqttMap:
    """``parameters``: the names that a device's address must fill; it may fill those of ``defaults`` and ``optional`` too.

    Those in ``deep`` may span several levels of a topic; those in ``optional`` are values that the site alone knows.
    """

    rules: tuple[MessageRule, ...]
    parameters: frozenset[str]
    defaults: Mapping[str, str]
    deep: frozenset[str]
    interval_s: float
    optional: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Every parameter that an address may give."""
        return self.parameters | self.defaults.keys() | self.optional


class Sampling(NamedTuple):
    """How a metric is thinned; in the metric's unit and in seconds."""

    deadband: float
    heartbeat_s: float
    urgent: bool
    interval_s: float


@dataclass(frozen=True, eq=False)
class Profile:
    """Everything known of one device model."""

    id: str
    version: int
    kind: Kind
    vendor: str
    model: str
    name: Words
    points: Mapping[str, Point]
    modbus: ModbusMap | None
    mqtt: MqttMap | None
    confidence: str
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    examples: Examples
    parameters: Mapping[str, ParameterDocument] = field(default_factory=dict)

    @cached_property
    def derived(self) -> tuple[Point, ...]:
        """The points that are worked out of others."""
        return tuple(point for point in self.points.values() if point.derivation is not None)

    @cached_property
    def doubled(self) -> bool:
        """Whether a point stands in several places."""
        return any(point.elsewhere for point in self.points.values())

    @cached_property
    def metrics(self) -> Mapping[str, str]:
        """Every metric it can emit, with its unit."""
        names = [name for point in self.points.values() for name in point.metrics]
        if self.mqtt is not None and any(rule.event is not None for rule in self.mqtt.rules):
            names.insert(0, "event")
        return {name: METRICS[self.kind][name].unit for name in names}

    @cached_property
    def sampling(self) -> Mapping[str, Sampling]:
        """How each metric is thinned."""
        return {
            name: Sampling(point.deadband, point.heartbeat_s, point.urgent, point.interval_s)
            for point in self.points.values()
            for name in point.metrics
        }


def sampling(profile: Profile) -> Mapping[str, Sampling]:
    """How each metric of a profile is thinned."""
    return profile.sampling
