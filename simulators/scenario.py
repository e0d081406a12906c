"""A story on the virtual clock: what happens to which device when.

1. Pure: which cues fall in a span, how a point is bent and whether a device is silent depend on the virtual second alone.
2. The story is told again every ``repeat_s``; a turn never reaches into the next, because a step must end inside it.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from telemetry.metric import Value
from telemetry.reading import Name

Second = Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="do"):
    """``raises``: the kind of alert for the sake of which it happens."""

    at_s: Second
    device: Name
    raises: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Bend(_Step, frozen=True, kw_only=True, tag="bend"):
    """A point leaves its signal for ``to``: over ``rise_s``, for ``for_s``, and back over ``fall_s``."""

    point: str
    to: float
    rise_s: Second = 0.0
    for_s: Second
    fall_s: Second = 0.0


class Switch(_Step, frozen=True, kw_only=True, tag="switch"):
    """A point that is yes or no, as a contact, says ``to`` for ``for_s``."""

    point: str
    to: bool
    for_s: Second


class Silence(_Step, frozen=True, kw_only=True, tag="silence"):
    """A Modbus unit answers nothing; others on its line go on."""

    for_s: Second


class Refuse(_Step, frozen=True, kw_only=True, tag="refuse"):
    """A Modbus unit answers every read with an exception; 4 is a fault of the device, 6 busy."""

    for_s: Second
    code: Annotated[int, msgspec.Meta(ge=1, le=11)] = 4


class Report(_Step, frozen=True, kw_only=True, tag="report"):
    """A Zigbee sensor's fields change and it reports all of them."""

    fields: Annotated[dict[str, Value], msgspec.Meta(min_length=1)]


class Swipe(_Step, frozen=True, kw_only=True, tag="swipe"):
    """A credential is held to an esp-rfid reader; ``access`` is the product's word, such as Always, Denied or Expired."""

    uid: Text
    name: Text = "unknown"
    access: Text = "Always"
    known: bool = True


class Track(_Step, frozen=True, kw_only=True, tag="track"):
    """Frigate sees an object arrive, enter ``zone``, stop there and leave after ``for_s``; with ``every_s`` it moves a little and
    stops again so often."""

    label: Text = "car"
    zone: Text
    for_s: Annotated[float, msgspec.Meta(ge=8, le=86_400)]
    every_s: Second = 0.0


class Plate(_Step, frozen=True, kw_only=True, tag="plate"):
    """A plate camera reads a plate; ``direction`` is its number for the movement in the picture, 3 up, 4 down."""

    plate: Text
    colour: Literal["blue", "yellow", "white", "black", "green", "yellow-green"] = "blue"
    direction: Literal[0, 1, 2, 3, 4] = 4
    confidence: Annotated[int, msgspec.Meta(ge=0, le=100)] = 98
    fake: bool = False


class Publish(_Step, frozen=True, kw_only=True, tag="publish"):
    """Any other MQTT device says ``payload`` below its topic, JSON or text; ``{utc}`` in it is the instant at which it does."""

    topic: Annotated[str, msgspec.Meta(pattern=r"^[^+#\x00]{1,256}\Z")]
    payload: dict[str, Any] | str
    retain: bool = False


Step = Bend | Switch | Silence | Refuse | Report | Swipe | Track | Plate | Publish
Message = Report | Swipe | Track | Plate | Publish

TRACK_ENTERS_S = 1.0
TRACK_STOPS_S = 3.0
FIRST_S = 5.0


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario file. ``repeat_s`` 0 tells the story once."""

    steps: tuple[Step, ...]
    repeat_s: Second = 0.0

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of alert that it is told for."""
        return frozenset(step.raises for step in self.steps if step.raises)

    def only(self, kinds: Collection[str]) -> "Scenario":
        """What it tells for the sake of these kinds, from the first second on."""
        steps = [step for step in self.steps if step.raises in kinds]
        early = min((step.at_s for step in steps), default=FIRST_S) - FIRST_S
        return Scenario(tuple(msgspec.structs.replace(step, at_s=step.at_s - early) for step in steps), self.repeat_s)


class Cue(NamedTuple):
    """One thing to say at the virtual second ``at``: ``phase`` of a step, in the ``turn``-th telling of the story.

    ``began`` is when this step began, in virtual seconds. ``settles`` marks the end of what another cue began.
    """

    at: float
    began: float
    step: Message
    phase: str = ""
    turn: int = 0
    settles: bool = False


class Fault(NamedTuple):
    """What ails a Modbus unit: silent, or an exception ``code``."""

    code: int | None = None

    def __str__(self) -> str:
        return "silent" if self.code is None else f"exception {self.code}"


def cues(scenario: Scenario, after: float, until: float) -> list[Cue]:
    """Everything to say in (after, until], in order."""
    found = [cue for turn in _turns(scenario, after, until) for cue in _told(scenario, turn) if after < cue.at <= until]
    return sorted(found, key=lambda cue: cue.at)


