"""A work order (案卷): what is to be done, how far it is, who has it and since when. Values alone.

The case carries everything that its next step is decided by; the journal keeps it as it was after each step.
"""

import unicodedata
from enum import StrEnum
from typing import Annotated

import msgspec

from ingest.alerts import Colour
from ingest.cases.clock import Clock
from ingest.tokens import Role
from telemetry.presence import Words


class Stage(StrEnum):
    """Where a case stands. Reported, accepted and filed are 受理; dispatched and signed 派单; in progress, suspended and
    rework 联处; verifying 反馈. Supervision (督办) runs beside all of them."""

    REPORTED = "reported"
    ACCEPTED = "accepted"
    FILED = "filed"
    DISPATCHED = "dispatched"
    SIGNED = "signed"
    IN_PROGRESS = "in_progress"
    SUSPENDED = "suspended"
    VERIFYING = "verifying"
    REWORK = "rework"
    CLOSED = "closed"
    REJECTED = "rejected"
    MERGED = "merged"
    CANCELLED = "cancelled"


ENDED = frozenset((Stage.CLOSED, Stage.REJECTED, Stage.MERGED, Stage.CANCELLED))
HANDLED = frozenset((Stage.DISPATCHED, Stage.SIGNED, Stage.IN_PROGRESS, Stage.SUSPENDED, Stage.REWORK))


class Source(StrEnum):
    """Who brought it: 传感器, 巡查, 公众, 热线, 视频, 网络, 媒体, 交办."""

    SENSOR = "sensor"
    PATROL = "patrol"
    PUBLIC = "public"
    HOTLINE = "hotline"
    VIDEO = "video"
    INTERNET = "internet"
    MEDIA = "media"
    ASSIGNED = "assigned"


class CloseKind(StrEnum):
    """正常结案, 超时结案, 差错结案, 特殊结案."""

    NORMAL = "normal"
    OVERDUE = "overdue"
    MISTAKEN = "mistaken"
    SPECIAL = "special"


class PartState(StrEnum):
    GIVEN = "given"
    WORKING = "working"
    DONE = "done"
    WAIVED = "waived"
    RETURNED = "returned"


OWED = frozenset((PartState.GIVEN, PartState.WORKING))


class Person(msgspec.Struct, frozen=True):
    """Who acts: the token proves it, ``name`` is what they say. Without a role it is the machine."""

    token: str
    name: str
    role: Role | None = None
    unit: str = ""

    def is_one_of(self, others: "tuple[Person, ...]") -> bool:
        """Whether the same token or a person of the same name is among them."""
        return any(self.token == other.token or _plain(self.name) == _plain(other.name) for other in others)


def _plain(name: str) -> str:
    """A name without what a hurried hand writes differently."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


MACHINE = Person("machine", "machine")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit has to do (主办 leads, 协办 assists), with a clock of its own."""

    number: int
    unit: str
    lead: bool
    clock: Clock
    task: str = ""
    state: PartState = PartState.GIVEN
    note: str = ""

    @property
    def owed(self) -> bool:
        return self.state in OWED


class Extension(msgspec.Struct, frozen=True):
    """More time that was asked for and is not decided yet."""

    until: int
    reason: str
    by: Person


class Counts(msgspec.Struct, frozen=True):
    """返工, 挂账, 延期, 推诿, 错派, 提醒, 催办, 重开."""

    rework: int = 0
    hang: int = 0
    postpone: int = 0
    shuffle: int = 0
    wrong_dispatch: int = 0
    reminded: int = 0
    urged: int = 0
    reopened: int = 0


class Times(msgspec.Struct, frozen=True):
    """When each step was first taken; ``handed_in`` and ``closed`` are of the last time, ``redispatched`` of the second."""

    reported: int
    accepted: int | None = None
    filed: int | None = None
    dispatched: int | None = None
    redispatched: int | None = None
    signed: int | None = None
    started: int | None = None
    handed_in: int | None = None
    closed: int | None = None
    cancelled: int | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """``opened_at`` is the event's time, all others are when it was known here. ``raised`` is how often the alerts had been
    raised when the work was last handed in or closed. ``touched``: a person has acted on it. ``handle_limit``, ``file_when`` and
    ``close_when`` (立案条件, 结案条件) are what the catalogue said of its kind when it began. ``drill``: nothing is wrong, people
    practise."""

    id: str
    no: str
    version: int = 1
    community: str
    source: Source
    colour: Colour
    title: Words
    place: Words = Words()
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    kind: str = ""
    rule: str = ""
    subject: str = ""
    device: str = ""
    zone: str = ""
    alerts: tuple[str, ...] = ()
    opened_at: int
    stage: Stage = Stage.REPORTED
    times: Times
    clock: Clock | None = None
    past_clocks: tuple[Clock, ...] = ()
    parts: tuple[Part, ...] = ()
    hands: tuple[Person, ...] = ()
    extension: Extension | None = None
    counts: Counts = Counts()
    supervision: int = 0
    settled: bool = False
    report_due: bool = False
    handle_limit: int | None = None
    file_when: Words = Words()
    close_when: Words = Words()
    raised: int = 0
    touched: bool = False
    result: str = ""
    close_kind: CloseKind | None = None
    merged_into: str = ""
    merged: tuple[str, ...] = ()
    score: int | None = None
    drill: bool = False

    @property
    def lead(self) -> Part | None:
        """The unit that has the case now."""
        return next((part for part in reversed(self.parts) if part.lead and part.state is not PartState.RETURNED), None)

    @property
    def ended(self) -> bool:
        return self.stage in ENDED


class Court(StrEnum):
    """Whose move it is."""

    DESK = "desk"
    LEAD = "lead"
    ASSISTANTS = "assistants"
    VERIFIER = "verifier"
    SUPERVISOR = "supervisor"
    NOBODY = "nobody"


def court(case: Case) -> Court:
    """Assistants have it while the lead has done its own part and waits for theirs."""
    if case.ended:
        return Court.NOBODY
    if case.stage is Stage.VERIFYING:
        return Court.VERIFIER
    if case.stage not in HANDLED:
        return Court.SUPERVISOR if needs_settling(case) else Court.DESK
    if case.stage is Stage.SUSPENDED or case.extension is not None:
        return Court.DESK
    lead = case.lead
    return Court.LEAD if lead is None or lead.owed else Court.ASSISTANTS


MAX_RETURNS = 2


def needs_settling(case: Case) -> bool:
    """Whether units have sent it back so often that a supervisor must say whose it is."""
    return case.counts.shuffle >= MAX_RETURNS and not case.settled
