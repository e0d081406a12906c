"""The Modbus rows of the bad-input matrix, and of the fault matrix those of line (25), connection (26) and dead units (27).

Each row spoils what one unit answers, on a bus with a second unit that is sound. It is told with its class and quality,
never as a number; its reads end in time; its next poll is whole, and the other unit never says anything but its own.

Rows that stand elsewhere: NaN, infinity, -0, denormals, word order, BCD, sentinels in `test_profile_bad_words`; counters that
wrap and are reset in `test_edge_counters`; a half-open connection in `test_modbus_tcp`; damage by the hundred thousand in
`test_edge_frames_damaged`.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from device_profiles import Table
from device_profiles.library import load_text
from edge.bus_config import BusConfig, RtuBus, TcpBus
from edge.drivers import modbus
from edge.drivers.modbus import Bus, open_bus
from edge.poller import Poller
from edge.tally import Tally
from edge.unit import Unit
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.modbus_peers import End, Heard, Requests, far_end, holding, line_end, rtu_frame, serial_line, tcp_end, tcp_frame
from tests.recording import Recording, recording
from tests.servers import HOST, free_port

TIMEOUT_S = 0.1
INTERVAL_S = 0.05
SPOILED = 1
MARGIN_S = 0.4
PROFILE = """
id: test-climate
kind: environment
vendor: Test
model: T1
name: {zh: 测试, en: Test}
confidence: confirmed
sources: [test]
modbus: {}
points:
  temperature: {unit: degC, scale: 0.1, deadband: 0.5, modbus: {table: holding, address: 0, type: int16}}
  humidity: {unit: "%RH", scale: 0.1, modbus: {table: holding, address: 1}}
examples:
  vectors: [{origin: computed, point: humidity, words: [500], gives: 50.0}]
