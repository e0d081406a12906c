"""A gateway's outbox for the tests: what was accepted, read back from disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edge.accept import Accept
from edge.clock import wall_clock
from edge.logbook import Logbook
from edge.outbox import Outbox
from telemetry import batch
from telemetry.batch import Lane
from telemetry.reading import Reading

GATEWAY = "gw-test"


class Recording:
    """``readings`` are all that are durable, in each lane in the order of acceptance."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.accept = Accept(outbox, group_s=0.05)
        self.logbook = Logbook(self.accept, outbox.recent())

    async def readings(self, device: str | None = None, lane: Lane | None = None) -> list[Reading]:
        return await self.outbox.call(self._read, device, lane)

    def _read(self, device: str | None, lane: Lane | None) -> list[Reading]:
        self.outbox.seal(wall_clock(), force=True)
        return [
            reading
            for span in self.outbox.spans()
            if lane in (None, span.lane)
            for sealed in self.outbox.batches(span.epoch, span.lane, 0, 10_000)
            for reading in batch.decode(sealed.message(wall_clock(), False)).batch.readings
            if device in (None, reading.device)
        ]

    async def until(self, count: int, device: str | None = None, within_s: float = 30.0) -> list[Reading]:
        """The readings once there are at least ``count``."""
        async with asyncio.timeout(within_s):
            while len(found := await self.readings(device)) < count:
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def recording(folder: Path) -> AsyncIterator[Recording]:
    outbox = Outbox.open(folder / "outbox.db", gateway=GATEWAY, now=wall_clock())
    kept = Recording(outbox)
    running = asyncio.create_task(kept.accept.run())
    try:
        yield kept
    finally:
        running.cancel()
        await asyncio.wait((running,))
        outbox.close()
