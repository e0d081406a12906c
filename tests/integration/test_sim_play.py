"""The demo's world at play: real masters read its units, a real broker gets its messages, and its truth log knows all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from device_profiles import Answer, decode, load_library, plan
from linli.paths import config_dir
from simulators import Stage, Truth, load_stage, run
from simulators.clock import wall_clock
from simulators.world import ModbusEnd
from telemetry.errors import BusUnavailable, ConfigInvalid
from tests.servers import Server, free_port, mosquitto

WORLD = config_dir() / "demo" / "world.yaml"
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def stage() -> Stage:
    return load_stage(WORLD, load_library())


@pytest.fixture
def broker(tmp_path: Path) -> Server:
    return mosquitto(tmp_path)


@contextlib.asynccontextmanager
async def playing(stage: Stage, broker: str, folder: Path, *, port: int, speed: float = 1.0) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run(stage, broker, folder / "run", folder / "truth.jsonl", stop, speed=speed, ports={"meters": port}))
        try:
            await eventually(lambda: (folder / "run" / "rs485-1").is_symlink())
            yield
        finally:
            stop.set()


async def eventually(holds: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while not (found := holds()):
            await asyncio.sleep(0.02)
    return found


async def heard(
    broker: Server, topics: tuple[str, ...], enough: Callable[[list[aiomqtt.Message]], bool]
) -> list[aiomqtt.Message]:
    messages: list[aiomqtt.Message] = []
    async with asyncio.timeout(PATIENCE_S), aiomqtt.Client(broker.host, broker.port) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        async for message in client.messages:
            messages.append(message)
            if enough(message):
                break
    return messages


async def poll(stage: Stage, device: str, read: Callable[..., Awaitable[Any]]) -> dict[str, object]:
    """What a master makes of one poll of all points."""
    (spec,) = (spec for spec in stage.world.devices if spec.id == device)
    assert isinstance(spec.end, ModbusEnd)
    profile = stage.library.profiles[spec.profile]
    answers = []
    for request in plan(profile):
        reply = await read(request.address, count=request.count, device_id=spec.end.unit_id)
        answers.append(Answer(request, tuple(reply.registers)))
    return {each.metric: each.value for each in decode(profile, answers) if each.metric}


async def test_what_a_master_reads_is_what_the_truth_says(stage: Stage, tmp_path: Path) -> None:
    port = free_port()
    async with playing(stage, f"mqtt://127.0.0.1:{free_port()}", tmp_path, port=port):
        tcp = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
        line = AsyncModbusSerialClient(str(tmp_path / "run" / "rs485-1"), baudrate=9600, retries=0, timeout=1)
        assert await tcp.connect()
        assert await line.connect()
        seen: list[tuple[str, int, dict[str, object]]] = []
        for _ in range(4):
            for device, read in (
                ("b3-meter", tcp.read_input_registers),
                ("b3-pump-level", line.read_holding_registers),
                ("b3-pump-climate", line.read_holding_registers),
                ("garage-climate", line.read_input_registers),
            ):
                seen.append((device, wall_clock(), await poll(stage, device, read)))
            await asyncio.sleep(0.4)
        tcp.close()
        line.close()
    truth = Truth.load(tmp_path / "truth.jsonl")
    for device, at, values in seen:
        assert set(values) == set(truth.metrics(device))
        for metric, value in values.items():
            assert value in truth.held(device, metric, at - 50_000, at + 250_000)


async def test_a_unit_falls_silent_and_the_others_on_its_line_go_on(stage: Stage, tmp_path: Path) -> None:
    async with playing(stage, f"mqtt://127.0.0.1:{free_port()}", tmp_path, port=free_port(), speed=60):
        line = AsyncModbusSerialClient(str(tmp_path / "run" / "rs485-1"), baudrate=9600, retries=0, timeout=0.2)
        assert await line.connect()
        await poll(stage, "garage-climate", line.read_input_registers)
        await eventually(lambda: '"fault":"silent"' in (tmp_path / "truth.jsonl").read_text())
        with pytest.raises(ModbusException, match="No response"):
            await line.read_input_registers(1, count=2, device_id=3)
        assert (await line.read_holding_registers(0, count=2, device_id=2)).registers
        await eventually(lambda: '"fault":""' in (tmp_path / "truth.jsonl").read_text())
        await poll(stage, "garage-climate", line.read_input_registers)
        line.close()


async def test_the_story_reaches_the_broker_in_order_and_in_the_truth(stage: Stage, broker: Server, tmp_path: Path) -> None:
    topics = ("zigbee2mqtt/b3/roof_door", "frigate/events", "doors/b3-lobby")
    with broker:
        listening = asyncio.create_task(heard(broker, topics, lambda last: b'"type":"end"' in bytes(last.payload)))
        await asyncio.sleep(0.3)
        async with playing(stage, broker.url, tmp_path, port=free_port(), speed=30):
            messages = await listening
            await eventually(lambda: len(Truth.load(tmp_path / "truth.jsonl").events("north-fire-lane")) == 4)
            await asyncio.sleep(0.1)
    doors = [b'"contact":false' in bytes(each.payload) for each in messages if each.topic.matches("zigbee2mqtt/#")]
    assert [state for state, _ in groupby(doors)] == [False, True, False]
    lane = Truth.load(tmp_path / "truth.jsonl").events("north-fire-lane")
    assert [event.values["event"] for event in lane] == ["appeared", "updated", "updated", "gone"]
    assert all(event.certain for event in lane)
    assert sum(each.topic.matches("frigate/events") for each in messages) == 4
    swipes = Truth.load(tmp_path / "truth.jsonl").events("b3-lobby-reader")
    assert [event.values["event"] for event in swipes][:2] == ["granted", "granted"]


async def test_what_is_said_without_a_broker_waits_or_is_lost_as_with_the_real_products(
    stage: Stage, broker: Server, tmp_path: Path
) -> None:
    async with playing(stage, broker.url, tmp_path, port=free_port(), speed=60):
        await eventually(lambda: '"phase":"dropped"' in (tmp_path / "truth.jsonl").read_text())
        assert Truth.load(tmp_path / "truth.jsonl").events("south-gate-plates") == []
        with broker:
            await eventually(lambda: Truth.load(tmp_path / "truth.jsonl").events("south-gate-plates"))
    plates = Truth.load(tmp_path / "truth.jsonl").events("south-gate-plates")
    assert plates[0].values["plate"] == "豫M·****6"
    assert plates[0].first - plates[0].at > 0


async def test_a_restarted_world_goes_on_and_repeats_nothing(stage: Stage, broker: Server, tmp_path: Path) -> None:
    with broker:
        async with playing(stage, broker.url, tmp_path, port=free_port(), speed=30):
            await eventually(lambda: len(Truth.load(tmp_path / "truth.jsonl").events("north-fire-lane")) >= 3)
        before = Truth.load(tmp_path / "truth.jsonl").events("north-fire-lane")
        await asyncio.sleep(1.5)  # the car leaves while nobody plays
        async with playing(stage, broker.url, tmp_path, port=free_port(), speed=30):
            await eventually(lambda: len(Truth.load(tmp_path / "truth.jsonl").events("north-fire-lane")) >= 4)
            await asyncio.sleep(0.5)
    after = Truth.load(tmp_path / "truth.jsonl").events("north-fire-lane")
    assert [event.values["event"] for event in after] == ["appeared", "updated", "updated", "gone"]
    assert after[:3] == before
    assert len({event.values["object"] for event in after}) == 1
    roof = [event.values["door_open"] for event in Truth.load(tmp_path / "truth.jsonl").events("b3-roof-door")]
    assert [state for state, _ in groupby(roof)] == [False, True, False]


async def test_a_master_that_dies_in_the_middle_of_a_request_leaves_the_line_usable(stage: Stage, tmp_path: Path) -> None:
    async with playing(stage, f"mqtt://127.0.0.1:{free_port()}", tmp_path, port=free_port()):
        with (tmp_path / "run" / "rs485-1").open("wb", buffering=0) as port:
            port.write(bytes.fromhex("02030000"))
        await asyncio.sleep(0.2)
        line = AsyncModbusSerialClient(str(tmp_path / "run" / "rs485-1"), baudrate=9600, retries=0, timeout=1)
        assert await line.connect()
        assert (await line.read_holding_registers(0, count=2, device_id=2)).registers
        line.close()


async def test_a_port_in_use_is_said_in_one_line(stage: Stage, broker: Server, tmp_path: Path) -> None:
    with broker, pytest.raises(BusUnavailable, match=f"port {broker.port} of 127.0.0.1 is in use"):
        await run(stage, broker.url, tmp_path, None, asyncio.Event(), ports={"meters": broker.port})
    assert not (tmp_path / "rs485-1").exists()


async def test_stopping_takes_little_time_with_and_without_a_broker(stage: Stage, broker: Server, tmp_path: Path) -> None:
    with broker:
        for url in (broker.url, f"mqtt://127.0.0.1:{free_port()}"):
            async with playing(stage, url, tmp_path, port=free_port()):
                await asyncio.sleep(0.5)
                began = asyncio.get_running_loop().time()
            assert asyncio.get_running_loop().time() - began < 2.0
    assert not (tmp_path / "run" / "rs485-1").is_symlink()


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://x:99999", "x", "mqtt://192.0.2.1"])
async def test_a_bad_broker_address_is_refused_with_a_cure(stage: Stage, tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"command line: broker.url: .*\(.*mqtts://"):
        await run(stage, url, tmp_path, None, asyncio.Event())
