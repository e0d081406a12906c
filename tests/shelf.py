"""Where the contract tests of telemetry stores keep their points, and what they write."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import PointStore, Query, Row, open_store
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading
from tests.servers import Server

START = 1_790_000_000_000_000
MS = 1_000
COMMUNITY = "411202002001"
STREAM = Stream(COMMUNITY, "gw-jianye-1", "0123456789abcdef", "bulk")
ALL = Query(("41",), limit=50_000, newest_first=False)


class Shelf:
    """Where a store keeps its points and marks: tests open it, close it and open it again."""

    def __init__(self, spec: str, folder: Path, server: Server | None) -> None:
        self._spec = spec
        self._folder = folder
        self._server = server

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[PointStore]:
        async with AsyncExitStack() as stack:
            database = Database(self._folder / "centre.sqlite")
            stack.callback(database.close)
            store = open_store(self._spec, self._folder, database)
            await store.open()
            stack.push_async_callback(store.close)
            yield store

    async def settle(self) -> None:
        """Until what was written can be read: VictoriaMetrics shows it only after some seconds, or when asked to."""
        if self._server is not None:
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get(f"{self._server.url}/internal/force_flush")

    async def all_rows(self, store: PointStore) -> list[Row]:
        await self.settle()
        return await store.read(ALL)


def climate(at: int, celsius: float = 21.5, device: str = "garage-climate", **changes: object) -> Reading:
    fields = {"device": device, "kind": Kind.ENVIRONMENT, "at": at, "values": {"temperature": celsius}, **changes}
    return Reading(**fields)


def arrival(seq: int, *readings: Reading, stream: Stream = STREAM) -> Arrival:
    return Arrival(stream, seq, readings, START)
