"""When a rule speaks, as YAML says it: one frozen type for each ``type``, nothing decided yet.

``ingest.alerts.when_faults`` checks them against the vocabulary, ``ingest.alerts.machines`` makes machines of them.
"""

from typing import Annotated, Literal

import msgspec

RuleId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{3,64}\Z")]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]
Span = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
Day = Annotated[str, msgspec.Meta(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]\Z")]
Scalar = bool | int | float | str


class Test(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a value must satisfy; several words must all hold. ``contains`` is for comma-separated text: any of its words."""

    __test__ = False

    contains: tuple[str, ...] = ()
    other_than: tuple[Scalar, ...] = ()
    at_least: float | None = None
    at_most: float | None = None


Where = dict[str, Scalar | tuple[Scalar, ...] | Test]
"""Metric to what it must be: a value, a list of which any will do, or a test. All must hold."""


class _When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    pass


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``need`` of the last ``of`` readings must agree."""

    need: Annotated[int, msgspec.Meta(ge=1, le=64)]
    of: Annotated[int, msgspec.Meta(ge=1, le=64)]


class Dated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A limit in force from the day ``valid_from`` to the end of the day ``valid_to``, China's time; ``clause`` is where it
    stands. Either day may be left out."""

    raise_at: float
    clear_at: float | None = None
    clause: str
    valid_from: Day | None = None
    valid_to: Day | None = None


class Threshold(_When, frozen=True, kw_only=True, tag="threshold"):
    """Raised when the value has been at or past ``raise_at`` for ``for_s``; over when it has been past ``clear_at``,
    back on the good side, for ``clear_for_s``. ``unit`` must be the metric's own.

    Of ``dated`` limits the first that is valid at the event's time takes the place of ``raise_at`` and ``clear_at``.
    """

    metric: str
    unit: str
    raise_at: float
    clear_at: float | None = None
    direction: Literal["above", "below"] = "above"
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0
    samples: Samples | None = None
    dated: tuple[Dated, ...] = ()


class Duration(_When, frozen=True, kw_only=True, tag="duration"):
    """Raised when ``where`` has held for ``for_s``; over when it has not held for ``clear_for_s``. With ``gap_s`` a longer
    silence starts the clock anew: what nobody said for so long did not last."""

    where: Where
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0
    gap_s: Span | None = None
    show: str | None = None
    samples: Samples | None = None


class Rate(_When, frozen=True, kw_only=True, tag="rate"):
    """Raised when the value changed within ``within_s``: by ``raise_at`` or more for ``rise`` and ``fall``; by less than
    ``raise_at`` for ``still`` (either way), ``no_rise`` and ``no_fall``. A silence over ``gap_s`` starts the window anew."""

    metric: str
    unit: str
    within_s: Span
    course: Literal["rise", "fall", "still", "no_rise", "no_fall"]
    raise_at: Annotated[float, msgspec.Meta(gt=0)]
    clear_at: Annotated[float, msgspec.Meta(gt=0)] | None = None
    gap_s: Span = 1800.0
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Mean(_When, frozen=True, kw_only=True, tag="mean"):
    """Raised when the mean over the last ``within_s`` has been at or past ``raise_at`` for ``for_s``; over when it has been past
    ``clear_at`` for ``clear_for_s``. ``average: energy`` is for sound levels. A value counts until the next one, for ``gap_s`` at
    most; nothing is judged before that share of the window that ``covered`` says has been told. While ``unless`` holds, what is
    said does not count. With ``since_past`` the window begins with the first value past ``raise_at``, so that nothing is
    remembered while all is well. ``dated`` as for a threshold."""

    metric: str
    unit: str
    within_s: Span
    raise_at: float
    clear_at: float | None = None
    direction: Literal["above", "below"] = "above"
    average: Literal["plain", "energy"] = "plain"
    covered: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.75
    gap_s: Span = 1800.0
    unless: Where = {}
    since_past: bool = False
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0
    dated: tuple[Dated, ...] = ()


class Count(_When, frozen=True, kw_only=True, tag="count"):
    """Raised when ``where`` came ``count`` times within ``within_s``; over when it has not come for so long. ``distinct``
    counts the different values of a metric, or with ``device`` the different devices."""

    where: Where
    count: Annotated[int, msgspec.Meta(ge=1, le=256)]
    within_s: Span
    distinct: str | None = None
    for_s: Seconds = 0.0


class Repeat(_When, frozen=True, kw_only=True, tag="repeat"):
    """Raised when ``again`` came twice within ``within_s`` with no ``ends`` between, as in and in again without out; over when
    ``ends`` comes, or that long after. What one device tells again within ``apart_s`` is the same passage. At the time of day
    ``resets`` all is forgotten. ``show`` names the metric that becomes the alert's value; ``for_s`` waits for what is on its
    way."""

    again: Where
    ends: Where
    within_s: Span
    apart_s: Seconds = 60.0
    resets: Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")] | None = None
    show: str | None = None
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Surplus(_When, frozen=True, kw_only=True, tag="surplus"):
    """Raised when within ``within_s`` more came of one thing than of ``than``, by ``by`` at least and ``times`` as many; over
    when it is by less than half of that. The one thing is told by events (``more``), or by counters, whose growth counts
    (``counter``)."""

    than: Where
    by: Annotated[int, msgspec.Meta(ge=1, le=512)]
    within_s: Span
    more: Where | None = None
    counter: str | None = None
    times: Annotated[float, msgspec.Meta(ge=1, le=100)] = 1.0
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Balance(_When, frozen=True, kw_only=True, tag="balance"):
    """Raised when a ``census`` is off from the one before it, ``plus`` and ``minus`` counted in, by more than ``share`` of it and
    by ``at_least``; over when a later one is not."""

    plus: Where
    minus: Where
    census: str
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.03
    at_least: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Correlation(_When, frozen=True, kw_only=True, tag="correlation"):
    """Raised when all of ``of`` are there within ``within_s`` of each other, at ``devices`` different devices at least: an
    event since it was said, anything else for as long as it holds and so long after."""

    of: Annotated[tuple[Where, ...], msgspec.Meta(min_length=1, max_length=8)]
    within_s: Span
    devices: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Forecast(_When, frozen=True, kw_only=True, tag="forecast"):
    """Raised when the value will meet ``limit`` within ``within_s``, by a line through what it was over ``window_s``; over when
    it goes the other way or that is twice as far off. Not judged on the good side of ``gate_at``."""

    metric: str
    unit: str
    limit: float
    gate_at: float
    direction: Literal["above", "below"] = "above"
    within_s: Span
    window_s: Span
    method: Literal["theil_sen", "holt"] = "theil_sen"
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Anomaly(_When, frozen=True, kw_only=True, tag="anomaly"):
    """Raised when the value is unusual: ``robust_z`` against the last ``learn_s``, ``cusum`` and ``ewma`` a lasting drift from
    the mean of the first ``learn_s``, ``seasonal`` against the same hour of such days, ``peers`` against its siblings in the
    zone. ``limit`` counts usual spreads, which are never taken as less than ``floor``, in the metric's unit."""

    metric: str
    unit: str
    method: Literal["robust_z", "cusum", "ewma", "seasonal", "peers"]
    floor: Annotated[float, msgspec.Meta(gt=0)]
    limit: Annotated[float, msgspec.Meta(gt=0)] = 3.5
    side: Literal["above", "below", "either"] = "either"
    learn_s: Span = 604_800.0
    calendar: RuleId | None = None
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Flatline(_When, frozen=True, kw_only=True, tag="flatline"):
    """Raised when a device of a zone has said the same value for ``within_s`` while ``peers`` of its siblings moved by
    ``moved_by`` or more; over when it says another."""

    metric: str
    unit: str
    within_s: Span
    moved_by: Annotated[float, msgspec.Meta(gt=0)]
    peers: Annotated[int, msgspec.Meta(ge=1, le=32)] = 2
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


Simple = Threshold | Duration | Rate | Mean | Count | Repeat | Surplus | Balance | Correlation | Forecast | Anomaly | Flatline
"""What may stand in a combination or a stage: each says itself when it is over."""


class AllOf(_When, frozen=True, kw_only=True, tag="all"):
    """Raised when all of ``of`` have stood together for ``for_s``; each has its own ``for_s`` besides. Not while ``unless`` is
    known to hold."""

    of: Annotated[tuple[Simple, ...], msgspec.Meta(min_length=2, max_length=8)]
    unless: Where = {}
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class AnyOf(_When, frozen=True, kw_only=True, tag="any"):
    """Raised when any of ``of`` has stood for ``for_s``. Not while ``unless`` is known to hold."""

    of: Annotated[tuple[Simple, ...], msgspec.Meta(min_length=2, max_length=8)]
    unless: Where = {}
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Sequence(_When, frozen=True, kw_only=True, tag="sequence"):
    """Raised when ``happens`` comes about with none of ``without`` from ``before_s`` before it until ``settle_s`` after it.

    An ``event`` comes about each time it is said; any other condition when it becomes true.
    """

    happens: Where
    without: tuple[Where, ...]
    before_s: Seconds = 5.0
    settle_s: Seconds = 2.0


class Match(_When, frozen=True, kw_only=True, tag="match"):
    """Raised by each reading in which ``where`` holds and ``unless`` does not and, if a ``list`` is named, ``metric`` is on it.

    ``spelling``: as it stands on the list, or ``alike``: with one character taken for one that looks like it.
    ``show`` names the (masked) metric that becomes the alert's value.
    """

    where: Where = {}
    unless: Where = {}
    metric: str | None = None
    list: str | None = None
    spelling: Literal["exact", "alike"] = "exact"
    show: str | None = None


class Absence(_When, frozen=True, kw_only=True, tag="absence"):
    """Raised when a device of the inventory has said nothing good for ``after_s``, else for the larger of ``min_s`` and
    ``intervals`` times its interval; or when the gateway has said for ``failing_s`` that it does not answer."""

    min_s: Span = 120.0
    intervals: Annotated[float, msgspec.Meta(ge=1, le=1000)] = 3.0
    after_s: Span | None = None
    failing_s: Span | None = None


When = Simple | AllOf | AnyOf | Sequence | Match | Absence


def seconds_of(when: When) -> float:
    """How long the condition must hold, for the texts."""
    match when:
        case Sequence():
            return when.before_s
        case Match() | Absence():
            return 0.0
        case Rate() | Mean() | Count() | Correlation() | Surplus() | Flatline() if not when.for_s:
            return when.within_s
        case _:
            return when.for_s


def micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
