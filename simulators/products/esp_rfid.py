"""An esp-rfid door controller: one topic for everything it says, QoS 0, nothing kept while the broker is away.

Its clock is local time written as if it were an epoch, so it stands eight hours ahead in China.
"""

from collections.abc import Mapping

from simulators.products.post import Moment, Post, Said, beats, compact
from simulators.scenario import Cue, Swipe
from telemetry.privacy import mask

ZONE_S = 8 * 3600
HEARTBEAT_S = 180.0
REFUSING = ("Denied", "Disabled", "Expired")


class EspRfid:
    def __init__(self, device: str, topic: str) -> None:
        self._device = device
        self._topic = topic

    @property
    def name(self) -> str:
        return f"sim-{self._device}"

    def will(self) -> None:
        return None

    def greet(self, moment: Moment) -> tuple[Post, ...]:
        """The firmware tells of its boot, with the addresses it got."""
        return (self._post({"type": "boot", "time": _clock(moment), "Wifi SSID": "sim", "Local IP": "192.0.2.40"}),)

    def beat(self, after: float, moment: Moment) -> tuple[Post, ...]:
        if not beats(HEARTBEAT_S, after, moment.virtual):
            return ()
        return (self._post({"type": "heartbeat", "time": _clock(moment)}),)

    def say(self, cue: Cue, moment: Moment) -> tuple[Post, ...]:
        swipe = cue.step
        assert isinstance(swipe, Swipe)
        known = "true" if swipe.known else "false"
        content: dict[str, str | int] = {
            "type": "access",
            "time": _clock(moment),
            "isKnown": known,
            "access": swipe.access,
            "username": swipe.name,
            "uid": swipe.uid,
        }
        granted = swipe.known and swipe.access not in REFUSING
        values = {"event": "granted" if granted else "denied", "credential": mask(swipe.uid)}
        said = Said(self._device, dict(values), event=True, at=moment.wall // 1_000_000 * 1_000_000)
        return (self._post(content)._replace(said=said),)

    def _post(self, content: Mapping[str, str | int]) -> Post:
        return Post(self._topic, compact(content), qos=0)


def _clock(moment: Moment) -> int:
    return moment.wall // 1_000_000 + ZONE_S
