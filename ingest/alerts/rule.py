"""The shape of a rule in YAML: what it watches, when it speaks, and what it says.

Frozen values as written; ``ingest.alerts.loading`` checks them against the vocabulary and compiles their machines.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from telemetry.metric import Kind
from telemetry.presence import Words

RuleId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{3,64}\Z")]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]
Scalar = bool | int | float | str


class Family(StrEnum):
    ACCESS = "access"
    CAMERA = "camera"
    PARKING = "parking"
    ENVIRONMENT = "environment"
    SYSTEM = "system"


class Colour(StrEnum):
    """Red: life or break-in, now. Orange: serious, jointly. Yellow: act this shift. Blue: plan and maintain."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    BLUE = "blue"


class Test(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a value must satisfy; several words must all hold. ``contains`` is for comma-separated text: any of its words."""

    __test__ = False

    contains: tuple[str, ...] = ()
    other_than: tuple[Scalar, ...] = ()
    at_least: float | None = None
    at_most: float | None = None


Where = dict[str, Scalar | tuple[Scalar, ...] | Test]
"""Metric to what it must be: a value, a list of which any will do, or a test. All must hold."""


class AppliesTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which devices a rule watches; an empty list is no restriction. ``communities`` are division-code prefixes."""

    kinds: tuple[Kind, ...] = ()
    profiles: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    communities: tuple[Annotated[str, msgspec.Meta(pattern=r"^(\d{2}|\d{4}|\d{6}|\d{9}|\d{12}|\d{15})\Z")], ...] = ()


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="threshold", tag_field="type"):
    """Raised when the value has been at or past ``raise_at`` for ``for_s``; over when it has been past ``clear_at``,
    back on the good side, for ``clear_for_s``. ``unit`` must be the metric's own."""

    metric: str
    unit: str
    raise_at: float
    clear_at: float | None = None
    direction: Literal["above", "below"] = "above"
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0


class Duration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="duration", tag_field="type"):
    """Raised when ``where`` has held for ``for_s``; over when it has not held for ``clear_for_s``."""

    where: Where
    for_s: Seconds = 0.0
    clear_for_s: Seconds = 0.0
    show: str | None = None


class Sequence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="sequence", tag_field="type"):
    """Raised when ``happens`` comes about with none of ``without`` from ``before_s`` before it until ``settle_s`` after it.

    An ``event`` comes about each time it is said; any other condition when it becomes true.
    """

    happens: Where
    without: tuple[Where, ...]
    before_s: Seconds = 5.0
    settle_s: Seconds = 2.0


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="match", tag_field="type"):
    """Raised by each reading in which ``where`` holds and, if a ``list`` is named, ``metric`` is on it.

    ``show`` names the (masked) metric that becomes the alert's value.
    """

    where: Where = {}
    metric: str | None = None
    list: str | None = None
    show: str | None = None


class Absence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="absence", tag_field="type"):
    """Raised when a device of the inventory has said nothing good for ``after_s``, else for the larger of ``min_s`` and
    ``intervals`` times its interval; or when the gateway has said for ``failing_s`` that it does not answer."""

    min_s: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] = 120.0
    intervals: Annotated[float, msgspec.Meta(ge=1, le=1000)] = 3.0
    after_s: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] | None = None
    failing_s: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] | None = None


When = Threshold | Duration | Sequence | Match | Absence


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``id`` is the rule's own; ``kind`` is the alert's, from the catalogue: several rules may raise one kind.

    ``subject``: one episode per device, or per zone (devices without a zone are then left out); ``discriminator`` names a
    metric that tells subjects at one device apart, as the object a camera tracks. ``latch``: open until a person has
    acknowledged it. ``clear_after_quiet_s``: for events, over after so long without another. ``reopen_s``: raised again
    within so long after it cleared, it is the same episode.
    """

    id: RuleId
    kind: RuleId
    family: Family
    colour: Colour
    title: Words
    text: Words
    when: When
    applies_to: AppliesTo = AppliesTo()
    subject: Literal["device", "zone"] = "device"
    discriminator: str | None = None
    latch: bool = False
    clear_after_quiet_s: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] | None = None
    reopen_s: Seconds = 0.0


class ListSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A list of identifiers in clear text, one a line, ``#`` comments; hashed with each community's key when it is loaded.

    The file is for its owner alone (mode 0600) unless ``secret`` is false: for lists that name nobody.
    """

    id: RuleId
    file: str
    secret: bool = True


class RulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rules: tuple[Rule, ...] = ()
    lists: tuple[ListSpec, ...] = ()


Listed = Mapping[str, frozenset[str]]
"""A list as it is matched: community to the keyed hashes of its entries."""


def seconds_of(when: Threshold | Duration | Sequence | Match) -> float:
    """How long the condition must hold, for the texts."""
    match when:
        case Threshold() | Duration():
            return when.for_s
        case Sequence():
            return when.before_s
        case Match():
            return 0.0


def micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
