"""Any other device that speaks MQTT: it says what the story tells it to, at QoS 1, and nothing by itself."""

from datetime import UTC, datetime
from typing import Any

from simulators.products.post import Moment, Post, compact
from simulators.scenario import Cue, Publish

NOW = "{utc}"


class Speaker:
    """``topic`` stands before every topic of the story. What it says means nothing to the truth log, which knows no profile."""

    def __init__(self, device: str, topic: str) -> None:
        self._device = device
        self._topic = topic

    @property
    def name(self) -> str:
        return f"sim-{self._device}"

    def will(self) -> None:
        return None

    def greet(self, moment: Moment) -> tuple[Post, ...]:
        return ()

    def beat(self, after: float, moment: Moment) -> tuple[Post, ...]:
        return ()

    def say(self, cue: Cue, moment: Moment) -> tuple[Post, ...]:
        step = cue.step
        assert isinstance(step, Publish)
        said = _dated(step.payload, moment)
        payload = said.encode() if isinstance(said, str) else compact(said)
        return (Post(f"{self._topic}/{step.topic}", payload, retain=step.retain),)


def _dated(content: Any, moment: Moment) -> Any:
    """The payload with the instant in the place of every ``{utc}``."""
    if isinstance(content, dict):
        return {key: _dated(value, moment) for key, value in content.items()}
    if isinstance(content, list):
        return [_dated(value, moment) for value in content]
    if isinstance(content, str):
        return content.replace(NOW, datetime.fromtimestamp(moment.wall / 1e6, UTC).isoformat().replace("+00:00", "Z"))
    return content
