"""What the machines remember, all of it: frozen, bounded, and the same after JSON and back.

A machine of ``hold`` keeps one ``Held`` for each subject, with the memory of its sense inside. Shapes only: what they mean
is told where they are used, and every tuple and dict here has its bound there.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from telemetry.metric import Value


class Phase(StrEnum):
    CLEAR = "clear"
    PENDING = "pending"
    FIRING = "firing"
    EASING = "easing"


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, tag="verdict"):
    """What the newest reading said (``holds``), with the value to show; ``recent`` are the last verdicts, oldest first."""

    holds: bool | None = None
    value: Value | None = None
    at: int = 0
    recent: tuple[bool, ...] = ()


class Span(NamedTuple):
    """The lowest and highest value from ``at`` until the next span begins."""

    at: int
    low: float
    high: float


class Trace(msgspec.Struct, frozen=True, omit_defaults=True, tag="trace"):
    """What was said over a window, oldest first; ``newest`` is when the last word was."""

    spans: tuple[Span, ...] = ()
    newest: int = 0
    value: float = 0.0


class Slot(NamedTuple):
    """One step of a window: for how long something was told in it, and the sum over that time."""

    number: int
    weight: int
    total: float


class Averaged(msgspec.Struct, frozen=True, omit_defaults=True, tag="averaged"):
    """The steps of a window that are over, with their ``mean``, and what the step ``number`` has so far, up to ``told``; the
    newest value, when it was ``said``, and whether it is ``excused``; no step or value is below ``low`` or above ``high``."""

    slots: tuple[Slot, ...] = ()
    mean: float | None = None
    number: int = 0
    weight: int = 0
    total: float = 0.0
    told: int = 0
    low: float = 0.0
    high: float = 0.0
    said: int = 0
    value: float | None = None
    excused: bool = False


class Tallied(msgspec.Struct, frozen=True, omit_defaults=True, tag="tallied"):
    """Occurrences within the window: instant and what tells them apart, sorted."""

    entries: tuple[tuple[int, str], ...] = ()


class Passage(NamedTuple):
    """The same once more (``again``), or what ends it; ``value`` is what to show of it."""

    at: int
    device: str
    again: bool
    value: Value | None = None


class Passed(msgspec.Struct, frozen=True, omit_defaults=True, tag="passed"):
    """Passages in the order of their instants."""

    passages: tuple[Passage, ...] = ()


class Total(NamedTuple):
    """What a counter said."""

    at: int
    device: str
    total: float


class Flowed(msgspec.Struct, frozen=True, omit_defaults=True, tag="flowed"):
    """Events of the one thing and of the other, instant and device, and what counters of the one said; sorted."""

    more: tuple[tuple[int, str], ...] = ()
    than: tuple[tuple[int, str], ...] = ()
    totals: tuple[Total, ...] = ()


class Crossing(NamedTuple):
    """In is 1, out is -1."""

    at: int
    device: str
    way: int


class Balanced(msgspec.Struct, frozen=True, omit_defaults=True, tag="balanced"):
    """The newest census (``at``, ``device``, ``count``) with what came in since, ``net``; by how much what was reckoned from the
    census ``before`` was off; the newest crossings."""

    at: int = 0
    device: str = ""
    count: int = 0
    net: int = 0
    before: int = 0
    drift: int | None = None
    recent: tuple[Crossing, ...] = ()


class Part(NamedTuple):
    """One part at one device: its newest word, whether it holds by that, and when it last held."""

    at: int
    held: bool
    last: int


class Gathered(msgspec.Struct, frozen=True, omit_defaults=True, tag="gathered"):
    """``parts`` by number of the part and device, as ``0/gate-camera``."""

    parts: dict[str, Part] = {}


class Point(NamedTuple):
    at: int
    value: float


class Fitted(msgspec.Struct, frozen=True, omit_defaults=True, tag="fitted"):
    """Points of the window, and what the fit through them said: seconds to the limit, the sooner and the later."""

    points: tuple[Point, ...] = ()
    sooner_s: float | None = None
    later_s: float | None = None


class Smoothed(msgspec.Struct, frozen=True, omit_defaults=True, tag="smoothed"):
    """Holt's level, trend (a second) and mean error one step ahead."""

    first: int = 0
    at: int = 0
    count: int = 0
    level: float = 0.0
    trend: float = 0.0
    error: float = 0.0


