"""What is in the outbox, epoch by epoch and lane by lane, known without asking the file: a hello of hundreds of epochs is cheap.

``file`` is told first; what is noted here has become durable.
"""

from collections.abc import Iterator

from edge.outbox.file import Epoch, OutboxFile
from telemetry.batch import Lane
from telemetry.presence import Span

Key = tuple[int, Lane]


class Streams:
    """``epochs`` by number, the oldest first; the last is the current one. ``next_seq`` is of its lanes."""

    def __init__(self, file: OutboxFile) -> None:
        ends = file.ends()
        self.epochs = {epoch.n: epoch for epoch in file.epochs()}
        self.marks = file.marks()
        self.next_seq = dict.fromkeys(Lane, 1)
        self.current = 0
        self._first = {key: first for key, (first, _) in ends.items()}
        self._last = {key: max(last, self.mark(key)) for key, (_, last) in ends.items()}

    def next_epoch(self, id: str) -> Epoch:
        """The one to open after the newest, which it names with its last seqs."""
        newest = self.epochs.get(max(self.epochs, default=0))
        if newest is None:
            return Epoch(1, id, None, 0, 0)
        return Epoch(newest.n + 1, id, newest.id, self.last((newest.n, Lane.URGENT)), self.last((newest.n, Lane.BULK)))

    def newest(self) -> str:
        """The id of the epoch that was opened last; empty in a new file."""
        return self.epochs[max(self.epochs)].id if self.epochs else ""

    def begin(self, epoch: Epoch) -> None:
        for lane in Lane:
            if self.current:
                self._last[(self.current, lane)] = self.last((self.current, lane))
            self._first[(epoch.n, lane)] = 1
        self.epochs = {**self.epochs, epoch.n: epoch}  # anew, and before it is current: other threads read them
        self.current = epoch.n
        self.next_seq = dict.fromkeys(Lane, 1)

    def __iter__(self) -> Iterator[Key]:
        """The oldest epoch first."""
        return iter([(n, lane) for n in self.epochs for lane in Lane])

    def number(self, id: str) -> int | None:
        return next((n for n, epoch in self.epochs.items() if epoch.id == id), None)

    def mark(self, key: Key) -> int:
        """The highest acknowledged seq."""
        return self.marks.get(key, 0)

    def last(self, key: Key) -> int:
        """The highest sealed seq."""
        return self.next_seq[key[1]] - 1 if key[0] == self.current else self._last.get(key, self.mark(key))

    def first(self, key: Key) -> int:
        """The lowest seq that is still kept; above the last when none is."""
        return self._first.get(key, self.mark(key) + 1)

    def forgotten(self, key: Key, upto: int) -> None:
        self._first[key] = upto + 1

    def is_complete(self) -> bool:
        """Whether nothing was ever forgotten, as far as the epochs that are kept tell."""
        oldest = next(iter(self.epochs.values()))
        return not any(oldest.before_last(lane) for lane in Lane) and all(self.first(key) == 1 for key in self if self.last(key))

    def is_over(self, n: int) -> bool:
        """Whether nothing of an epoch is kept and nothing will come."""
        return n != self.current and all(self.first((n, lane)) > self.last((n, lane)) for lane in Lane)

    def drop(self, n: int) -> None:
        self.epochs = {other: epoch for other, epoch in self.epochs.items() if other != n}
        for lane in Lane:
            for known in (self.marks, self._first, self._last):
                known.pop((n, lane), None)

    def spans(self) -> list[Span]:
        """Per epoch and lane what is not acknowledged, oldest epoch first; always the current epoch's two lanes."""
        found = []
        for n, lane in self:
            epoch, first, last = self.epochs[n], self.mark((n, lane)) + 1, self.last((n, lane))
            if last >= first or n == self.current:
                found.append(Span(epoch.id, lane, first, max(last, first - 1), epoch.before, epoch.before_last(lane)))
        return found