"""
CLIMATE = load_text(PROFILE, "test-climate.yaml")
REGISTERS = {1: (235, 500), 2: (111, 222)}
VALUES = {"b3-spoiled": {"temperature": 23.5, "humidity": 50.0}, "b3-sound": {"temperature": 11.1, "humidity": 22.2}}
WRONG = holding(0xBAD, 0xBAD)
SILENT, DAMAGED = {"*": "timeout"}, {"*": "damaged answer"}

TCP, RTU = "modbus-tcp", "modbus-rtu"
both = pytest.mark.parametrize("type_", [TCP, RTU])
Spoil = Callable[[Heard], Awaitable[object]]


def right(heard: Heard) -> bytes:
    address, count = int.from_bytes(heard.pdu[1:3], "big"), int.from_bytes(heard.pdu[3:5], "big")
    return holding(*REGISTERS[heard.unit_id][address : address + count])


class Row(NamedTuple):
    """A bus that is polled while one of its units is spoiled. ``asked``: when that unit was asked."""

    kept: Recording
    tally: Tally
    asked: list[float]

    async def told(self) -> Reading:
        """What was told of the spoiled unit at first; afterwards it is whole again."""
        readings = await self.kept.until(2, "b3-spoiled")
        while not readings[-1].values:  # one failure may be told in two ways
            readings = await self.kept.until(len(readings) + 1, "b3-spoiled")
        first, *_, back = readings
        assert back.values == pytest.approx(VALUES["b3-spoiled"]) and back.quality is Quality.GOOD
        gaps = [after - before for before, after in pairwise(self.asked)]
        assert max(gaps[:SPOILED]) < 2 * TIMEOUT_S + INTERVAL_S + MARGIN_S, "a spoiled read ends in time"
        return first

    async def never_wrong(self) -> None:
        """Nobody said anything that is not so, and the sound unit was heard."""
        await self.kept.until(1, "b3-sound")
        for reading in await self.kept.readings():
            assert reading.values == {} or reading.values == pytest.approx(VALUES[reading.device]), reading


@asynccontextmanager
async def spoiled(type_: str, folder: Path, spoil: Spoil, times: int = SPOILED) -> AsyncIterator[Row]:
    """Two units; the first ``times`` requests to one of them are left to ``spoil``."""
    asked: list[float] = []
    async with far_end(type_, folder) as (config, requests), asyncio.TaskGroup() as group:
        far = group.create_task(_answer(requests, spoil, times, asked, group))
        async with polled(folder, config) as (kept, tally):
            row = Row(kept, tally, asked)
            yield row
            await row.never_wrong()
        far.cancel()


async def _answer(requests: Requests, spoil: Spoil, times: int, asked: list[float], group: asyncio.TaskGroup) -> None:
    while True:
        heard = await requests.get()
        if heard.unit_id == 1:
            asked.append(time.monotonic())
            if len(asked) <= times:
                group.create_task(_spoilt(spoil, heard))
                continue
        heard.answer(right(heard))


async def _spoilt(spoil: Spoil, heard: Heard) -> None:
    with contextlib.suppress(OSError):  # the master may have given the connection up
        await spoil(heard)


@asynccontextmanager
async def polled(folder: Path, config: BusConfig) -> AsyncIterator[tuple[Recording, Tally]]:
    async with recording(folder) as kept:
        bus, tally = open_bus(config), Tally()
        units = [Unit(device, CLIMATE, number, INTERVAL_S, TIMEOUT_S) for number, device in enumerate(VALUES, 1)]
        for unit in units:
            kept.logbook.open(unit.device, unit.profile)
        poller = Poller(bus, kept.logbook, tally)
        poller.replace(units)
        running = asyncio.create_task(poller.run())
        try:
            yield kept, tally
        finally:
            running.cancel()
            await asyncio.wait((running,))
            await bus.close()
            if not running.cancelled():
                await running


# What is no answer


def another_unit(type_: str, unit_id: int, heard: Heard) -> bytes:
    return heard.frame(WRONG)[:6] + bytes((unit_id,)) + WRONG if type_ == TCP else rtu_frame(unit_id, WRONG)


def mbap(first: int, after: int, word: int, heard: Heard) -> bytes:
    """A frame with another word in its head."""
    frame = heard.frame(WRONG)
    return frame[:first] + word.to_bytes(2, "big") + frame[after:]


NO_ANSWER: dict[str, bytes] = {
    "length byte 0": b"\x03\x00",
    "length byte 0 with words behind it": b"\x03\x00" + WRONG[2:],
    "length byte 255": b"\x03\xff" + WRONG[2:],
    "length byte odd": b"\x03\x03" + WRONG[2:5],
    "more registers": holding(0xBAD, 0xBAD, 0xBAD),
    "fewer registers": holding(0xBAD),
    "no registers": b"\x03",
    "function of another table": b"\x04" + WRONG[1:],
    "function that writes": b"\x10\x00\x00\x00\x02",
    "refusal of another function": b"\x84\x02",
    "function 0": b"\x00" + WRONG[1:],
}


@both
@pytest.mark.parametrize("pdu", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_an_answer_that_is_none(tmp_path: Path, type_: str, pdu: bytes) -> None:
    async with spoiled(type_, tmp_path, spoil=_saying(lambda heard: heard.frame(pdu))) as row:
        first = await row.told()
        assert first.values == {} and first.faults == DAMAGED and first.quality is Quality.BAD
        assert row.tally.units["b3-spoiled"].damaged == SPOILED and row.tally.units["b3-spoiled"].timeouts == 0


FOREIGN: dict[str, tuple[str, Callable[[Heard], bytes], dict[str, str]]] = {
    "unit id of another, TCP": (TCP, partial(another_unit, TCP, 77), SILENT),
    "unit id of another, RTU": (RTU, partial(another_unit, RTU, 77), DAMAGED),
    "broadcast answer, TCP": (TCP, partial(another_unit, TCP, 0), SILENT),
    "broadcast answer, RTU": (RTU, partial(another_unit, RTU, 0), DAMAGED),
    "transaction id of the one before": (TCP, lambda heard: mbap(0, 2, _transaction(heard) - 1, heard), SILENT),
    "transaction id of the next": (TCP, lambda heard: mbap(0, 2, _transaction(heard) + 1, heard), SILENT),
    "transaction id 0": (TCP, partial(mbap, 0, 2, 0), SILENT),
    "protocol id of another": (TCP, partial(mbap, 2, 4, 1), DAMAGED),
    "length 0 in the head": (TCP, partial(mbap, 4, 6, 0), DAMAGED),
    "length 1 in the head": (TCP, partial(mbap, 4, 6, 1), DAMAGED),
    "length 65535 in the head": (TCP, partial(mbap, 4, 6, 65535), DAMAGED),
    "CRC wrong": (RTU, lambda heard: heard.frame(WRONG)[:-1] + bytes((heard.frame(WRONG)[-1] ^ 1,)), DAMAGED),
    "CRC with its bytes swapped": (RTU, lambda heard: heard.frame(WRONG)[:-2] + heard.frame(WRONG)[:-3:-1], DAMAGED),
    "a value flipped on the way": (RTU, lambda heard: heard.frame(WRONG)[:3] + b"\x0c" + heard.frame(WRONG)[4:], DAMAGED),
    "noise": (RTU, lambda heard: b"\x00\xff\x55\x03\x04\x80", DAMAGED),
    "half a frame": (RTU, lambda heard: heard.frame(WRONG)[:5], DAMAGED),
    "half a frame, TCP": (TCP, lambda heard: heard.frame(WRONG)[:9], DAMAGED),
    "not Modbus at all": (TCP, lambda heard: b"HTTP/1.1 400 Bad Request\r\n\r\n", DAMAGED),
}


@pytest.mark.parametrize(("type_", "say", "faults"), FOREIGN.values(), ids=FOREIGN)
async def test_an_answer_that_is_not_ours(
    tmp_path: Path, type_: str, say: Callable[[Heard], bytes], faults: dict[str, str]
) -> None:
    async with spoiled(type_, tmp_path, spoil=_saying(say)) as row:
        first = await row.told()
        assert first.values == {} and first.faults == faults and first.quality is Quality.BAD
        unit = row.tally.units["b3-spoiled"]
        assert (unit.damaged, unit.timeouts) == ((SPOILED, 0) if faults == DAMAGED else (0, SPOILED))


def _saying(make: Callable[[Heard], bytes]) -> Spoil:
    async def say(heard: Heard) -> None:
        heard.say(make(heard))

    return say


def _transaction(heard: Heard) -> int:
    return int.from_bytes(heard.frame(b"\x03")[:2], "big")


# Exceptions


@both
@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 127, 255])
async def test_an_exception(tmp_path: Path, type_: str, code: int) -> None:
    """1 to 11, and codes that no manual knows. An address that is refused is not asked for again so soon: see the poller."""
    times = 100 if code in (2, 3) else SPOILED
    async with spoiled(type_, tmp_path, _saying(lambda heard: heard.frame(bytes((0x83, code)))), times) as row:
        first = (await row.kept.until(1, "b3-spoiled"))[0] if code in (2, 3) else await row.told()
        silent = code in (10, 11)
        assert first.values == {} and first.quality is Quality.BAD
        assert first.faults == (SILENT if silent else dict.fromkeys(("temperature", "humidity"), f"bad: exception {code}"))
        unit = row.tally.units["b3-spoiled"]
        assert unit.timeouts == (SPOILED if silent else 0) and unit.refused == (0 if silent else 1)


# Time


async def late(heard: Heard) -> None:
    await asyncio.sleep(1.5 * TIMEOUT_S)
    heard.answer(WRONG)


async def a_byte_at_a_time(heard: Heard) -> None:
    """A byte a second, in tenths: ten of them take longer than three time-outs."""
    for byte in heard.frame(WRONG):
        heard.say(bytes((byte,)))
        await asyncio.sleep(0.35 * TIMEOUT_S)


async def without_end(heard: Heard) -> None:
    for _ in range(60):
        heard.say(b"\xff" * 200)
        await asyncio.sleep(0.003)


async def of_zeros_without_end(heard: Heard) -> None:
    for _ in range(60):
        heard.say(bytes(200))
        await asyncio.sleep(0.003)


@both
@pytest.mark.parametrize("spoil", [late, a_byte_at_a_time, without_end, of_zeros_without_end], ids=lambda one: one.__name__)
async def test_an_answer_out_of_time(tmp_path: Path, type_: str, spoil: Spoil) -> None:
    """On a serial line such bytes may spoil the other unit's answer too; they never become one."""
    async with spoiled(type_, tmp_path, spoil) as row:
        first = await row.told()
        assert first.values == {} and first.quality is Quality.BAD and first.faults in (SILENT, DAMAGED)
        unit = row.tally.units["b3-spoiled"]
        assert unit.damaged + unit.timeouts >= SPOILED