class Usual(msgspec.Struct, frozen=True, omit_defaults=True, tag="usual"):
    """Values of the past, one a slot; their median and usual spread; the newest value."""

    points: tuple[Point, ...] = ()
    median: float = 0.0
    spread: float = 0.0
    value: float | None = None


class Drifting(msgspec.Struct, frozen=True, omit_defaults=True, tag="drifting"):
    """Mean and squared deviation of what was learnt, then the sums that tell a drift from it."""

    first: int = 0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    learnt: bool = False
    up: float = 0.0
    down: float = 0.0
    value: float | None = None


class Seasons(msgspec.Struct, frozen=True, omit_defaults=True, tag="seasons"):
    """Means of past hours by type of day and hour (``w07``, ``r22``), and the hour that is being gathered."""

    past: dict[str, tuple[float, ...]] = {}
    hour: int = 0
    total: float = 0.0
    count: int = 0
    value: float | None = None


class Siblings(msgspec.Struct, frozen=True, omit_defaults=True, tag="siblings"):
    """The newest value of each device of a zone."""

    newest: dict[str, Point] = {}


class Stretch(NamedTuple):
    """One device: its value, since when it has said it and when it did last; the lowest and highest of this half of the window
    and of the half before."""

    since: int
    at: int
    value: float
    half: int
    low: float
    high: float
    low_before: float
    high_before: float


class Stillness(msgspec.Struct, frozen=True, omit_defaults=True, tag="stillness"):
    """The devices of a zone; ``stuck`` are those that stand still while others move, with since when."""

    devices: dict[str, Stretch] = {}
    stuck: dict[str, int] = {}


class Joined(msgspec.Struct, frozen=True, omit_defaults=True, tag="joined"):
    """The states of sub-conditions, in their order; ``excused`` while what forbids the combination holds."""

    of: tuple["Held", ...] = ()
    excused: bool = False


class Held(msgspec.Struct, frozen=True, omit_defaults=True, tag="held"):
    """``since`` is when the phase began, ``seen`` the newest sample judged, ``turned`` the last instant judged without one;
    all event time. ``memory`` is what the sense remembers."""

    phase: Phase = Phase.CLEAR
    since: int = 0
    seen: int = 0
    turned: int = 0
    memory: "Memory | None" = None


Memory = (
    Verdict
    | Trace
    | Averaged
    | Tallied
    | Passed
    | Flowed
    | Balanced
    | Gathered
    | Fitted
    | Smoothed
    | Usual
    | Drifting
    | Seasons
    | Siblings
    | Stillness
    | Joined
)  # one tag each: a state says by itself what it is


Learnt = Usual | Drifting | Seasons
"""What took long to gather, and is kept."""


class Occurred(msgspec.Struct, frozen=True, omit_defaults=True, tag="occurred"):
    """``last`` is the newest occurrence, event time; ``active`` until it has been quiet long enough."""

    last: int = 0
    active: bool = False


class Side(NamedTuple):
    """The newest sample of one device, and whether the condition held."""

    at: int
    held: bool


class Coming(NamedTuple):
    """An occurrence that may still be excused."""

    at: int
    device: str


class Watched(msgspec.Struct, frozen=True, omit_defaults=True, tag="watched"):
    """``raised``: the devices whose occurrence raised and still holds, with the time at which it came about."""

    excuses: tuple[int, ...] = ()
    coming: tuple[Coming, ...] = ()
    sides: dict[str, Side] = {}
    raised: dict[str, int] = {}


class Graded(msgspec.Struct, frozen=True, omit_defaults=True, tag="graded"):
    """A machine's state with how severe it is: ``rank`` of the colour told last, ``raised_at`` 0 while nothing is raised."""

    inner: Held | Occurred | Watched
    raised_at: int = 0
    rank: int = 0
    judged: int = 0
    stages: tuple[Held, ...] = ()


Judged = Held | Occurred | Watched | Graded
"""The state of a machine that judges readings."""


class Absent(msgspec.Struct, frozen=True, omit_defaults=True, tag="absent"):
    """``since`` is when the absence was raised, 0 while the device is there; ``heard`` the last good reading before it."""

    since: int = 0
    heard: int = 0
