"""LoRaWAN network servers: where each puts the decoded object of an uplink, and everything around it.

A profile says what the object means; here stands how ChirpStack (v4) and The Things Stack (v3) bring it. A device's
address is the topic of its uplinks without the last part, as either server shows it, so one profile serves both.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from device_profiles.format_base import Scalar
from device_profiles.format_mqtt import Absent, Check, DeviceTime, EventFrom, MessageDocument, Source


class Carrier(NamedTuple):
    """How one network server tells an uplink. ``object`` is the path of what the device's codec decoded.

    ``time`` is when the uplink was received, not when it was measured. ``told_once``: the key of an uplink.
    """

    name: str
    topic: str
    object: str
    time: str
    rssi: str
    told_once: tuple[str | Source, ...]

    def envelope(self, decoded: Mapping[str, Any], received: str) -> dict[str, Any]:
        """A message around a decoded object, as small as it may be; for examples."""
        if self is CHIRPSTACK:
            return {"deduplicationId": "an-uplink", "time": received, "object": decoded}
        ids = {"dev_eui": "0000000000000001"}
        return {"end_device_ids": ids, "uplink_message": {"received_at": received, "decoded_payload": decoded}}


CHIRPSTACK = Carrier(
    "ChirpStack v4",
    "{device...}/event/up",
    "object",
    "time",
    "rxInfo[0].rssi",
    ("deduplicationId",),
)
# The Things Stack leaves out what is zero: the first frame after a join has no f_cnt.
THE_THINGS_STACK = Carrier(
    "The Things Stack v3",
    "{device...}/up",
    "uplink_message.decoded_payload",
    "uplink_message.received_at",
    "uplink_message.rx_metadata[0].rssi",
    (
        "end_device_ids.dev_eui",
        Source(path="uplink_message.f_cnt", absent=Absent.ZERO),
        "uplink_message.received_at",
    ),
)
LORAWAN = (CHIRPSTACK, THE_THINGS_STACK)


def expanded(message: MessageDocument, points: Collection[str]) -> Iterator[MessageDocument]:
    """A message of a decoded object as each network server brings it. A point ``rssi`` is taken from the server."""
    for carrier in LORAWAN:
        yield _brought(message, carrier, points)


def _brought(message: MessageDocument, carrier: Carrier, points: Collection[str]) -> MessageDocument:
    inner = not message.each  # inside a list, paths are seen from its elements

    def place(path: str) -> str:
        return _within(path, carrier) if inner else path

    values: dict[str, str | Source] = {
        name: _moved(source, carrier) if inner else source for name, source in message.values.items()
    }
    if inner and message.event is None and "rssi" in points:
        values.setdefault("rssi", carrier.rssi)
    when: dict[str, Scalar | tuple[Scalar, ...] | Check] = {place(where): wanted for where, wanted in message.when.items()}
    event = message.event
    if isinstance(event, EventFrom):
        event = EventFrom(place(event.path), event.map)
    return msgspec.structs.replace(
        message,
        carrier=None,
        topic=carrier.topic,
        each=_within(message.each, carrier) if message.each else "",
        when=when,
        values=values,
        event=event,
        event_id=_told_once(message, carrier),
        time=_time(message, carrier),
        any_changed={place(before): place(after) for before, after in message.any_changed.items()},
    )


def _told_once(message: MessageDocument, carrier: Carrier) -> tuple[str | Source, ...]:
    if message.event is None:
        return ()
    own = tuple(_moved(source, carrier) if not message.each else source for source in message.event_id)
    return tuple(_from_the_whole(source) if message.each else source for source in carrier.told_once) + own


def _time(message: MessageDocument, carrier: Carrier) -> DeviceTime | None:
    """The time of the device where it tells one, of the reception otherwise."""
    if message.time is None:
        return DeviceTime(f"^.{carrier.time}", "iso")
    inside = message.time.path if message.each else _within(message.time.path, carrier)
    return msgspec.structs.replace(message.time, path=inside)


def _moved(source: str | Source, carrier: Carrier) -> str | Source:
    if isinstance(source, str):
        return _within(source, carrier)
    return msgspec.structs.replace(source, path=_within(source.path, carrier)) if source.path else source


def _from_the_whole(source: str | Source) -> str | Source:
    return f"^.{source}" if isinstance(source, str) else msgspec.structs.replace(source, path=f"^.{source.path}")


def _within(path: str, carrier: Carrier) -> str:
    if path.startswith(("^", "#")):
        return path
    if path == "$":
        return carrier.object
    return f"{carrier.object}{path}" if path.startswith("[") else f"{carrier.object}.{path}"
