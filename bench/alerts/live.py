"""From an event at a device to a reader of the live stream, while a city speaks: all on the cores of one machine.

The city is the fleet of ``bench.delivery``: 2,200 gateways with an inventory each, judged by all shipped rules. Beside it stands
a real gateway agent with smoke detectors behind an MQTT bridge, each of which goes off once. The clock starts before the bridge's
message is published and stops when the event stands on the stream, told by a client as any browser would be.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import aiomqtt
import httpx

from bench.delivery.fleet import FLOATS, KEY, refs
from bench.delivery.rig import Rig
from bench.report import Row
from linli.paths import config_dir
from telemetry import topic
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory, State, Words, encode, inventory_hash
from tests.community import TOKEN

GATEWAYS, READINGS, VALUES, RATE = 2_200, 200, 2, 180.0
METERS = 30
DETECTORS, EVERY_S = 240, 0.25
WARM_S = GATEWAYS / RATE + 8
"""The first batch of every gateway makes its series, which happens once in years."""
GIVE_UP_S = 30.0
PROBE = refs(GATEWAYS + 1)[-1]

GATEWAY = """
gateway: {{id: {id}, community: "{community}"}}
centre: {{broker: {{url: "{url}"}}, key_file: gateway.key}}
privacy: {{key_file: gateway.key}}
data: data
brokers:
  - {{id: bridge, url: "{url}"}}
health_interval_s: 30
"""


def detector(number: int) -> str:
    return f"smoke-{number:03}"


@contextmanager
def agent(folder: Path, url: str) -> Iterator[None]:
    """A gateway with the smoke detectors, as an installer leaves it."""
    folder.mkdir()
    (folder / "gateway.yaml").write_text(GATEWAY.format(id=PROBE.gateway, community=PROBE.community, url=url))
    (folder / "gateway.key").touch(0o600)
    (folder / "gateway.key").write_text(KEY)
    lines = [
        f"  - {{id: {name}, profile: zigbee2mqtt-smoke, address: {{broker: bridge, topic: {{name: {name}}}}}}}"
        for name in map(detector, range(DETECTORS))
    ]
    (folder / "devices.yaml").write_text("\n".join(["devices:", *lines]) + "\n")
    with (folder / "agent.log").open("wb") as log:
        command = (sys.executable, "-m", "linli", "edge", "run", "--config", str(folder / "gateway.yaml"))
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(folder / "agent.log", "gateway runs", running)
        yield
    finally:
        running.terminate()
        running.wait(30)


def _wait_for(log: Path, words: str, running: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while words not in log.read_text():
        if running.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(log.read_text())
        time.sleep(0.05)


async def introduce(port: int) -> None:
    """Every gateway of the city says what is behind it, as it does when it starts."""
    metrics = dict.fromkeys(FLOATS[:VALUES], "")
    devices = [
        Device(
            id=f"meter-{n}",
            kind=Kind.ENERGY,
            profile="meter",
            place=Words(f"电表{n}", f"meter {n}"),
            metrics=metrics,
            interval_s=60,
        )
        for n in range(METERS)
    ]
    now, hash_ = time.time_ns() // 1_000, inventory_hash(devices)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for ref in refs(GATEWAYS):
            for leaf, message in (
                (topic.Leaf.INVENTORY, Inventory(at=now, hash=hash_, devices=devices)),
                (topic.Leaf.STATE, State(online=True, at=now, inventory_hash=hash_)),
            ):
                await client.publish(topic.build(topic.DEFAULT_ROOT, ref, leaf), encode(message), qos=1, retain=True)


class Way(NamedTuple):
    """Of one event, microseconds of the wall clock: published, heard by the gateway, begun to be judged, read on the stream."""

    sent: int
    heard: int
    judged: int
    told: int


class Stream:
    """What the live stream has told: each detector's alert, and when it was first seen."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[str, int]] = {}
        self.news = asyncio.Event()

    async def read(self, client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/api/v1/alerts/stream", timeout=None) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    alert = json.loads(line[6:])
                    if alert.get("rule") == "smoke":
                        self.seen.setdefault(alert["device"], (alert["id"], wall_us()))
                        self.news.set()


def wall_us() -> int:
    return time.time_ns() // 1_000


async def ways(rig: Rig) -> list[Way]:
    """Of each event."""
    headers, stream = {"Authorization": f"Bearer {TOKEN}"}, Stream()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{rig.port}", headers=headers, timeout=GIVE_UP_S) as client,
        aiomqtt.Client("127.0.0.1", rig.broker.port) as bridge,
        asyncio.TaskGroup() as group,
    ):
        reading = group.create_task(stream.read(client))
        sent = await _go_off(bridge)
        async with asyncio.timeout(GIVE_UP_S):
            while len(stream.seen) < DETECTORS:
                stream.news.clear()
                await stream.news.wait()
        reading.cancel()
        return [Way(at, *await _opened(client, stream.seen[name][0]), stream.seen[name][1]) for name, at in sent.items()]


