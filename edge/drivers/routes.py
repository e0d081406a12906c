"""Which devices a topic belongs to, and what to subscribe to for them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from paho.mqtt.matcher import MQTTMatcher

from device_profiles import Profile, subscriptions


class Listener(NamedTuple):
    """A device that speaks through a broker. ``parameters`` fill the placeholders of its profile's topics."""

    device: str
    profile: Profile
    parameters: Mapping[str, str]

    @property
    def filters(self) -> tuple[str, ...]:
        return subscriptions(self.profile, self.parameters)


class Routes:
    """The listeners of one broker; a topic may belong to several, and to none."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        by_filter: dict[str, list[Listener]] = {}
        for listener in listeners:
            for filter_ in listener.filters:
                by_filter.setdefault(filter_, []).append(listener)
        self.filters = frozenset(by_filter)
        self._matcher = MQTTMatcher()  # type: ignore[no-untyped-call]  # paho leaves it untyped
        for filter_, those in by_filter.items():
            self._matcher[filter_] = tuple(those)

    def of(self, topic: str) -> tuple[Listener, ...]:
        """Each listener once, also when several of its filters match."""
        matches: Iterator[tuple[Listener, ...]] = self._matcher.iter_match(topic)  # type: ignore[no-untyped-call]  # as above
        found = {listener.device: listener for those in matches for listener in those}
        return tuple(found.values())