async def in_pieces(heard: Heard) -> None:
    for byte in heard.frame(right(heard)):
        heard.say(bytes((byte,)))
        await asyncio.sleep(0.001)


async def slower_than_ever(heard: Heard) -> None:
    await asyncio.sleep(0.7 * TIMEOUT_S)
    heard.answer(right(heard))


async def twice(heard: Heard) -> None:
    heard.say(heard.frame(right(heard)) * 2)


async def behind_one_of_another_unit(heard: Heard) -> None:
    heard.say(another_unit(RTU if len(heard.frame(b"")) < 5 else TCP, 77, heard) + heard.frame(right(heard)))


@both
@pytest.mark.parametrize("spoil", [in_pieces, slower_than_ever, twice, behind_one_of_another_unit], ids=lambda one: one.__name__)
async def test_an_answer_that_is_odd_but_right(tmp_path: Path, type_: str, spoil: Spoil) -> None:
    async with spoiled(type_, tmp_path, spoil) as row:
        (first,) = await row.kept.until(1, "b3-spoiled")
        assert first.values == pytest.approx(VALUES["b3-spoiled"]) and first.faults is None
        async with asyncio.timeout(5):
            while len(row.asked) < SPOILED + 2:
                await asyncio.sleep(0.01)
        assert row.tally.timeouts == row.tally.damaged == 0


