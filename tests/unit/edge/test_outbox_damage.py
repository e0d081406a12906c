"""A damaged outbox opens: what checks out is kept under its key, the rest is certified, nothing loops."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.outbox import Outbox, OutboxFailing, OutboxUnusable, Sealed, ballast
from edge.outbox.file import BatchRow, Epoch
from edge.outbox.loss import DAMAGED
from edge.outbox.mend import Found, Head, mend
from telemetry.batch import Lane, decode
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
LATER = Micros(T0 + 60_000_000)
PAGE = 4096


def reading(n: int, device: str = "b3-meter") -> Reading:
    return Reading(device=device, kind=Kind.ENERGY, at=T0 + n, values={"voltage": random.Random(n).random()})


def opened(path: Path) -> Outbox:
    return Outbox.open(path / "outbox.db", gateway="gw-test", now=LATER)


def batches(outbox: Outbox) -> list[Sealed]:
    """Everything that is to be sent; damage that is only found now is salvaged as it is while the agent runs."""
    for _ in range(2):
        try:
            return [
                sealed
                for span in outbox.spans()
                for sealed in asyncio.run(outbox.call(outbox.batches, span.epoch, span.lane, span.first - 1, 100_000))
            ]
        except OutboxFailing:
            outbox.seal(LATER)
    raise AssertionError("it is still damaged")


def readings_in(sealed: Sealed) -> list[Reading]:
    return decode(sealed.message(T0, False)).batch.readings


def sent(outbox: Outbox) -> list[Reading]:
    return [one for sealed in batches(outbox) for one in readings_in(sealed)]


def by_key(outbox: Outbox) -> dict[tuple[str, Lane, int], set[int]]:
    """The instants in each batch, certificates left out."""
    return {(sealed.epoch, sealed.lane, sealed.seq): kept(readings_in(sealed)) for sealed in batches(outbox)}


def certified(found: list[Reading]) -> int:
    return sum(int(one.values["loss_count"]) for one in found if one.values.get("loss_reason") == DAMAGED)


def untold(found: list[Reading]) -> set[int]:
    """Instants that are gone and that no certificate names."""
    told = [(int(one.values["loss_from"]), int(one.values["loss_to"])) for one in found if "loss_from" in one.values]
    return {at for at in ACCEPTED - kept(found) if not any(first <= at <= last for first, last in told)}


def kept(found: list[Reading]) -> set[int]:
    return {one.at for one in found if one.kind is Kind.ENERGY}


BATCHES, EACH = 60, 20
SEALED = Micros(T0 + 10_000)
ACCEPTED = {T0 + n for n in range(BATCHES * EACH + 10)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An outbox of 60 bulk batches, 10 urgent ones and some chunks not sealed, closed."""
    outbox = opened(tmp_path)
    for n in range(BATCHES):
        outbox.append([reading(n * EACH + k) for k in range(EACH)], Lane.BULK, SEALED)
        if n < BATCHES - 3:
            outbox.seal(SEALED, force=True)
    for n in range(10):
        outbox.append([reading(BATCHES * EACH + n)], Lane.URGENT, SEALED)
    outbox.close()
    return tmp_path


def edited(path: Path, *statements: str) -> None:
    with sqlite3.connect(path / "outbox.db") as other:
        for statement in statements:
            other.execute(statement)


def overwritten(path: Path, at: int, with_: bytes) -> None:
    with (path / "outbox.db").open("r+b") as file:
        file.seek(at)
        file.write(with_)


