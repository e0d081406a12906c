"""The two halves of the contract, joined over a real broker with real stores: for the tests of delivery."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from device_profiles import load_library
from edge import config as gateway_config
from edge.accept import Accept
from edge.clock import wall_clock
from edge.outbox import Outbox
from edge.uplink import Uplink
from ingest import config as centre_config
from ingest import deadletter, gateways, intake, reception
from ingest.acknowledger import Acknowledger
from ingest.alerts import AlertEngine, load_rules
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.gateways import Gateways
from ingest.metrics import Stats
from ingest.registry import Registry
from ingest.sequencer import Gap
from ingest.sink import Sink
from ingest.store import PointStore, Query, open_store
from telemetry import topic
from telemetry.batch import Lane
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Reading

REF = GatewayRef("411202002001", "gw-test")
KEY = "11" * 32
GATEWAY = """
gateway: {{id: gw-test, community: "411202002001"}}
centre: {{broker: {{url: "{url}", protocol: "{protocol}"}}, key_file: gateway.key}}
privacy: {{key_file: gateway.key}}
"""
CENTRE = """
broker: {{url: "{url}", protocol: "{protocol}"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules]
"""


async def eventually(condition: Callable[[], object], within_s: float = 20) -> None:
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def tasks(*coroutines) -> AsyncIterator[None]:  # type: ignore[no-untyped-def]
    running = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


class Edge:
    def __init__(self, folder: Path, url: str, protocol: str = "3.1.1") -> None:
        folder.mkdir(exist_ok=True)
        (folder / "gateway.yaml").write_text(GATEWAY.format(url=url, protocol=protocol))
        (folder / "gateway.key").write_text(KEY)
        (folder / "gateway.key").chmod(0o600)
        config = gateway_config.load(folder / "gateway.yaml", load_library())
        self.outbox = Outbox.open(folder / "outbox.db", gateway=REF.gateway, now=wall_clock())
        self.accept = Accept(self.outbox, group_s=0.05)
        self.uplink = Uplink(config, self.outbox, list)
        self.given: dict[int, float] = {}

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        return tasks(self.accept.run(), self.uplink.run())

    async def say(self, *values: float, lane: Lane = Lane.URGENT) -> None:
        readings = []
        for value in values:
            at = max(wall_clock(), max(self.given, default=0) + 1)
            self.given[at] = value
            readings.append(Reading(device="b3-meter", kind=Kind.ENERGY, at=at, values={"voltage": value}))
        await self.accept.put(readings, lane)

    @property
    def unacknowledged(self) -> int:
        return self.outbox.pending().batches


class CentreEnd:
    """The centre's receiving half, as ``ingest.service`` composes it, with the store in our hand."""

    def __init__(self, folder: Path, url: str, protocol: str = "3.1.1") -> None:
        self.folder, self.url = folder, url
        self.store_is_down = False
        (folder / "rules").mkdir(parents=True, exist_ok=True)
        (folder / "rules" / "none.yaml").write_text("rules: []\n")
        (folder / "centre.yaml").write_text(CENTRE.format(url=url, protocol=protocol))
        entry = gateways.GatewayEntry(community=REF.community, id=REF.gateway, key=KEY, site_key=KEY)
        gateways.add(folder / "gateways.yaml", entry)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        config = centre_config.load(self.folder / "centre.yaml")
        database = Database(self.folder / "centre.db")
        store = open_store("duckdb", self.folder, database)
        await store.open()
        self.store, self.database, self.stats = store, database, Stats()
        registry = Registry(database)
        await registry.open()
        engine = AlertEngine(load_rules([self.folder / "rules"]), database, registry, lambda: None)
        await engine.open()
        letters: list[deadletter.DeadLetter] = []
        self.letters = letters

        async def keep(arrivals: list[Arrival]) -> None:
            if self.store_is_down:
                raise StoreUnavailable("switched off")
            await store.write(arrivals)

        async def pass_alerts(gap: Gap) -> None:
            if gap.passes:
                await engine.advance(gap.stream, gap.last)

        async def pass_points(gap: Gap) -> None:
            if gap.passes:
                await store.advance(gap.stream, gap.last)

        async def evaluate(arrivals: list[Arrival]) -> None:
            await engine.take(arrivals, wall_clock())

        self.sinks = (
            Sink("alerts", evaluate, pass_alerts, await engine.watermarks(), lambda a: acknowledger.confirmed(a)),
            Sink("points", keep, pass_points, await store.watermarks(), lambda a: acknowledger.confirmed(a)),
        )
        known = Gateways(self.folder / "gateways.yaml")
        acknowledger = Acknowledger([sink.durable for sink in self.sinks], known.key, wall_clock, lambda: 50.0)
        taking = intake.Intake(
            self.sinks,
            acknowledger,
            known,
            registry,
            self.stats,
            letters.append,
            lambda ref, replay, arrival: None,
            lambda ref, reply: None,
            topic.DEFAULT_ROOT,
        )
        self.taking = taking
        try:
            async with tasks(
                *(sink.run() for sink in self.sinks),
                registry.run(),
                reception.run(config, taking, acknowledger, asyncio.Queue(10)),
            ):
                yield
        finally:
            await store.close()
            database.close()


async def stored(store: PointStore) -> list[tuple[int, float]]:
    rows = await store.read(Query(communities=("41",), device="b3-meter", limit=50_000, newest_first=False))
    return [(row.at, row.value) for row in rows if isinstance(row.value, float)]
