"""Dead letters are read within a scope, tried again with what is known today, and leave the box when nothing of them is left."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ingest import deadletter, letterbox, tally
from ingest.arrival import Arrival
from ingest.audit import Cause, Evidence, compare
from ingest.database import Database
from ingest.deadletter import DeadLetter, set_aside
from ingest.letterbox import After, Letter, Letterbox
from ingest.once import KeyReused, Once
from ingest.store import HOUR_US, EmbeddedStore, Hour, Query
from ingest.tally import Taken
from telemetry import batch
from telemetry.batch import Batch, Lane, Poison
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

pytestmark = pytest.mark.both_databases

T = 497_222 * HOUR_US
REF = GatewayRef("411202002001", "gw-1")
ELSEWHERE = GatewayRef("420102001001", "gw-9")
HERE = Scope(["41"])
EPOCH = "0123456789abcdef"
ORIGIN = f"{EPOCH} bulk 7"
SOUND = Reading(device="b3-sump", kind=Kind.ENVIRONMENT, at=T + 5, values={"level": 1.5})
UNSOUND = msgspec.structs.replace(SOUND, at=T + 6, values={"colour": "blue"})


class World:
    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "centre.db")
        self.store = EmbeddedStore(folder / "points.duckdb")
        self.box = Letterbox(self.database, self.store, lambda: Micros(T + 9))

    async def letter(self, body: bytes, origin: str = ORIGIN, ref: GatewayRef = REF, reason: str = "why", at: int = T) -> Letter:
        await set_aside(self.database, [DeadLetter(ref, origin, reason, body)], Micros(at))
        return (await self.box.page(Scope(["41", "42"]), None, None, 500))[0][0]

    async def took(self, arrival: Arrival) -> None:
        """As the alert transaction does."""
        await self.database.write(lambda connection: tally.add(connection, tally.count([arrival])))

    async def audited(self) -> dict[Cause, int | None]:
        taken = await self.database.read(lambda connection: tally.hours(connection, HERE, None, T, T + HOUR_US))
        stored = await self.store.counts(Query(("41",), start=T, end=T + HOUR_US))
        return {one.cause: one.readings for one in compare(Evidence(taken, stored, taken)).findings}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.store.open()
    yield made
    await made.store.close()
    made.database.close()


def whole(*readings: Reading) -> bytes:
    head = {"gateway": REF.gateway, "epoch": EPOCH, "lane": Lane.BULK, "seq": 7, "sealed_at": T, "sent_at": T}
    return batch.encode(Batch(**head, readings=list(readings)))


async def test_pages_come_last_letter_first_and_show_nothing_of_another_scope(world: World) -> None:
    letters = [await world.letter(b"%d" % n, at=T + n) for n in range(5)]
    await world.letter(b"theirs", ref=ELSEWHERE, at=T + 99)
    first, after = await world.box.page(HERE, None, None, 2)
    assert first == letters[:2:-1]
    assert after == After(T + 3, letters[3].id)
    second, then = await world.box.page(HERE, None, after, 3)
    assert (second, then) == (letters[2::-1], None)
    assert await world.box.page(HERE, "gw-9", None, 9) == ([], None)
    assert await world.box.page(Scope([]), None, None, 9) == ([], None)


async def test_nothing_outside_the_scope_is_told_tried_or_dropped(world: World) -> None:
    theirs = await world.letter(batch.encode_readings([SOUND]), ref=ELSEWHERE)
    assert await world.box.get(HERE, theirs.id) is None
    assert await world.box.try_again(HERE, theirs.id) is None
    assert not await world.box.drop(HERE, theirs.id)
    assert await world.box.get(Scope(["42"]), theirs.id) == theirs


async def test_a_dropped_letter_is_gone(world: World) -> None:
    letter = await world.letter(b"x")
    assert await world.box.drop(HERE, letter.id)
    assert not await world.box.drop(HERE, letter.id)
    assert await world.box.get(HERE, letter.id) is None


async def test_a_reading_that_is_sound_today_is_stored_and_missing_no_more(world: World) -> None:
    body = msgspec.json.encode(SOUND)
    await world.took(Arrival(Stream(*REF, EPOCH, "bulk"), 7, (), Micros(T), (Poison(body, "was unknown then"),)))
    letter = await world.letter(body)
    assert await world.audited() == {Cause.DEAD_LETTER: 1}
    assert await world.box.try_again(HERE, letter.id) == (1, True, "")
    assert await world.box.get(HERE, letter.id) is None
    assert [row.at for row in await world.store.read(Query(("41",)))] == [SOUND.at]
    assert await world.audited() == {}


async def test_tried_again_under_one_key_it_is_tried_once_and_the_answer_stays(world: World) -> None:
    once = Once("operator", "monday", "a hash of what was asked")
    letter = await world.letter(msgspec.json.encode(SOUND))
    assert await world.box.try_again(HERE, letter.id, once) == (1, True, "")
    assert await world.box.try_again(HERE, letter.id, once) == (1, True, "")
    assert await world.box.try_again(HERE, letter.id) is None
    with pytest.raises(KeyReused):
        await world.box.try_again(HERE, letter.id, once._replace(asked="another hash"))
    bad, other = await world.letter(msgspec.json.encode(UNSOUND)), once._replace(key="tuesday")
    refused = await world.box.try_again(HERE, bad.id, other)
    assert await world.box.drop(HERE, bad.id)
    assert await world.box.try_again(HERE, bad.id, other) == refused


async def test_a_reading_that_the_store_refused_was_in_the_tally_already(world: World) -> None:
    await world.took(Arrival(Stream(*REF, EPOCH, "bulk"), 7, (SOUND,), Micros(T)))
    letter = await world.letter(msgspec.json.encode(SOUND))
    assert await world.audited() == {Cause.UNEXPLAINED: 1}
    assert await world.box.try_again(HERE, letter.id) == (1, True, "")
    assert await world.audited() == {}


async def test_what_is_still_unsound_stays_with_its_reason(world: World) -> None:
    letter = await world.letter(msgspec.json.encode(UNSOUND))
    tried = await world.box.try_again(HERE, letter.id)
    assert tried is not None
    assert (tried.stored, tried.gone) == (0, False)
    assert "colour" in tried.reason
    assert await world.box.get(HERE, letter.id) == letter


async def test_of_a_whole_batch_the_sound_part_is_stored_and_the_rest_set_aside_by_itself(world: World) -> None:
    body = whole(SOUND, UNSOUND, msgspec.structs.replace(SOUND, at=T + 7))
    await world.took(Arrival(Stream(*REF, EPOCH, "bulk"), 7, (), Micros(T), (Poison(body, "was not understood"),)))
    letter = await world.letter(body)
    tried = await world.box.try_again(HERE, letter.id)
    assert tried is not None
    assert (tried.stored, tried.gone) == (2, True)
    (rest,) = (await world.box.page(HERE, None, None, 9))[0]
    assert (msgspec.json.decode(rest.body)["at"], rest.origin) == (UNSOUND.at, ORIGIN)
    assert await world.audited() == {Cause.DEAD_LETTER: 1}


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"{}", b'{"device":"x"}', b"x\x9c damaged", b"[" * 100_000])
async def test_what_nobody_can_read_stays(world: World, body: bytes) -> None:
    letter = await world.letter(body)
    tried = await world.box.try_again(HERE, letter.id)
    assert tried is not None
    assert (tried.stored, tried.gone) == (0, False)
    assert tried.reason


async def test_a_message_of_no_acknowledged_batch_is_left_to_its_gateway(world: World) -> None:
    letter = await world.letter(whole(SOUND), origin="linli/v1/7/411202002001/gw-1/up")
    tried = await world.box.try_again(HERE, letter.id)
    assert tried is not None
    assert "sends it again by itself" in tried.reason
    assert await world.store.read(Query(("41",))) == []


async def test_of_letters_that_were_only_counted_there_is_nothing_to_try(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletter, "MAX_OF_GATEWAY", 0)
    counted = await world.letter(whole(SOUND))
    tried = await world.box.try_again(HERE, counted.id)
    assert tried is not None
    assert (tried.gone, tried.reason) == (False, f"{deadletter.NO_ROOM}, and nothing of them was kept")


async def test_a_batch_of_another_gateway_is_not_taken(world: World) -> None:
    letter = await world.letter(whole(SOUND), ref=REF._replace(gateway="gw-2"))
    tried = await world.box.try_again(HERE, letter.id)
    assert tried is not None
    assert (tried.gone, "gw-1" in tried.reason) == (False, True)


async def test_what_was_said_twice_never_takes_the_place_of_what_was_taken(world: World) -> None:
    twin = msgspec.structs.replace(SOUND, values={"level": 9.5})
    decoded = batch.decode(whole(SOUND, twin))
    arrival = Arrival(Stream(*REF, EPOCH, "bulk"), 1, decoded.batch.readings, Micros(T), decoded.poison)
    await world.took(arrival)
    await world.store.write([arrival])
    (poison,) = decoded.poison
    letter = await world.letter(poison.body, reason=poison.reason)
    tried = await world.box.try_again(HERE, letter.id)
    assert tried is not None
    assert (tried.stored, tried.gone) == (0, False)
    assert [row.value for row in await world.store.read(Query(("41",)))] == [1.5]
    assert await world.audited() == {Cause.DEAD_LETTER: 1}


async def test_what_was_said_twice_is_no_witness_for_other_readings(world: World) -> None:
    await world.letter(msgspec.json.encode(SOUND), reason=batch.SAID_TWICE)
    assert not await world.database.read(lambda connection: letterbox.sound_by_hour(connection, REF))


async def test_sound_readings_among_the_letters_are_those_that_a_store_refused(world: World) -> None:
    for body in (msgspec.json.encode(SOUND), msgspec.json.encode(UNSOUND), b"x", whole(SOUND)):
        await world.letter(body)
    await world.letter(msgspec.json.encode(SOUND), ref=ELSEWHERE)
    found = await world.database.read(lambda connection: letterbox.sound_by_hour(connection, REF))
    assert found == {Hour(*REF, T): 1}


async def test_a_message_put_right_counts_in_the_tally_once(world: World) -> None:
    body = whole(SOUND)
    await world.took(Arrival(Stream(*REF, EPOCH, "bulk"), 7, (), Micros(T), (Poison(body, "why"),)))
    letter = await world.letter(body)
    await world.box.try_again(HERE, letter.id)
    taken = await world.database.read(lambda connection: tally.hours(connection, HERE, None, T, T + HOUR_US))
    assert taken == {Hour(*REF, T): Taken(1, 0)}
