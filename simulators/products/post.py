"""What a simulated product publishes, and what a gateway must make of it."""

import json
from typing import Any, NamedTuple, Protocol

from simulators.scenario import Cue
from telemetry.metric import Value


class Said(NamedTuple):
    """What a message means, told from the story and not from a profile: the values a reading must have among others.

    ``event`` tells a thing that happened, stored exactly once, from a state that may be said again and again.
    ``at`` is the device's own time in UTC microseconds, when its messages carry one that a gateway should believe.
    """

    device: str
    values: dict[str, Value]
    event: bool
    at: int | None = None


class Post(NamedTuple):
    """One MQTT message. ``said`` is None when it means nothing to a gateway that has one device on the topic."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    said: Said | None = None


class Moment(NamedTuple):
    """When a product speaks: virtual seconds, the wall's UTC microseconds, and the calendar its ids are counted in."""

    virtual: float
    wall: int
    born: int

    def dated(self, virtual: float) -> float:
        """Epoch seconds of a virtual second in the calendar of ids; the wall's own while the speed is 1."""
        return self.born / 1e6 + virtual


class Product(Protocol):
    """One maker's thing with one MQTT connection: a bridge, a recorder, a camera, a reader."""

    @property
    def name(self) -> str:
        """Its MQTT client id."""

    def will(self) -> Post | None: ...

    def greet(self, moment: Moment) -> tuple[Post, ...]:
        """What it publishes whenever it has connected."""

    def beat(self, after: float, moment: Moment) -> tuple[Post, ...]:
        """What it publishes by itself in (after, moment]."""

    def say(self, cue: Cue, moment: Moment) -> tuple[Post, ...]:
        """What it publishes when ``cue`` happens to one of its devices."""


def compact(content: Any) -> bytes:
    """JSON as small devices write it: no spaces, UTF-8 as it is."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def beats(every_s: float, after: float, until: float) -> bool:
    """Whether a multiple of ``every_s`` falls in (after, until]."""
    return every_s > 0 and until // every_s > after // every_s
