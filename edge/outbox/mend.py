"""What a damaged outbox still knows, made whole again without reusing a key or dropping a reading in silence. Pure.

1. A batch that was read keeps its key and its chunks; those that it misses are told in their places.
2. A batch that was not read is put together again where its neighbours leave no doubt about its chunks.
3. Where they do, its chunks are sealed anew, in a new epoch, and its seq becomes a tombstone, so that no seq is missing.
4. A mark that was not read forgets nothing; it is set to before the first batch that is left, as if the others had been taken.
"""

import bisect
from typing import NamedTuple

from edge.outbox.file import BatchRow, Epoch
from edge.outbox.loss import LATE_US
from edge.outbox.tail import BATCH_READINGS
from telemetry.batch import Lane
from telemetry.reading import EARLIEST, LATEST


class Head(NamedTuple):
    """A chunk without its body."""

    n: int
    readings: int
    first_at: int


class Found(NamedTuple):
    """Rows that check out, in the order of their keys. ``torn``: chunks that do not, and of which none that does has the number.

    ``marks_whole``: no mark is missing, so where there is none nothing was acknowledged.
    """

    epochs: list[Epoch]
    marks: dict[tuple[int, Lane], int]
    marks_whole: bool
    batches: list[BatchRow]
    chunks: dict[Lane, list[Head]]
    torn: dict[Lane, list[Head]]


class Tomb(NamedTuple):
    """A batch that is lost, and how many readings were in it at least: 0 when they are told of elsewhere."""

    batch: BatchRow
    lost: int


class Mended(NamedTuple):
    """``batches`` were read or put together again; ``loose`` chunks are to be sealed anew; ``torn`` ones are lost."""

    epochs: list[Epoch]
    marks: dict[tuple[int, Lane], int]
    batches: list[BatchRow]
    tombs: list[Tomb]
    loose: dict[Lane, list[int]]
    torn: list[Head]


UNKNOWN_SINCE_US = 7 * 24 * 3600 * 1_000_000
"""What waits is of the last days, whatever a damaged row says of itself."""


def since(found: Found, now: int) -> int:
    """Nothing that is lost is older, as far as anybody can tell."""
    heads = [head.first_at for lane in Lane for head in found.chunks[lane]]
    firsts = heads + [batch.first_at for batch in found.batches]
    return max(min(firsts, default=now - UNKNOWN_SINCE_US) - LATE_US, EARLIEST)


def mend(found: Found, now: int) -> Mended:
    epochs = _epochs(found)
    batches: list[BatchRow] = []
    tombs: list[Tomb] = []
    loose: dict[Lane, list[int]] = {}
    torn: list[Head] = []
    for lane in Lane:
        walk = _Walk(found, epochs, lane, now)
        batches += walk.batches
        tombs += walk.tombs
        loose[lane] = walk.loose
        torn += walk.torn
    left = batches + [tomb.batch for tomb in tombs]
    return Mended(epochs, _marks(found, epochs, left), batches, tombs, loose, torn)


def _marks(found: Found, epochs: list[Epoch], left: list[BatchRow]) -> dict[tuple[int, Lane], int]:
    firsts: dict[tuple[int, Lane], int] = {}
    for batch in left:
        key = (batch.epoch, batch.lane)
        firsts[key] = min(batch.seq, firsts.get(key, batch.seq))
    known = {epoch.n for epoch in epochs}
    kept = {key: mark for key, mark in found.marks.items() if key[0] in known}
    return {key: first - 1 for key, first in firsts.items() if first > 1} | kept


def _epochs(found: Found) -> list[Epoch]:
    """With those that only the epoch after them tells of."""
    known = {epoch.n: epoch for epoch in found.epochs}
    for n in {batch.epoch for batch in found.batches} - known.keys():
        after = known.get(n + 1)
        if after is not None and after.before is not None:
            known[n] = Epoch(n, after.before, None, 0, 0)
    return [known[n] for n in sorted(known)]


def _expected(found: Found, epochs: list[Epoch], lane: Lane) -> list[tuple[int, int]]:
    """Every key of a lane that the file should hold, as far as its rows tell."""
    keys: list[tuple[int, int]] = []
    for number, epoch in enumerate(epochs):
        seqs = [batch.seq for batch in found.batches if batch.lane is lane and batch.epoch == epoch.n]
        after = epochs[number + 1] if number + 1 < len(epochs) else None
        said = after.before_last(lane) if after is not None and after.before == epoch.id else 0
        mark = found.marks.get((epoch.n, lane), 0 if found.marks_whole else None)
        last = max([*seqs, said])
        first = min([*seqs, last + 1 if mark is None else mark + 1])
        keys += [(epoch.n, seq) for seq in range(first, last + 1)]
    return keys


