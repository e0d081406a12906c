"""What to send next: the uplink's decisions, without input or output.

1. Urgent before bulk, live before backfill: the current epoch's urgent lane, older urgent lanes, the current bulk
   lane, older bulk lanes from the oldest epoch on. Only a handful of older urgent batches goes before the current ones, so
   that after a restart events come in the order in which they happened.
2. At most ``WINDOW`` batches of a stream are on their way unacknowledged; backfill goes no faster than the centre's credit.
   The urgent window is wide: rules at the centre see smoke while its telemetry store is down and nothing is acknowledged.
3. A stream that gets no acknowledgement is sent again from its first unacknowledged batch, later each time.
"""

from typing import NamedTuple

from telemetry.batch import Lane
from telemetry.presence import Span

WINDOW = {Lane.URGENT: 1_000, Lane.BULK: 64}
RESEND_S = 5.0
RESEND_MAX_S = 60.0
OUTAGE_S = 30.0
CREDIT = 2.0
"""Batches of backlog a second, until the centre says how many."""
AT_ONCE = 8
"""Batches that go out without waiting for each other's receipt: one way there and back for all."""
HANDFUL = 16 * AT_ONCE

Key = tuple[str, Lane]


class Next(NamedTuple):
    """Send up to ``limit`` batches of this stream, from the one after ``after``."""

    epoch: str
    lane: Lane
    after: int
    limit: int


class _Flow:
    """One stream: acknowledged up to ``mark``, sent up to ``sent``, sealed up to ``last``."""

    def __init__(self, mark: int, now: float) -> None:
        self.mark = self.sent = self.last = self.highest = mark
        self.deadline = now + RESEND_S
        self.wait = RESEND_S


class Window:
    """The streams of one gateway; every method takes the monotonic time in seconds."""

    def __init__(self, now: float) -> None:
        self._flows: dict[Key, _Flow] = {}
        self._current = ""
        self._credit = CREDIT
        self._allowance = 1.0
        self._refilled = now
        self._since = 0
        self._contact = now

    def refresh(self, spans: list[Span], current: str, now: float) -> None:
        """Takes what the outbox holds now."""
        self._current = current
        seen = {(span.epoch, span.lane): span for span in spans}
        self._flows = {key: flow for key, flow in self._flows.items() if key in seen}
        for key, span in seen.items():
            flow = self._flows.setdefault(key, _Flow(span.first - 1, now))
            flow.last = span.last

    def choose(self, now: float) -> Next | None:
        """The most pressing stream that may send, or ``None``."""
        few = self._older_urgent() <= HANDFUL

        def rank(key: Key) -> tuple[bool, bool]:
            epoch, lane = key
            live_first = lane is Lane.BULK or not few
            return lane is Lane.BULK, (epoch != self._current) is live_first

        for key in sorted(self._flows, key=rank):
            flow, (epoch, lane) = self._flows[key], key
            room = min(flow.last, flow.mark + WINDOW[lane]) - flow.sent
            if room > 0 and lane is Lane.BULK and epoch != self._current:
                room = min(room, self.afford(now))
            if room > 0:
                return Next(epoch, lane, flow.sent, min(room, AT_ONCE))
        return None

    def stands(self, upcoming: Next) -> bool:
        """Whether the stream goes on where it did when this was chosen: it may have been acknowledged, or rewound, since."""
        flow = self._flows.get((upcoming.epoch, upcoming.lane))
        return flow is not None and flow.sent == upcoming.after

    def _older_urgent(self) -> int:
        return sum(
            flow.last - flow.sent for (epoch, lane), flow in self._flows.items() if lane is Lane.URGENT and epoch != self._current
        )

    def sent(self, epoch: str, lane: Lane, seq: int, now: float) -> bool:
        """Notes that a batch goes out; true when it had gone out before."""
        flow = self._flows[(epoch, lane)]
        if flow.sent <= flow.mark:
            flow.deadline = now + flow.wait
        again = seq <= flow.highest
        flow.sent, flow.highest = seq, max(seq, flow.highest)
        if lane is Lane.BULK and epoch != self._current:
            self.spend()
        return again

    def acknowledged(self, epoch: str, lane: Lane, seq: int, now: float) -> None:
        """The centre holds everything of a stream up to ``seq``."""
        flow = self._flows.get((epoch, lane))
        if flow is None or seq <= flow.mark:
            return
        flow.mark = seq
        flow.sent = max(flow.sent, seq)
        flow.highest = max(flow.highest, seq)
        flow.wait = RESEND_S
        flow.deadline = now + RESEND_S

    def heard(self, credit: float, since: int, now: float) -> bool:
        """The centre spoke; after a silence, or when it listens only ``since`` lately, everything unacknowledged goes out again.

        True when that ends an outage, after which a new epoch separates live data from the backlog.
        """
        silence = now - self._contact
        self._contact = now
        self._credit = credit
        if silence > RESEND_S or since != (self._since or since):
            self.rewind(now)
        self._since = since
        return silence > OUTAGE_S

    def quiet(self, now: float) -> None:
        """Nothing waits for the centre, so its silence is no outage."""
        self._contact = now

    def is_idle(self) -> bool:
        return all(flow.last <= flow.mark for flow in self._flows.values())

    def resend(self, now: float) -> bool:
        """Rewinds the streams whose acknowledgement is overdue; true when there was one."""
        overdue = [flow for flow in self._flows.values() if flow.sent > flow.mark and now >= flow.deadline]
        for flow in overdue:
            flow.sent = flow.mark
            flow.wait = min(flow.wait * 2, RESEND_MAX_S)
            flow.deadline = now + flow.wait
        return bool(overdue)

    def rewind(self, now: float) -> None:
        """A new connection: everything unacknowledged goes out again."""
        for flow in self._flows.values():
            flow.sent = flow.mark
            flow.wait = RESEND_S
            flow.deadline = now + RESEND_S

    def delay(self, now: float) -> float:
        """Seconds until something may be due although nothing happens."""
        dues = [flow.deadline - now for flow in self._flows.values() if flow.sent > flow.mark]
        return max(0.05, min([1.0, *dues]))

    def afford(self, now: float) -> int:
        """How many batches beyond the live ones the centre's credit allows now."""
        self._allowance = min(max(self._credit, 1.0), self._allowance + (now - self._refilled) * self._credit)
        self._refilled = now
        return int(self._allowance)

    def spend(self) -> None:
        self._allowance -= 1
