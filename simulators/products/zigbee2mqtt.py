"""A Zigbee2MQTT bridge with its sensors.

Every report repeats all cached fields of a sensor; ``contact: true`` means closed; availability and the bridge's state are
retained, reports are not. Whatever it has cached it publishes again, with unknown age, when it has connected.
"""

from collections.abc import Mapping
from typing import NamedTuple

from simulators.products.post import Moment, Post, Said, beats, compact
from simulators.scenario import Cue, Report, Scenario, reported
from telemetry.metric import Value

ONLINE, OFFLINE = b'{"state":"online"}', b'{"state":"offline"}'


class Sensor(NamedTuple):
    """``fields`` is what it reports before the story changes anything."""

    device: str
    name: str
    fields: Mapping[str, Value]
    report_every_s: float


class Zigbee2Mqtt:
    """``base`` is the bridge's base topic."""

    def __init__(self, base: str, sensors: Mapping[str, Sensor], scenario: Scenario) -> None:
        self._base = base
        self._sensors = sensors
        self._scenario = scenario

    @property
    def name(self) -> str:
        return f"sim-{self._base.replace('/', '-')}"

    def will(self) -> Post:
        return Post(f"{self._base}/bridge/state", OFFLINE, retain=True)

    def greet(self, moment: Moment) -> tuple[Post, ...]:
        present = [Post(f"{self._base}/{sensor.name}/availability", ONLINE, retain=True) for sensor in self._sensors.values()]
        cached = [self._report(sensor, moment.virtual) for sensor in self._sensors.values()]
        return (Post(f"{self._base}/bridge/state", ONLINE, retain=True), *present, *cached)

    def beat(self, after: float, moment: Moment) -> tuple[Post, ...]:
        due = (sensor for sensor in self._sensors.values() if beats(sensor.report_every_s, after, moment.virtual))
        return tuple(self._report(sensor, moment.virtual) for sensor in due)

    def say(self, cue: Cue, moment: Moment) -> tuple[Post, ...]:
        assert isinstance(cue.step, Report)
        return (self._report(self._sensors[cue.step.device], cue.at),)

    def _report(self, sensor: Sensor, virtual: float) -> Post:
        fields = {**sensor.fields, **reported(self._scenario, sensor.device, virtual)}
        return Post(f"{self._base}/{sensor.name}", compact(fields), said=Said(sensor.device, meaning(fields), event=False))


def meaning(fields: Mapping[str, Value]) -> dict[str, Value]:
    """The values that tell a person something: an open door, water, smoke, a low battery."""
    values = {name: fields[name] for name in ("water_leak", "smoke", "battery_low") if name in fields}
    if "contact" in fields:
        values["door_open"] = not fields["contact"]
    return values