def bent(scenario: Scenario, device: str, point: str, base: float, at: float) -> float:
    """The value of a point whose own signal says ``base``."""
    for step, since in _under_way(scenario, device, at):
        if isinstance(step, Bend) and step.point == point:
            base += (step.to - base) * _share(step, since)
    return base


def switched(scenario: Scenario, device: str, point: str, base: bool, at: float) -> bool:
    """The value of a point that is yes or no, whose own signal says ``base``."""
    for step, _ in _under_way(scenario, device, at):
        if isinstance(step, Switch) and step.point == point:
            base = step.to
    return base


def fault(scenario: Scenario, device: str, at: float) -> Fault | None:
    for step, _ in _under_way(scenario, device, at):
        if isinstance(step, Silence):
            return Fault()
        if isinstance(step, Refuse):
            return Fault(step.code)
    return None


def reported(scenario: Scenario, device: str, at: float) -> dict[str, Value]:
    """The fields of a Zigbee sensor that the story has changed by ``at``, with their last values."""
    fields: dict[str, Value] = {}
    reports = sorted(
        (step for step in scenario.steps if isinstance(step, Report) and step.device == device), key=lambda step: step.at_s
    )
    turn, second = _place(scenario, at)
    for step in reports if turn else ():
        fields |= step.fields
    for step in reports:
        if step.at_s <= second:
            fields |= step.fields
    return fields


def lasts(step: Step) -> float:
    """Seconds from the beginning of a step to its end."""
    match step:
        case Bend():
            return step.rise_s + step.for_s + step.fall_s
        case Switch() | Silence() | Refuse() | Track():
            return step.for_s
    return 0.0


def faults(scenario: Scenario, points: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, str, str]]:
    """``(path, reason, cure)`` of steps that cannot be told. ``points``: what can be bent, by device."""
    for number, step in enumerate(scenario.steps):
        here = f"steps[{number}]"
        if step.device not in points:
            yield f"{here}.device", f"no device {step.device!r} in the world", f"known: {', '.join(sorted(points))}"
        elif isinstance(step, Bend | Switch) and step.point not in points[step.device]:
            yield f"{here}.point", f"no point {step.point!r}", f"known: {', '.join(sorted(points[step.device]))}"
        if scenario.repeat_s and step.at_s + lasts(step) >= scenario.repeat_s:
            yield here, f"ends after the story begins again at {scenario.repeat_s:g} s", "begin it earlier or raise repeat_s"


def _place(scenario: Scenario, at: float) -> tuple[int, float]:
    """Which telling it is, and the second in it."""
    if not scenario.repeat_s or at < 0:
        return 0, at
    turn = math.floor(at / scenario.repeat_s)
    return turn, at - turn * scenario.repeat_s


def _turns(scenario: Scenario, after: float, until: float) -> range:
    return range(max(0, _place(scenario, after)[0]), _place(scenario, until)[0] + 1)


def _told(scenario: Scenario, turn: int) -> Iterator[Cue]:
    for step in scenario.steps:
        began = turn * scenario.repeat_s + step.at_s
        if isinstance(step, Track):
            yield Cue(began, began, step, "new", turn)
            yield Cue(began + TRACK_ENTERS_S, began, step, "enters", turn)
            yield Cue(began + TRACK_STOPS_S, began, step, "stops", turn)
            for number in range(1, _updates(step)):
                yield Cue(began + TRACK_STOPS_S + number * step.every_s, began, step, "stops", turn)
            yield Cue(began + step.for_s, began, step, "end", turn, settles=True)
        elif isinstance(step, Message):
            yield Cue(began, began, step, "", turn)


def has_stopped(step: Track, age_s: float) -> bool:
    """Whether the object of a track stands still so long after it appeared."""
    if age_s < TRACK_STOPS_S or not step.every_s:
        return age_s >= TRACK_STOPS_S
    return math.floor((age_s - TRACK_STOPS_S) / step.every_s + 1e-6) % 2 == 0


def _updates(step: Track) -> int:
    """How often an object stops or moves again while it is there, the first stop counted in."""
    return math.ceil((step.for_s - TRACK_STOPS_S) / step.every_s) if step.every_s else 1


def _under_way(scenario: Scenario, device: str, at: float) -> Iterator[tuple[Step, float]]:
    """Steps of the device that have begun and not ended, with the seconds since they began."""
    _, second = _place(scenario, at)
    for step in scenario.steps:
        if step.device == device and step.at_s <= second < step.at_s + lasts(step):
            yield step, second - step.at_s


def _share(step: Bend, since: float) -> float:
    """How far the point has left its signal, 0 to 1."""
    if since < step.rise_s:
        return since / step.rise_s
    left = step.rise_s + step.for_s + step.fall_s - since
    return left / step.fall_s if left < step.fall_s else 1.0