async def test_an_answer_of_the_previous_transaction_glued_to_the_right_one(tmp_path: Path) -> None:
    async def glued(heard: Heard) -> None:
        heard.say(mbap(0, 2, _transaction(heard) - 1, heard) + heard.frame(right(heard)))

    async with spoiled(TCP, tmp_path, glued) as row:
        (first,) = await row.kept.until(1, "b3-spoiled")
        assert first.values == pytest.approx(VALUES["b3-spoiled"]) and row.tally.timeouts == 0


async def test_noise_before_and_behind_the_right_answer(tmp_path: Path) -> None:
    async def noisy(heard: Heard) -> None:
        heard.say(b"\x00\xff\x01\x03" + heard.frame(right(heard)) + b"\xfe\x00")

    async with spoiled(RTU, tmp_path, noisy) as row:
        (first,) = await row.kept.until(1, "b3-spoiled")
        assert first.values == pytest.approx(VALUES["b3-spoiled"]) and row.tally.timeouts == 0


# The end of a connection, and of a line


async def test_a_port_closed_in_mid_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus, "FIRST_RETRY_S", 0.05)
    port, connections = free_port(), 0

    async def closing(end: End) -> None:
        nonlocal connections
        connections += 1
        while True:
            transaction, rest = await end.tcp_request()
            heard = Heard(rest[0], rest[1:], end.write, partial(tcp_frame, transaction, rest[0]))
            if connections <= SPOILED:
                heard.say(heard.frame(WRONG)[:10])
                return
            heard.answer(right(heard))

    async with tcp_end(port, closing), polled(tmp_path, TcpBus("bus", HOST, port, TIMEOUT_S)) as (kept, tally):
        readings = [(await kept.until(2, device))[:2] for device in VALUES]
        for first, back in readings:
            assert first.faults == {"*": "bus unavailable"} and first.values == {} and first.quality is Quality.BAD
            assert back.values == pytest.approx(VALUES[back.device])
        assert connections == SPOILED + 1 and tally.timeouts == 0
        await Row(kept, tally, []).never_wrong()


