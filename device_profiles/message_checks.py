"""Everything wrong with the messages of a profile document: topics, paths, events, times, and what they fill."""

from device_profiles import topics
from device_profiles.clock import zone_named
from device_profiles.faults import Faults
from device_profiles.format import ProfileDocument
from device_profiles.format_mqtt import DeviceTime, EventFrom, MessageDocument, Source
from device_profiles.payload import parameter_of, path, take
from device_profiles.resolve import messages, metric_of
from telemetry.document import nearest
from telemetry.unit import UNITS, convertible


def check_messages(document: ProfileDocument, faults: Faults) -> None:
    """Everything wrong with the messages and the defaults of their topics."""
    if document.mqtt is None:
        return
    for number, message in enumerate(document.mqtt.messages):
        _check_message(document, message, f"mqtt.messages[{number}]", faults)
    known = parameters(document)
    for name in sorted(document.mqtt.defaults.keys() - known):
        faults.add(f"mqtt.defaults.{name}", "no topic has this parameter", nearest(name, known))


def _check_message(document: ProfileDocument, message: MessageDocument, here: str, faults: Faults) -> None:
    if (message.topic is None) is (message.carrier is None):
        faults.add(here, "give either a topic or a carrier")
    for fault in topics.faults(message.topic or ""):
        faults.add(f"{here}.topic", fault)
    for where in message.when:
        faults.attempt(f"{here}.when.{where}", lambda where=where: path(where))  # type: ignore[misc]  # bound at once
    for pair in message.any_changed.items():
        for where in pair:
            faults.attempt(f"{here}.any_changed", lambda where=where: path(where))  # type: ignore[misc]  # bound at once
    if message.each:
        faults.attempt(f"{here}.each", lambda: path(message.each))
    for name, source in message.values.items():
        if name not in document.points:
            faults.add(f"{here}.values.{name}", f"no point {name!r}", nearest(name, document.points))
        faults.attempt(f"{here}.values.{name}", lambda source=source: take(source))  # type: ignore[misc]  # bound at once
        if isinstance(source, Source) and source.unit is not None:
            _check_unit(document, name, source.unit, f"{here}.values.{name}.unit", faults)
    for name in message.require:
        if name not in message.values:
            faults.add(f"{here}.require", f"{name!r} is not among the values", nearest(name, message.values))
    if not message.values and message.event is None:
        faults.add(here, "it says nothing", "give values or an event")
    _check_event(message, here, faults)
    if message.time is not None:
        _check_time(message.time, f"{here}.time", faults)


def _check_event(message: MessageDocument, here: str, faults: Faults) -> None:
    for source in message.event_id:
        faults.attempt(f"{here}.event_id", lambda source=source: take(source))  # type: ignore[misc]  # bound at once
    if message.event is None and message.event_id:
        faults.add(f"{here}.event_id", "there is no event")
    if isinstance(message.event, EventFrom):
        where = message.event.path
        faults.attempt(f"{here}.event.path", lambda: path(where))
    if message.event is not None and message.retained not in (None, "ignore"):
        faults.add(f"{here}.retained", "a retained copy is never an event", "leave it out")


def _check_unit(document: ProfileDocument, name: str, unit: str, where: str, faults: Faults) -> None:
    point = document.points.get(name)
    metric = None if point is None else metric_of(document.kind, name, point)
    if unit not in UNITS:
        faults.add(where, f"no unit {unit!r}", nearest(unit, UNITS))
    elif metric is not None and not convertible(unit, metric.unit):
        faults.add(where, f"{unit!r} does not convert to the metric's {metric.unit or 'plain number'!r}")


def _check_time(time: DeviceTime, here: str, faults: Faults) -> None:
    faults.attempt(f"{here}.path", lambda: path(time.path))
    faults.attempt(f"{here}.zone", lambda: zone_named(time.zone))


def parameters(document: ProfileDocument) -> set[str]:
    """The parameters that an address may give: those of all topics, and those that are values themselves."""
    return _named(document) | values(document)


def values(document: ProfileDocument) -> set[str]:
    """The parameters that are values of points alone; an address may leave them out."""
    sources = (one for message in messages(document) for one in message.values.values())
    found = {name for source in sources if isinstance(source, Source) and (name := parameter_of(source.value))}
    return found - _named(document)


def _named(document: ProfileDocument) -> set[str]:
    return {name for message in messages(document) for name in topics.names(message.topic or "")}
