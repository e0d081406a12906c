"""Moves what checks out of a damaged outbox into a new file, and sets the damaged one aside.

1. Whatever the damage, a usable file stands in its place afterwards; only a newer version, or a disk that takes nothing,
   stops it.
2. Row by row: a page that cannot be read costs what stood on it (``wreck``).
3. What is lost is certified: in the tombstone of its batch, or in a certificate of its own.
4. A salvage that is interrupted is done again from the start; a new file is there whole, or not at all.
5. The newest damaged file is kept beside the outbox; older ones and the ballast make room for the second copy.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import structlog

from edge.outbox import ballast
from edge.outbox.chunk import chunk_of
from edge.outbox.file import BatchRow, OutboxFile, OutboxUnusable
from edge.outbox.loss import DAMAGED, EVERY_DEVICE, Lost, Place, certificate, damaged, lane_offset, merged
from edge.outbox.mend import UNKNOWN_SINCE_US, Found, Head, mend, since
from edge.outbox.tail import BATCH_READINGS
from edge.outbox.wreck import Wreck, opened, shm_of, wal_of
from telemetry.batch import Lane, encode_readings, pack
from telemetry.reading import EARLIEST

log = structlog.get_logger()


def salvage(path: Path, gateway: str, now: int) -> None:
    """A sound file in the place of the damaged one at ``path``. Raises ``OutboxUnusable`` when the disk takes nothing."""
    wreck = _beside(path, "salvage")
    log.error("outbox is damaged; what can be read of it is moved to a new file", file=str(path))
    try:
        _move(path, wreck)
        _rescue(path, wreck, gateway, now)
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnusable(f"{path} is damaged and cannot be salvaged now: {error}") from error


def resume(path: Path, gateway: str, now: int) -> None:
    """Finishes a salvage that was interrupted, if there was one. Raises ``OutboxUnusable``."""
    wreck = _beside(path, "salvage")
    try:
        if wreck.exists() and path.exists():
            _set_aside(path, wreck, now)
        elif wreck.exists():
            _move(path, wreck)
            _rescue(path, wreck, gateway, now)
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnusable(f"{path} is damaged and cannot be salvaged now: {error}") from error


def emptied(path: Path, gateway: str, now: int) -> None:
    """A new file that says that the one before it is gone: nobody knows what was in it. Raises ``OutboxUnusable``."""
    try:
        with _in_place_of(path) as file:
            _certify(file, gateway, [Lost(EVERY_DEVICE, max(now - UNKNOWN_SINCE_US, EARLIEST), now, 1, DAMAGED)], now)
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnusable(f"{path} is gone and cannot be made anew now: {error}") from error


def _rescue(path: Path, wreck: Path, gateway: str, now: int) -> None:
    for old in path.parent.glob(f"{path.name}.damaged-*"):
        old.unlink()
    ballast.drop(path)
    with contextlib.closing(opened(wreck)) as db, _in_place_of(path) as file:
        reading = Wreck(db)
        _rebuild(reading, file, gateway, now)
        log.warning("outbox salvaged", chunks=reading.copied, batches=reading.batches_read, unreadable=reading.unreadable)
    _set_aside(path, wreck, now)


@contextlib.contextmanager
def _in_place_of(path: Path) -> Iterator[OutboxFile]:
    """A new file that stands at ``path`` after the block, or, when that raises, nowhere."""
    new = _beside(path, "new")
    _drop(new)
    try:
        with contextlib.closing(OutboxFile(new)) as file:
            yield file
            file.checkpoint()
    except BaseException:
        _drop(new)
        raise
    _drop_log(path)  # it would count as the new file's
    new.rename(path)
    _sync(path.parent)


def _rebuild(wreck: Wreck, file: OutboxFile, gateway: str, now: int) -> None:
    wreck.check_pages()
    epochs = wreck.epochs()
    batches, (marks, marks_whole) = wreck.batches([epoch.n for epoch in epochs]), wreck.marks()
    chunks, torn = wreck.copy_chunks(
        file, {lane: max((one.last for one in batches if one.lane is lane), default=0) for lane in Lane}
    )
    held, torn_held = wreck.undated()
    found = Found(epochs, marks, marks_whole, batches, chunks, torn)
    mended = mend(found, now)
    with file.transaction():
        for epoch in mended.epochs:
            file.add_epoch(epoch)
        for (n, lane), seq in mended.marks.items():
            file.set_mark(n, lane, seq)
        for batch in mended.batches:
            file.add_batch(batch)
        for batch, lost in mended.tombs:
            file.add_batch(batch._replace(certificates=_certificates(batch, lost, gateway, now)))
        for device, tally in wreck.thinned().items():
            file.set_thinned(device, tally)
        for one in held:
            file.add_undated(one)
        for lane, numbers in mended.loose.items():
            last = file.last_chunk(lane)
            for new, n in enumerate(numbers, last + 1):
                file.renumber_chunk(lane, n, new)
        for lane in Lane:
            _stand_in(file, [one for one in mended.batches if one.lane is lane], {head.n: head for head in chunks[lane]}, gateway)
    lost_now = [
        Lost(EVERY_DEVICE, head.first_at, max(now, head.first_at), head.readings, DAMAGED) for head in mended.torn + torn_held
    ]
    if wreck.unreadable:
        lost_now.append(Lost(EVERY_DEVICE, min(since(found, now), now), now, 1, DAMAGED))
    _certify(file, gateway, lost_now if len(lost_now) <= BATCH_READINGS // 2 else merged(lost_now), now)


def _stand_in(file: OutboxFile, batches: list[BatchRow], whole: dict[int, Head], gateway: str) -> None:
    """Certificates in the places of the chunks that a batch misses, together of as many readings."""
    for batch in batches:
        numbers = range(batch.first, batch.last + 1) if batch.certificates is None else range(0)
        gone = [n for n in numbers if n not in whole]
        lost = batch.readings - sum(whole[n].readings for n in numbers if n in whole)
        place = Place(gateway, batch.seq, batch.sealed_at)
        for number, n in enumerate(gone):
            readings = max(1, lost - len(gone) + 1) if number == 0 else 1
            told = damaged(batch.first_at, batch.sealed_at, readings)
            file.add_chunk(batch.lane, n, chunk_of([certificate(told, place, lane_offset(batch.lane) + number)]))


def _certificates(batch: BatchRow, lost: int, gateway: str, now: int) -> bytes:
    if not lost:
        return b""
    told = Lost(EVERY_DEVICE, batch.first_at, max(now, batch.first_at), lost, DAMAGED)
    place = Place(gateway, batch.seq, batch.sealed_at)
    return pack(encode_readings([certificate(told, place, lane_offset(batch.lane))]))


def _certify(file: OutboxFile, gateway: str, lost: list[Lost], now: int) -> None:
    """Certificates that no batch of old has a place for: a chunk to be sealed."""
    if not lost:
        return
    place = Place(gateway, 0, now)
    chunk = chunk_of([certificate(one, place, number) for number, one in enumerate(lost)])
    with file.transaction():
        file.add_chunk(Lane.BULK, file.last_chunk(Lane.BULK) + 1, chunk)


def _move(path: Path, wreck: Path) -> None:
    """The file, then its log; what an interrupted move left is moved now."""
    if path.exists():
        wal_of(wreck).unlink(missing_ok=True)  # of an earlier damaged file, whose moving aside was interrupted
        path.rename(wreck)
    if wal_of(path).exists():
        wal_of(path).rename(wal_of(wreck))
    shm_of(path).unlink(missing_ok=True)
    _sync(path.parent)


def _set_aside(path: Path, wreck: Path, now: int) -> None:
    aside = _beside(path, f"damaged-{now // 1_000_000}")
    wreck.rename(aside)
    if wal_of(wreck).exists():
        wal_of(wreck).rename(wal_of(aside))
    shm_of(wreck).unlink(missing_ok=True)


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    _drop_log(path)


def _drop_log(path: Path) -> None:
    for part in (wal_of(path), shm_of(path)):
        part.unlink(missing_ok=True)


def _beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.name}.{word}")


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
