"""Which devices a topic belongs to, and what to subscribe to for them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from paho.mqtt.matcher import MQTTMatcher

from device_profiles import Profile, subscriptions
from edge.logbook import URGENT_KINDS


class Listener(NamedTuple):
    """A device that speaks through a broker. ``parameters`` fill the placeholders of its profile's topics."""

    device: str
    profile: Profile
    parameters: Mapping[str, str]

    @property
    def filters(self) -> tuple[str, ...]:
        return subscriptions(self.profile, self.parameters)

    @property
    def is_urgent(self) -> bool:
        """Whether anything it says may be an event or otherwise urgent; a device is so or not as a whole."""
        rules = self.profile.mqtt.rules if self.profile.mqtt else ()
        events = any(rule.event is not None for rule in rules)
        return events or self.profile.kind in URGENT_KINDS or any(point.urgent for point in self.profile.points.values())


class Routes:
    """The listeners of one broker; a topic may belong to several, and to none."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        by_filter: dict[str, list[Listener]] = {}
        self._listeners = {listener.device: listener for listener in listeners}
        for listener in self._listeners.values():
            for filter_ in listener.filters:
                by_filter.setdefault(filter_, []).append(listener)
        self.filters = frozenset(by_filter)
        self._matcher = MQTTMatcher()  # type: ignore[no-untyped-call]  # paho leaves it untyped
        for filter_, those in by_filter.items():
            self._matcher[filter_] = tuple(those)

    def holds(self, listener: Listener) -> bool:
        return self._listeners.get(listener.device) == listener

    def unchanged(self, before: "Routes") -> frozenset[str]:
        """The devices that are listened to as they were before."""
        return frozenset(device for device, listener in self._listeners.items() if before.holds(listener))

    def of(self, topic: str) -> tuple[Listener, ...]:
        """Each listener once, also when several of its filters match."""
        matches: Iterator[tuple[Listener, ...]] = self._matcher.iter_match(topic)  # type: ignore[no-untyped-call]  # as above
        found = {listener.device: listener for those in matches for listener in those}
        return tuple(found.values())
