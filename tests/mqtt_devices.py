"""A gateway's ear at a device broker, for the tests: what it hears, read back from its outbox."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from device_profiles import Keys
from edge.config import DeviceBroker
from edge.drivers.mqtt import DeviceBrokerLink
from edge.drivers.routes import Listener
from edge.tally import Tally
from tests.recording import Recording, recording

DOOR = """
id: test-door
kind: access
vendor: Test
model: D1
name: {zh: 门, en: Door}
confidence: confirmed
sources: [test]
mqtt:
  messages:
    - {topic: "site/{name}/event", event: granted, event_id: [n], values: {granted: {value: true}}}
points:
  granted: {}
examples:
  messages:
    - {origin: computed, topic: site/d/event, parameters: {name: d}, payload: {n: 1},
       gives: [{event_id: "1", values: {event: granted, granted: true}}]}
"""
"""A profile of a door that tells events."""


class Heard(NamedTuple):
    kept: Recording
    link: DeviceBrokerLink
    tally: Tally


@asynccontextmanager
async def listening(folder: Path, broker: DeviceBroker, listeners: Sequence[Listener]) -> AsyncIterator[Heard]:
    """Files that ``broker`` names are in ``folder``."""
    async with recording(folder) as kept:
        tally = Tally()
        link = DeviceBrokerLink(
            broker, lambda name: folder / name, "linli-test", kept.logbook, tally, Keys(b"k" * 32), random.Random(1)
        )
        for listener in listeners:
            kept.logbook.open(listener.device, listener.profile)
        link.replace(listeners)
        running = asyncio.create_task(link.run())
        try:
            yield Heard(kept, link, tally)
        finally:
            running.cancel()
            await asyncio.wait((running,))
            assert running.cancelled() or running.exception() is None
