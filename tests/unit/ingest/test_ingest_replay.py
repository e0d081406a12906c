"""A replay takes what it asked for, puts it back once, and ends in bounded time whatever its gateway does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ingest import replay
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.metrics import Stats
from ingest.once import KeyReused, Once
from ingest.replay import ABREAST, BEGIN_S, KEPT, SILENT_S, STRAGGLERS_S, Part, Replays, Stage
from ingest.store import EmbeddedStore, Query, Refusal
from telemetry import command
from telemetry.command import Command, Reply
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T = 1_790_000_000_000_000
KEY = b"k" * 32
GW = GatewayRef("411202002001", "gw-1")
OTHER = GatewayRef("411202002001", "gw-2")


class Store(EmbeddedStore):
    """One that can be switched off, and remembers the size of what it was given at once."""

    down = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.given: list[int] = []

    async def restore(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        self.given.append(sum(len(arrival.readings) for arrival in arrivals))
        if self.down:
            raise StoreUnavailable("switched off")
        return await super().restore(arrivals)


class World:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "points.duckdb")
        self.now_s = 100.0
        self.offline: set[GatewayRef] = set()
        self.unregistered: set[GatewayRef] = set()
        self.stats = Stats()
        self.commands: asyncio.Queue[tuple[GatewayRef, bytes]] = asyncio.Queue(100)
        self.ids = iter(f"{number:016x}" for number in range(1, 1_000))
        self.database = Database(folder / "centre.db")
        self.replays = self.centre()

    def centre(self) -> Replays:
        """The replays of a centre that has just started."""
        return Replays(
            self.store,
            self.database,
            self.commands,
            lambda ref: None if ref in self.unregistered else KEY,
            lambda ref: ref not in self.offline,
            self.stats,
            lambda: Micros(T),
            lambda: self.now_s,
            lambda: next(self.ids),
        )

    def open(self, *refs: GatewayRef) -> replay.Replay:
        return self.replays.open(refs or (GW,), T - 3600, T, "somebody")

    def asked(self) -> list[tuple[GatewayRef, Command]]:
        found = []
        while not self.commands.empty():
            ref, message = self.commands.get_nowait()
            found.append((ref, command.decode(message, ref, KEY)))
        return found

    def pass_(self, seconds: float) -> None:
        self.now_s += seconds
        self.replays.advance()

    def reply(self, batches: int, done: bool = True, problem: str = "", ref: GatewayRef = GW, number: int = 1) -> None:
        said = Reply(id=f"{number:016x}", at=T, done=done, batches=batches, problem=problem)
        self.replays.replied(ref, said)
        self.replays.advance()

    def send(self, seq: int, readings: int = 2, ref: GatewayRef = GW, number: int = 1, metric: str = "level") -> None:
        said = [
            Reading(device="b3-sump", kind=Kind.ENVIRONMENT, at=T + 10 * seq + n, values={metric: 1.0}) for n in range(readings)
        ]
        stream = Stream(*ref, "0" * 16, "bulk")
        self.replays.restore(ref, f"{number:016x}", Arrival(stream, seq, said, Micros(T)))

    async def written(self) -> None:
        async with asyncio.timeout(10):
            while self.replays._waiting:
                await asyncio.sleep(0.001)

    async def stored(self) -> list[int]:
        rows = await self.store.read(Query(("41",), newest_first=False))
        return [row.at - T for row in rows]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.store.open()
    running = asyncio.create_task(made.replays.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await made.store.close()
    made.database.close()


async def test_a_gateway_is_asked_with_its_own_signature_and_what_it_sends_is_stored(world: World) -> None:
    part = world.open().parts[GW]
    ((ref, asked),) = world.asked()
    assert (ref, asked.start, asked.end, asked.expires_at - asked.at) == (GW, T - 3600, T, BEGIN_S * 1e6)
    assert part.stage is Stage.ASKED
    world.send(1)
    world.send(2)
    world.reply(1, done=False)
    assert part.stage is Stage.SENDING
    await world.written()
    world.reply(2)
    assert (part.stage, part.came, part.written, part.readings, part.problem) == (Stage.DONE, 2, 2, 4, "")
    assert await world.stored() == [10, 11, 20, 21]
    assert await world.store.watermarks() == {}


async def test_asked_for_again_under_its_key_it_is_the_same_replay_also_after_a_restart(world: World) -> None:
    once = Once("operator", "monday", "a hash of what was asked")

    async def ask(replays: Replays, once: Once | None) -> replay.Replay:
        return await replays.open_once([GW], T - 3600, T, "somebody", once)

    first = await ask(world.replays, once)
    assert await ask(world.replays, once) is first
    assert len(world.asked()) == 1
    assert (await ask(world.replays, None)).id != first.id
    anew = world.centre()
    world.asked()
    again = await ask(anew, once)
    assert (again.id, len(world.asked()), anew.find(first.id)) == (first.id, 1, again)
    with pytest.raises(KeyReused):
        await ask(world.replays, once._replace(asked="another hash"))


async def test_what_nobody_asked_for_is_counted_and_dropped(world: World) -> None:
    world.open()
    world.send(1, ref=OTHER)
    world.send(1, number=9)
    world.reply(1, ref=OTHER)
    world.reply(1, number=9)
    await world.written()
    assert world.stats.unasked == 4
    assert await world.stored() == []


async def test_a_replay_is_over_only_when_all_that_came_is_written(world: World) -> None:
    world.store.down = True
    part = world.open().parts[GW]
    world.send(1)
    world.reply(1)
    world.pass_(SILENT_S + 1)
    assert part.stage is Stage.SENDING
    world.store.down = False
    await world.written()
    world.pass_(0)
    assert part.stage is Stage.DONE


async def test_batches_that_come_after_the_last_word_are_waited_for(world: World) -> None:
    part = world.open().parts[GW]
    world.reply(1)
    world.pass_(STRAGGLERS_S - 1)
    assert part.stage is Stage.SENDING
    world.send(1)
    await world.written()
    world.pass_(0)
    assert part.stage is Stage.DONE


async def test_batches_that_never_come_make_it_fail(world: World) -> None:
    part = world.open().parts[GW]
    world.send(1)
    await world.written()
    world.reply(3)
    world.pass_(STRAGGLERS_S + 0.1)
    assert (part.stage, part.problem) == (Stage.FAILED, "2 batches were lost on the way; ask again")


async def test_batches_without_room_are_dropped_counted_and_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "CAPACITY", 5)
    world.store.down = True
    part = world.open().parts[GW]
    for seq in range(1, 5):
        world.send(seq)
    assert (part.came, part.dropped) == (4, 2)
    world.store.down = False
    await world.written()
    world.reply(4)
    assert (part.stage, part.problem) == (Stage.FAILED, "2 batches were lost on the way; ask again")
    assert await world.stored() == [10, 11, 20, 21]
    world.open()
    world.send(5, number=2)
    await world.written()
    assert (await world.stored())[4:] == [50, 51]


@pytest.mark.parametrize("problem", ["nothing is kept that far back", "busy with another replay"])
async def test_what_a_gateway_says_against_it_ends_its_part(world: World, problem: str) -> None:
    part = world.open().parts[GW]
    world.reply(0, problem=problem)
    assert (part.stage, part.problem) == (Stage.FAILED, problem)


async def test_a_gateway_that_sent_all_it_keeps_is_done_and_what_it_keeps_no_more_is_told(world: World) -> None:
    part = world.open().parts[GW]
    world.send(1)
    await world.written()
    world.reply(1, problem="nothing is kept that was sealed before then")
    assert (part.stage, part.problem) == (Stage.DONE, "nothing is kept that was sealed before then")


async def test_a_gateway_that_does_not_answer_or_stops_ends_its_part_in_bounded_time(world: World) -> None:
    part = world.open().parts[GW]
    world.pass_(BEGIN_S)
    assert part.stage is Stage.ASKED
    world.pass_(0.1)
    assert (part.stage, part.problem) == (Stage.FAILED, "it did not answer; perhaps its program is older")
    second = world.open().parts[GW]
    world.reply(7, done=False, number=2)
    world.pass_(SILENT_S)
    assert second.stage is Stage.SENDING
    world.pass_(0.1)
    assert (second.stage, second.problem) == (Stage.FAILED, "it stopped answering")


async def test_a_gateway_that_is_offline_or_unknown_is_not_asked(world: World) -> None:
    world.offline, world.unregistered = {GW}, {OTHER}
    parts = world.open(GW, OTHER).parts
    assert world.asked() == []
    assert [(part.stage, part.problem.partition(";")[0]) for part in parts.values()] == [
        (Stage.FAILED, "it is offline"),
        (Stage.FAILED, "it is not registered"),
    ]


async def test_gateways_are_asked_a_few_at_a_time(world: World) -> None:
    refs = [GW._replace(gateway=f"gw-{number}") for number in range(ABREAST + 2)]
    parts = world.open(*refs).parts
    assert [ref for ref, _ in world.asked()] == refs[:ABREAST]
    world.reply(0, ref=refs[0])
    world.pass_(0)
    assert parts[refs[0]].stage is Stage.DONE
    assert [ref for ref, _ in world.asked()] == [refs[ABREAST]]
    assert parts[refs[-1]].stage is Stage.WAITING


async def test_old_replays_are_forgotten(world: World) -> None:
    first = world.open()
    for _ in range(KEPT - 1):
        world.open()
    assert world.replays.find(first.id) is first
    world.open()
    assert world.replays.find(first.id) is None


async def test_what_the_store_refuses_is_counted(world: World) -> None:
    part: Part = world.open().parts[GW]
    world.send(1, metric="nonsense")
    world.send(2)
    await world.written()
    assert (part.written, part.refused) == (2, 1)


async def test_batches_are_written_together_in_bounds_and_a_large_one_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "GROUP", 5)
    world.open()
    for seq, readings in enumerate((2, 3, 1, 7, 2), 1):
        world.send(seq, readings)
    await world.written()
    assert world.store.given == [5, 1, 7, 2]