def cut_in_half(path: Path) -> None:
    size = (path / "outbox.db").stat().st_size
    with (path / "outbox.db").open("r+b") as file:
        file.truncate(size // 2 // PAGE * PAGE)


def made_zeros(path: Path) -> None:
    overwritten(path, 0, bytes((path / "outbox.db").stat().st_size))


def header_gone(path: Path) -> None:
    overwritten(path, 0, b"\xa5" * 100)


def middle_gone(path: Path) -> None:
    overwritten(path, 8 * PAGE, random.Random(1).randbytes(2 * PAGE))


def text_instead(path: Path) -> None:
    (path / "outbox.db").write_text("this is not a database\n" * 400)


def emptied(path: Path) -> None:
    (path / "outbox.db").write_bytes(b"")


def removed(path: Path) -> None:
    (path / "outbox.db").unlink()


@pytest.mark.parametrize(
    "damage", [cut_in_half, made_zeros, header_gone, middle_gone, text_instead, emptied, removed], ids=lambda done: done.__name__
)
def test_it_opens_whatever_the_damage_says_so_and_goes_on(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    for _ in range(2):  # faults are found at the second start
        outbox = opened(path)
        assert kept(sent(outbox)) <= ACCEPTED
        assert certified(sent(outbox)) > 0 or kept(sent(outbox)) == ACCEPTED
        outbox.append([reading(9_999)], Lane.URGENT, LATER)
        assert T0 + 9_999 in kept(sent(outbox))
        outbox.acknowledge(outbox.epoch, Lane.URGENT, 1, LATER)
        outbox.close()


def test_a_lost_header_alone_loses_nothing(path: Path) -> None:
    header_gone(path)
    assert kept(sent(opened(path))) == ACCEPTED


def test_pages_that_are_gone_cost_what_stood_on_them(path: Path) -> None:
    middle_gone(path)
    outbox = opened(path)
    missing = ACCEPTED - kept(sent(outbox))
    assert 0 < len(missing) <= 24 * EACH  # a page holds a dozen chunks
    assert certified(sent(outbox)) >= len(missing)


def test_the_damaged_file_is_set_aside_and_only_the_newest_is_kept(path: Path) -> None:
    header_gone(path)
    opened(path).close()
    assert len(list(path.glob("outbox.db.damaged-*"))) == 1
    header_gone(path)
    Outbox.open(path / "outbox.db", gateway="gw-test", now=Micros(LATER + 5_000_000)).close()
    aside = [file.name for file in path.glob("outbox.db.damaged-*")]
    assert aside == [f"outbox.db.damaged-{LATER // 1_000_000 + 5}"]
    assert not list(path.glob("outbox.db.salvage*")) + list(path.glob("outbox.db.new*"))


@pytest.mark.parametrize(
    "row",
    [
        "UPDATE batch SET first = first + 1 WHERE lane = 'bulk' AND seq = 20",
        "UPDATE batch SET seq = 2000 WHERE lane = 'bulk' AND seq = 20",
        "UPDATE batch SET count = 7, sealed_at = 0 WHERE lane = 'urgent' AND seq > 3 AND seq < 7",
        "UPDATE batch SET crc = crc + 1 WHERE lane = 'bulk' AND seq = 1 AND epoch = 1",
    ],
)
def test_a_batch_whose_neighbours_leave_no_doubt_keeps_its_key_and_its_readings(path: Path, row: str) -> None:
    before = by_key_as_stored(path)
    edited(path, row)
    after = by_key(opened(path))
    assert {key: instants for key, instants in after.items() if key in before} == before
    assert sum(map(len, after.values())) == len(ACCEPTED)


def by_key_as_stored(path: Path) -> dict[tuple[str, Lane, int], set[int]]:
    """Also seals what was not, so that a later start finds the same."""
    outbox = opened(path)
    found = by_key(outbox)
    outbox.close()
    return found


def test_batches_that_neighbours_cannot_tell_are_sealed_anew_and_their_seqs_stay_as_tombstones(path: Path) -> None:
    before = by_key_as_stored(path)
    first = next(iter(before))[0]
    edited(
        path,
        "UPDATE batch SET crc = 0 WHERE epoch = 1 AND lane = 'bulk' AND seq BETWEEN 20 AND 23",
        "DELETE FROM chunk WHERE lane = 'bulk' AND n = 22",
    )
    outbox = opened(path)
    after = by_key(outbox)
    assert [seq for epoch, lane, seq in after if epoch == first and lane is Lane.BULK] == list(range(1, BATCHES - 2))
    assert all(not after[(first, Lane.BULK, seq)] for seq in (20, 21, 22, 23))
    missing = ACCEPTED - kept(sent(outbox))
    assert len(missing) == EACH
    telling = [sealed.seq for sealed in batches(outbox) if certified(readings_in(sealed))]
    assert telling == [23]  # the centre that has this batch has the others
    assert not untold(sent(outbox))


def test_a_chunk_under_another_number_is_not_sent_in_the_place_of_that(path: Path) -> None:
    before = by_key_as_stored(path)
    edited(path, "DELETE FROM chunk WHERE lane = 'bulk' AND n = 22", "UPDATE chunk SET n = 22 WHERE lane = 'bulk' AND n = 21")
    outbox = opened(path)
    after = by_key(outbox)
    assert [key for key in before if not after[key] <= before[key]] == []
    assert len(ACCEPTED - kept(sent(outbox))) == 2 * EACH == certified(sent(outbox))


def test_what_a_chunk_says_wrongly_of_itself_is_counted_anew(path: Path) -> None:
    edited(path, "UPDATE chunk SET count = 3, first_at = 5 WHERE lane = 'bulk' AND n IN (7, 59)")
    outbox = opened(path)
    assert (outbox.salvaged, outbox.pending().readings, outbox.pending().oldest_at) == (1, len(ACCEPTED), T0)
    found = sent(outbox)
    assert (kept(found), certified(found)) == (ACCEPTED, 0)


def place_of(path: Path, lane: Lane, n: int) -> tuple[bytes, int]:
    """The file, and where the body of a chunk stands in it."""
    with sqlite3.connect(path / "outbox.db") as other:
        (body,) = other.execute("SELECT body FROM chunk WHERE lane=? AND n=?", (lane, n)).fetchone()
    whole = (path / "outbox.db").read_bytes()
    return whole, whole.index(body)


def test_a_key_out_of_order_hides_nothing_that_stands_behind_it(path: Path) -> None:
    whole, at = place_of(path, Lane.BULK, 30)
    overwritten(path, whole.rindex(b"bulk", 0, at), b"zulk")
    found = sent(opened(path))
    assert len(ACCEPTED - kept(found)) <= EACH
    assert not untold(found)


def test_the_last_chunk_that_a_wrong_page_hides_without_an_error_is_told(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    for n in range(3):
        outbox.append([reading(n)], Lane.BULK, SEALED)
    outbox.close()
    _, at = place_of(tmp_path, Lane.BULK, 3)
    overwritten(tmp_path, at // PAGE * PAGE + 3, (2).to_bytes(2, "big"))  # how many rows are on the page
    found = sent(opened(tmp_path))
    assert kept(found) == {T0, T0 + 1}
    (told,) = [one.values for one in found if "loss_from" in one.values]
    assert int(told["loss_from"]) <= T0 + 2 <= int(told["loss_to"])


def test_a_chunk_that_is_gone_among_those_not_sealed_is_told(path: Path) -> None:
    edited(path, f"DELETE FROM chunk WHERE lane = 'bulk' AND n = {BATCHES - 1}")
    found = sent(opened(path))
    assert len(ACCEPTED - kept(found)) == EACH
    assert certified(found) == 1 and not untold(found)


def test_what_was_sent_in_part_is_never_sent_in_full_later(path: Path) -> None:
    edited(path, "DELETE FROM chunk WHERE lane = 'bulk' AND n = 9")
    outbox = opened(path)
    first = by_key(outbox)
    assert outbox.salvaged == 1
    outbox.close()
    again = opened(path)
    assert {key: instants for key, instants in by_key(again).items() if key in first} == first
    assert again.salvaged == 0


def test_batches_before_the_first_that_is_left_are_not_offered(path: Path) -> None:
    outbox = opened(path)
    first = outbox.spans()[0].epoch
    outbox.acknowledge(first, Lane.BULK, 2, T0)
    outbox.close()
    edited(path, "UPDATE mark SET seq = 50", "DELETE FROM batch WHERE epoch = 1 AND lane = 'bulk' AND seq <= 3")
    again = opened(path)
    span = next(span for span in again.spans() if (span.epoch, span.lane) == (first, Lane.BULK))
    assert (span.first, again.batches(first, Lane.BULK, 0, 1)[0].seq) == (4, 4)
    assert kept(sent(again)) == ACCEPTED


def test_a_batch_is_not_put_together_across_an_epoch_that_nobody_knows() -> None:
    epochs = [Epoch(1, "a" * 16, None, 0, 0), Epoch(3, "c" * 16, "b" * 16, 0, 1)]
    known = [BatchRow(n, Lane.BULK, seq, chunk, chunk, 1, T0, T0, None) for n, seq, chunk in ((1, 1, 1), (3, 2, 3))]
    chunks = {Lane.URGENT: [], Lane.BULK: [Head(n, 1, T0) for n in (1, 2, 3)]}  # the second may be of epoch 2
    mended = mend(Found(epochs, {}, True, known, chunks, {lane: [] for lane in Lane}), LATER)
    assert (mended.batches, mended.loose[Lane.BULK]) == (known, [2])
    assert [(tomb.batch.epoch, tomb.batch.seq) for tomb in mended.tombs] == [(3, 1)]


def test_a_damaged_mark_forgets_nothing(path: Path) -> None:
    outbox = opened(path)
    first = outbox.spans()[0].epoch
    outbox.acknowledge(first, Lane.BULK, 5, T0)
    outbox.close()
    edited(path, "UPDATE mark SET seq = 50")
    again = opened(path)
    assert kept(sent(again)) == ACCEPTED


def test_a_damaged_epoch_is_known_from_the_one_after_it(path: Path) -> None:
    before = by_key_as_stored(path)
    edited(path, "UPDATE epoch SET id = 'ffffffffffffffff' WHERE n = 1")
    after = by_key(opened(path))
    assert {key: instants for key, instants in after.items() if key in before} == before


def test_a_damaged_chunk_is_sent_as_a_certificate_and_the_rest_of_its_batch_is_whole(path: Path) -> None:
    edited(
        path,
        "UPDATE chunk SET body = zeroblob(length(body)) WHERE n = 5 AND lane = 'bulk'",
        "DELETE FROM chunk WHERE n = 9 AND lane = 'bulk'",
    )
    found = sent(opened(path))
    assert len(ACCEPTED - kept(found)) == 2 * EACH
    assert certified(found) == 2 * EACH


def test_a_chunk_damaged_before_it_was_sealed_is_certified(path: Path) -> None:
    edited(path, f"UPDATE chunk SET crc = crc + 1 WHERE n = {BATCHES} AND lane = 'bulk'")
    found = sent(opened(path))
    assert len(ACCEPTED - kept(found)) == EACH
    assert certified(found) == EACH


def test_a_salvage_that_was_interrupted_is_finished_at_the_next_start(path: Path) -> None:
    header_gone(path)
    expected = kept_after_salvage_of_a_copy(path)
    (path / "outbox.db").rename(path / "outbox.db.salvage")
    (path / "outbox.db.new").write_bytes(b"half written")
    assert kept(sent(opened(path))) == expected


def kept_after_salvage_of_a_copy(path: Path) -> set[int]:
    copy = path / "copy"
    copy.mkdir()
    (copy / "outbox.db").write_bytes((path / "outbox.db").read_bytes())
    return kept(sent(opened(copy)))


def test_a_salvage_interrupted_after_its_new_file_stood_only_clears_up(path: Path) -> None:
    (path / "outbox.db.salvage").write_bytes(b"the damaged one")
    assert kept(sent(opened(path))) == ACCEPTED
    assert (path / f"outbox.db.damaged-{LATER // 1_000_000}").read_bytes() == b"the damaged one"


async def test_damage_found_while_it_runs_is_salvaged_before_the_next_write(path: Path) -> None:
    outbox = opened(path)
    epoch = outbox.epoch
    middle_gone(path)
    edited(path, "CREATE TABLE other (n)")  # so that nothing is remembered of the pages
    first = outbox.spans()[0]
    with pytest.raises(OutboxFailing, match="malformed"):
        await outbox.call(outbox.batches, first.epoch, Lane.BULK, 0, 1_000)
    await outbox.call(outbox.append, [reading(9_999)], Lane.URGENT, LATER)
    assert outbox.salvaged == 1
    assert outbox.epoch != epoch
    (sealed,) = await outbox.call(outbox.batches, outbox.epoch, Lane.URGENT, 0, 10)
    assert kept(readings_in(sealed)) == {T0 + 9_999}


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 3, 50])
def test_bits_flipped_anywhere_never_refuse_never_lose_in_silence_and_put_nothing_under_another_key(
    path: Path, bits: int
) -> None:
    before = by_key_as_stored(path)
    whole = (path / "outbox.db").read_bytes()
    chance = random.Random(bits)
    for attempt in range(25):
        damaged = bytearray(whole)
        for _ in range(bits):
            damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        (path / "outbox.db").write_bytes(damaged)
        outbox = opened(path)
        found, after = sent(outbox), by_key(outbox)
        assert not untold(found), f"attempt {attempt}"
        assert kept(found) <= ACCEPTED
        assert [key for key in before.keys() & after.keys() if not after[key] <= before[key]] == [], f"attempt {attempt}"
        outbox.close()
        ballast.drop(path / "outbox.db")


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_torn_log_goes_back_to_the_last_whole_commit_and_uses_no_key_again(tmp_path: Path, share: float) -> None:
    outbox = opened(tmp_path)  # never closed: everything is in the log
    for n in range(50):
        outbox.append([reading(n)], Lane.URGENT, T0)
    epoch = outbox.epoch
    log = tmp_path / "outbox.db-wal"
    torn = log.read_bytes()[: int(log.stat().st_size * share)]
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "outbox.db").write_bytes((tmp_path / "outbox.db").read_bytes())
    (copy / "outbox.db-wal").write_bytes(torn)
    again = opened(copy)
    assert again.epoch != epoch
    back = kept(sent(again))
    assert back == {T0 + n for n in range(len(back))}
    assert len(back) < 50


class Killed(BaseException):
    """What is written after it was not."""


def killed(*_: object) -> None:
    raise Killed


def test_a_file_that_is_gone_is_told_though_the_start_that_found_it_was_killed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed(path)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("edge.outbox.salvage._certify", killed)
        opened(path)
    assert certified(sent(opened(path))) > 0


def test_the_log_of_an_earlier_damaged_file_is_no_part_of_this_one(path: Path) -> None:
    """A kill between the two moves that set a damaged file aside leaves its log behind."""
    header_gone(path)
    expected = kept_after_salvage_of_a_copy(path)
    (path / "earlier").mkdir()
    earlier = opened(path / "earlier")
    earlier.append([reading(7_000 + n) for n in range(300)], Lane.BULK, SEALED)
    (path / "outbox.db.salvage-wal").write_bytes((path / "earlier" / "outbox.db-wal").read_bytes())
    assert kept(sent(opened(path))) == expected


def test_a_salvage_that_the_disk_does_not_take_leaves_what_there_is_and_takes_no_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header_gone(path)
    expected = kept_after_salvage_of_a_copy(path)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch, pytest.raises(OutboxUnusable):
        patch.setattr("edge.outbox.salvage._certify", full)
        opened(path)
    assert not list(path.glob("outbox.db.new*")) + list(path.glob("*.ballast"))
    assert kept(sent(opened(path))) == expected