async def test_a_line_that_is_cut_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(modbus, "LAST_RETRY_S", 0.1)
    with contextlib.ExitStack() as lines:
        line = lines.enter_context(serial_line(tmp_path))
        async with polled(tmp_path, RtuBus(id="bus", port=line.master, timeout_s=TIMEOUT_S)) as (kept, tally):
            async with _units_on(line.units):
                for device in VALUES:
                    assert (await kept.until(1, device))[0].values == pytest.approx(VALUES[device])
                line.cut()
                for device in VALUES:
                    assert (await kept.until(2, device))[1].faults == {"*": "bus unavailable"}
            async with _units_on(lines.enter_context(serial_line(tmp_path)).units):
                for device in VALUES:
                    assert (await _back(kept, device, 3)).values == pytest.approx(VALUES[device])
            await Row(kept, tally, []).never_wrong()


async def _back(kept: Recording, device: str, number: int) -> Reading:
    """Its first reading from ``number`` on that is good: on a busy machine the line may be there before who answers on it."""
    for count in range(number, number + 20):
        reading = (await kept.until(count, device))[count - 1]
        if not reading.faults:
            break
    return reading


@asynccontextmanager
async def _units_on(path: str) -> AsyncIterator[None]:
    async def answer(end: End) -> None:
        while True:
            request = await end.rtu_request()
            end.write(rtu_frame(request[0], right(Heard(request[0], request[1:-2], end.write, partial(rtu_frame, request[0])))))

    async with line_end(path) as end:
        answering = asyncio.create_task(answer(end))
        yield
        answering.cancel()


# Many dead


class Watched:
    """A bus that notes when each unit answered."""

    def __init__(self, bus: Bus) -> None:
        self.id = bus.id
        self.answered: dict[int, list[float]] = {}
        self._bus = bus

    async def read(self, unit_id: int, table: Table, address: int, count: int, timeout_s: float | None = None) -> tuple[int, ...]:
        words = await self._bus.read(unit_id, table, address, count, timeout_s)
        self.answered.setdefault(unit_id, []).append(time.monotonic())
        return words

    def ready_at(self, unit_id: int) -> float:
        return self._bus.ready_at(unit_id)

    @property
    def used_s(self) -> float:
        return self._bus.used_s

    async def close(self) -> None:
        await self._bus.close()


BUSES, UNITS, DEAD_OF_TEN = 10, 50, 3
PERIOD_S, WATCHED_S = 2.0, 9.0


@pytest.mark.slow
async def test_live_devices_keep_their_period_among_500_of_which_a_third_is_dead(tmp_path: Path) -> None:
    """10 buses of 50 units, 15 of them dead; each poll of a dead one costs its bus 5 % of the period."""
    ports = [free_port() for _ in range(BUSES)]
    program = [sys.executable, "-m", "tests.modbus_site", str(UNITS), str(DEAD_OF_TEN), *map(str, ports)]
    site = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    try:
        assert site.stdout is not None and await asyncio.wait_for(site.stdout.readline(), 10) == b"ready\n"
        buses = [Watched(open_bus(TcpBus(f"bus-{port}", HOST, port, 1.0))) for port in ports]
        async with recording(tmp_path) as kept:
            await _polled_for(kept, buses, WATCHED_S)
            for bus in buses:
                await bus.close()
    finally:
        site.kill()
        await site.wait()
    live = {unit_id for unit_id in range(1, UNITS + 1) if unit_id % 10 >= DEAD_OF_TEN}
    assert all(bus.answered.keys() == live for bus in buses)
    periods = sorted(after - before for bus in buses for at in bus.answered.values() for before, after in pairwise(at))
    assert len(periods) >= BUSES * len(live) * 3
    assert periods[len(periods) * 99 // 100] <= 1.2 * PERIOD_S, periods[-10:]
    assert periods[len(periods) // 2] == pytest.approx(PERIOD_S, rel=0.02)


async def _polled_for(kept: Recording, buses: list[Watched], seconds: float) -> None:
    tasks = []
    for bus in buses:
        units = [Unit(f"{bus.id}-{unit_id}", CLIMATE, unit_id, PERIOD_S, 0.1) for unit_id in range(1, UNITS + 1)]
        for unit in units:
            kept.logbook.open(unit.device, unit.profile)
        poller = Poller(bus, kept.logbook, Tally())
        poller.replace(units)
        tasks.append(asyncio.create_task(poller.run()))
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
