"""The shape of a rules file: what a rule watches, when it speaks, what it says and how severe it is; and the catalogue of kinds.

Frozen values as written; ``ingest.alerts.loading`` checks them against the vocabulary and compiles their machines.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from ingest.alerts.severity import Colour
from ingest.alerts.when import RuleId, Seconds, Simple, Span, When
from telemetry.metric import Kind
from telemetry.presence import Words

Prefix = Annotated[str, msgspec.Meta(pattern=r"^(\d{2}|\d{4}|\d{6}|\d{9}|\d{12}|\d{15})\Z")]


class Family(StrEnum):
    ACCESS = "access"
    CAMERA = "camera"
    PARKING = "parking"
    ENVIRONMENT = "environment"
    SYSTEM = "system"


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class AppliesTo(_Strict, frozen=True, kw_only=True):
    """Which devices a rule watches; an empty list is no restriction. ``communities`` are division-code prefixes. ``metrics``:
    those that can say any of these, by the inventory; ``without_metrics``: those that can say none of these."""

    kinds: tuple[Kind, ...] = ()
    profiles: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    communities: tuple[Prefix, ...] = ()
    metrics: tuple[str, ...] = ()
    without_metrics: tuple[str, ...] = ()


class StageSpec(_Strict, frozen=True, kw_only=True):
    """A colour that the alert has while everything named here holds: so long after it was raised, during a schedule, when a
    condition stands."""

    colour: Colour
    after_s: Seconds = 0.0
    during: RuleId | None = None
    when: Simple | None = None


class LatenessSpec(_Strict, frozen=True, kw_only=True):
    """How late readings may come to tell of an alert. Up to ``late_s`` it is told as usual while it stands; one that is over and
    known up to ``historical_s`` late is entered as past and told to nobody; what comes later still changes no alert."""

    late_s: Span = 900.0
    historical_s: Span = 86_400.0


class Rule(_Strict, frozen=True, kw_only=True):
    """``id`` is the rule's own; ``kind`` is the alert's, from the catalogue: several rules may raise one kind.

    ``subject``: one episode per device, or per zone (devices without a zone are then left out), or per community;
    ``discriminator`` names a metric that tells subjects apart, as the object a camera tracks. ``latch``: open until a person has
    acknowledged it. ``clear_after_quiet_s``: for events, over after so long without another. ``reopen_s``: raised again
    within so long after it cleared, it is the same episode. ``during``: a schedule outside of which the rule is silent.
    ``stages``: when its colour rises, and with ``falls_back`` falls again. ``case``: ``auto`` makes a work order of its alerts.
    ``lateness``: what becomes of readings that come late.
    """

    id: RuleId
    kind: RuleId
    family: Family
    colour: Colour
    title: Words
    text: Words
    when: When
    applies_to: AppliesTo = AppliesTo()
    subject: Literal["device", "zone", "community"] = "device"
    discriminator: str | None = None
    latch: bool = False
    clear_after_quiet_s: Span | None = None
    reopen_s: Seconds = 0.0
    case: Literal["auto", "ask"] = "ask"
    during: RuleId | None = None
    stages: Annotated[tuple[StageSpec, ...], msgspec.Meta(max_length=4)] = ()
    falls_back: bool = False
    lateness: LatenessSpec = LatenessSpec()


class ListSpec(_Strict, frozen=True, kw_only=True):
    """A list of identifiers in clear text, one a line, ``#`` comments; hashed with each community's key when it is loaded.

    The file is for its owner alone (mode 0600) unless ``secret`` is false: for lists that name nobody. An ``optional`` file that
    is not there is an empty list.
    """

    id: RuleId
    file: str
    secret: bool = True
    optional: bool = False


class ScheduleSpec(_Strict, frozen=True, kw_only=True):
    """``hours`` as ``22:00-06:00``, past midnight counted to the day on which they began; ``days`` on which they begin.
    ``outside``: active at all other times instead. ``calendar`` is a file beside this one."""

    id: RuleId
    hours: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    days: Literal["all", "workdays", "restdays"] = "all"
    outside: bool = False
    calendar: RuleId | None = None


class CalendarSpec(_Strict, frozen=True, kw_only=True):
    """A file of workdays and holidays, named from this file's folder."""

    id: RuleId
    file: str


class Override(_Strict, frozen=True, kw_only=True):
    """``set`` replaces keys of a rule's ``when`` for some communities, zones or devices; the last that fits a device counts."""

    rule: RuleId
    communities: tuple[Prefix, ...] = ()
    zones: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    set: dict[str, bool | int | float | str]


class Limits(_Strict, frozen=True, kw_only=True):
    """Seconds from the alert: until acknowledged, until somebody is on the scene, until done. Left out: none."""

    ack_s: Span | None = None
    on_scene_s: Span | None = None
    done_s: Span | None = None


class Desk(StrEnum):
    """物业中控, 秩序维护, 工程, 维保单位, 电梯应急救援站, 网格员, 社区, 街道, 消防, 公安, 城管, 家属."""

    PM = "PM"
    SEC = "SEC"
    ENG = "ENG"
    MAINT = "MAINT"
    RESCUE = "RESCUE"
    GRID = "GRID"
    COM = "COM"
    STR = "STR"
    FIRE = "FIRE"
    POL = "POL"
    CG = "CG"
    FAMILY = "FAMILY"


class Within(StrEnum):
    """How far around an alert others follow from it."""

    COMMUNITY = "community"
    ZONE = "zone"
    GATEWAY = "gateway"


class CatalogueKind(_Strict, frozen=True, kw_only=True):
    """What a kind of alert means to those who deal with it.

    ``handler``: desks in their order. ``file_when``, ``close_when``: 立案条件, 结案条件. ``traps``: false alarms that its rules
    tell apart, each with a test; ``beware``: those that they cannot. ``private``: never to a group. ``life_safety``: told however
    late it is known. ``inhibits``: kinds that follow from it, as far around as ``inhibits_within`` says, and of which nobody is
    told while it stands.
    """

    id: RuleId
    number: Annotated[int, msgspec.Meta(ge=1, le=999)]
    family: Family
    colour: Colour
    title: Words
    handler: Annotated[tuple[Desk, ...], msgspec.Meta(min_length=1)]
    sla: Limits
    file_when: Words
    close_when: Words
    traps: dict[RuleId, Words] = {}
    beware: tuple[Words, ...] = ()
    private: bool = False
    life_safety: bool = False
    inhibits: tuple[RuleId, ...] = ()
    inhibits_within: Within = Within.COMMUNITY


class RulesFile(_Strict, frozen=True, kw_only=True):
    rules: tuple[Rule, ...] = ()
    lists: tuple[ListSpec, ...] = ()
    calendars: tuple[CalendarSpec, ...] = ()
    schedules: tuple[ScheduleSpec, ...] = ()
    overrides: tuple[Override, ...] = ()
    kinds: tuple[CatalogueKind, ...] = ()


Listed = Mapping[str, frozenset[str]]
"""A list as it is matched: community to the keyed hashes of its entries."""
