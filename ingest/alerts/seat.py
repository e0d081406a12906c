"""What the rules know of one gateway and its devices, apart from the states of their machines.

A ``Presence`` is a gateway's, a ``Seat`` one device's in it. They change in place: what a take changed becomes durable with its
commit, or all of memory is read back. The devices keep the order in which they were first heard
(``ingest.alerts.presence_record``).
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from telemetry.identity import GatewayRef
from telemetry.metric import Kind

if TYPE_CHECKING:
    from ingest.alerts.watch import Watch

MAX_DEVICES = 10_000
NEVER = 1 << 62


class Subject:
    """Whose episodes: a device, a zone or a community. ``newest`` is the newest sample judged, ``entries`` the states that
    are not as they began, by rule and discriminator. ``name`` is the key's, but of a device its own."""

    __slots__ = ("entries", "name", "newest")

    is_kept = True
    """Whether it is found again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.newest = 0
        self.entries: dict[tuple[str, str], Any] | None = None


class Seat(Subject):
    """One device. ``heard``: its newest good reading; ``failing``: since when it is said not to answer; 0 is never.
    ``is_absent``: an absence of it stands; ``expected``: when it is next looked at whether one is due, 0 when not.
    The rest is found when it is next heard: by the inventory, for readings of ``kind``.
    """

    __slots__ = ("community", "expected", "failing", "heard", "is_absent", "kind", "watch", "zone")

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.heard = 0
        self.failing = 0
        self.is_absent = False
        self.expected = 0
        self.kind: Kind | None = None
        self.watch: Watch | None = None
        self.zone: Subject | None = None
        self.community: Subject | None = None


class Stray(Seat):
    """A device too many: its readings are judged, and nothing is remembered of them."""

    __slots__ = ()

    is_kept = False


class Presence:
    """One gateway. ``newest``: how far its bulk data came; ``epoch_at``: when its epoch began; both event time.

    ``edition`` is of the inventory by which its seats were found, ``named`` how many of them have their names written.
    ``silences`` are the instants at which devices will be absent, earliest first, if nothing more is heard of them; each may turn
    out to be too early, none is too late. ``next_silence`` is the first; 0 when they are not worked out.
    """

    __slots__ = ("edition", "epoch", "epoch_at", "named", "newest", "next_silence", "ref", "seats", "silences")

    def __init__(self, ref: GatewayRef) -> None:
        self.ref = ref
        self.newest = 0
        self.epoch = ""
        self.epoch_at = 0
        self.seats: dict[str, Seat] = {}
        self.named = 0
        self.edition: object = None
        self.silences: list[tuple[int, str]] = []
        self.next_silence = 0

    def seat(self, device: str) -> Seat:
        found = self.seats.get(device)
        if found is None:
            if len(self.seats) >= MAX_DEVICES:
                return Stray(device)
            found = self.seats[device] = Seat(device)
        return found

    def devices(self) -> Iterator[Seat]:
        """Those that were heard of, or said not to answer."""
        return (seat for seat in self.seats.values() if seat.heard or seat.failing)

    def reseat(self) -> None:
        """The inventory is another: what was found by it is found anew."""
        self.silences, self.next_silence = [], 0
        for seat in self.seats.values():
            seat.watch, seat.expected = None, 0

    def expect(self, at: int, seat: Seat) -> None:
        """``seat`` is to be looked at when the gateway's word has come to ``at``."""
        if not seat.expected or at < seat.expected:
            seat.expected = at
            heappush(self.silences, (at, seat.name))
            self.next_silence = self.silences[0][0]

    def overdue(self) -> Seat | None:
        """The next to be looked at by now, told once."""
        while self.silences and self.silences[0][0] <= self.newest:
            at, name = heappop(self.silences)
            self.next_silence = self.silences[0][0] if self.silences else NEVER
            seat = self.seats[name]
            if seat.expected == at:
                seat.expected = 0
                return seat
        return None