async def _go_off(bridge: aiomqtt.Client) -> dict[str, int]:
    """Every detector says that all is well, and later, one after the other, that it is not; when each of these was published."""
    sent: dict[str, int] = {}
    for name in map(detector, range(DETECTORS)):
        await bridge.publish(f"zigbee2mqtt/{name}", '{"smoke": false}', qos=1)
    await asyncio.sleep(3)
    begun = time.monotonic()
    for number, name in enumerate(map(detector, range(DETECTORS))):
        await asyncio.sleep(max(0.0, begun + number * EVERY_S - time.monotonic()))
        sent[name] = wall_us()
        await bridge.publish(f"zigbee2mqtt/{name}", '{"smoke": true}', qos=1)
    return sent


async def _opened(client: httpx.AsyncClient, alert: str) -> tuple[int, int]:
    """When the gateway heard it, and when it began to be judged. Asks no faster than a token may."""
    while (answer := await client.get(f"/api/v1/alerts/{alert}/journal")).status_code == httpx.codes.TOO_MANY_REQUESTS:
        await asyncio.sleep(int(answer.headers["Retry-After"]))
    answer.raise_for_status()
    (opened,) = (line for line in answer.json()["items"] if line["transition"] == "opened")
    return (_micros(opened["event_at"]), _micros(opened["known_at"]))


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def rows(folder: Path) -> Iterator[Row]:
    batches = round((WARM_S + DETECTORS * EVERY_S + 15) * RATE / GATEWAYS) + 1
    with Rig(folder / "centre", GATEWAYS + 1, rules=config_dir() / "rules") as rig, agent(folder / "gateway", rig.broker.url):
        asyncio.run(introduce(rig.broker.port))
        fleet = rig.fleet(GATEWAYS, batches, READINGS, VALUES, RATE)
        fleet.begin()
        time.sleep(WARM_S)
        begun, before, readings = time.monotonic(), rig.cpu_s(), rig.metric("linli_readings_total")
        found = asyncio.run(ways(rig))
        took, cpu_s = time.monotonic() - begun, rig.cpu_s() - before
        readings = rig.metric("linli_readings_total") - readings
        fleet.result()
    yield Row("live: readings beside it", readings / took, "/s", 35_500)
    yield Row("live: of a core, the centre", 100 * cpu_s / took, "%")
    whole = sorted(way.told - way.sent for way in found)
    yield Row("live: event to stream, median", _share(whole, 50), "ms")
    yield Row("live: event to stream, 90 %", _share(whole, 90), "ms")
    yield Row("live: event to stream, 99 %", _share(whole, 99), "ms", 150, at_least=False)
    yield Row("live: event to stream, the slowest", whole[-1] / 1_000, "ms")
    for part, spans in (
        ("bridge to gateway", [way.heard - way.sent for way in found]),
        ("gateway to the rules", [way.judged - way.heard for way in found]),
        ("rules to stream", [way.told - way.judged for way in found]),
    ):
        yield Row(f"live: of it {part}, median", _share(sorted(spans), 50), "ms")
        yield Row(f"live: of it {part}, 99 %", _share(sorted(spans), 99), "ms")


def _share(spans: list[int], percent: int) -> float:
    """Milliseconds."""
    return spans[len(spans) * percent // 100] / 1_000