class _Walk:
    """One lane, in the order of its keys, which is that of its chunks."""

    def __init__(self, found: Found, epochs: list[Epoch], lane: Lane, now: int) -> None:
        self.batches: list[BatchRow] = []
        self.tombs: list[Tomb] = []
        self.loose: list[int] = []
        self.torn: list[Head] = []
        self._lane = lane
        self._chunks = found.chunks[lane]
        self._torn = {head.n: head for head in found.torn[lane]}
        self._upto = 0
        self._since = since(found, now)
        self._oldest = max(self._since - UNKNOWN_SINCE_US, EARLIEST)
        numbers = [epoch.n for epoch in epochs]
        self._gapless = numbers == list(range(min(numbers, default=1), max(numbers, default=0) + 1))
        self._from_first = self._gapless and numbers[:1] == [1]
        known = {(batch.epoch, batch.seq): batch for batch in found.batches if batch.lane is lane}
        self._sealed_at = min((batch.sealed_at for batch in known.values()), default=now)
        missing: list[tuple[int, int]] = []
        for key in _expected(found, epochs, lane):
            batch = known.get(key)
            if batch is None:
                missing.append(key)
                continue
            self._fill(missing, batch.first - 1)
            self.batches.append(batch)
            self._upto, self._sealed_at = max(self._upto, batch.last), batch.sealed_at
            self._since = batch.sealed_at - LATE_US
            missing = []
        self._end(missing)

    def _fill(self, missing: list[tuple[int, int]], last: int) -> None:
        """The chunks after those of the batch before, up to ``last``, belong to the missing batches."""
        between = self._chunks[self._place(self._upto + 1) : self._place(last + 1)]
        whole = bool(between) and len(between) == last - self._upto and (self._gapless if self._upto else self._from_first)
        if whole and len(missing) == len(between):
            self.batches += [self._batch(key, [head]) for key, head in zip(missing, between, strict=True)]
        elif whole and len(missing) == 1 and sum(head.readings for head in between) <= BATCH_READINGS:
            self.batches.append(self._batch(missing[0], between))
        else:
            self.loose += [head.n for head in between]
            torn = [n for n in self._torn if self._upto < n <= last]
            gone = last - self._upto - len(between) - len(torn) if self._upto else 0
            self._tear(torn)
            self._bury(missing, gone, bool(between or torn))

    def _end(self, missing: list[tuple[int, int]]) -> None:
        """What follows the last batch that was read is sealed anew as what was never sealed is."""
        loose = [head.n for head in self._chunks if head.n > self._upto]
        torn = {n for n in self._torn if n > self._upto}
        holes = set(range(loose[0], loose[-1])) - torn - set(loose) if loose else set()
        self.loose += loose
        self._tear([*torn, *holes])
        self._bury(missing, 0, bool(loose or torn))

    def _place(self, n: int) -> int:
        """Of the first chunk from number ``n`` on."""
        return bisect.bisect_left(self._chunks, n, key=lambda head: head.n)

    def _tear(self, numbers: list[int]) -> None:
        """These are lost, and what they held is not from before what stood beside them."""
        for n in sorted(numbers):
            head = self._torn.get(n, Head(n, 1, LATEST))
            before = self._place(n)
            beside = self._chunks[before - 1].first_at - LATE_US if before else self._since
            self.torn.append(head._replace(first_at=max(min(head.first_at, max(beside, self._since)), self._oldest)))

    def _bury(self, missing: list[tuple[int, int]], gone: int, some_left: bool) -> None:
        lost = max(gone, 0 if some_left else len(missing))
        for key in missing:  # the last tells, which the centre only has when it has all of them
            self.tombs.append(Tomb(self._batch(key, []), lost if key == missing[-1] else 0))

    def _batch(self, key: tuple[int, int], heads: list[Head]) -> BatchRow:
        first, last = (heads[0].n, heads[-1].n) if heads else (self._upto + 1, self._upto)
        first_at = min((head.first_at for head in heads), default=self._since)
        readings = sum(head.readings for head in heads)
        return BatchRow(key[0], self._lane, key[1], first, last, readings, first_at, self._sealed_at, None)
