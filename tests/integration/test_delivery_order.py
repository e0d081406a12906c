"""Urgent overtakes bulk, live overtakes backfill: what a manager waits for does not stand behind an outage."""

from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from edge.clock import wall_clock
from edge.outbox import BATCH_READINGS
from edge.window import OUTAGE_S
from telemetry import batch, topic
from telemetry.batch import Lane
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading
from tests.delivery import REF, CentreEnd, Edge, eventually
from tests.servers import Server, mosquitto

BACKLOG = 120


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with mosquitto(tmp_path) as server:
        yield server


def fill(edge: Edge) -> None:
    """A backlog of whole bulk batches, as an outage leaves it."""
    start = wall_clock() - 3_600_000_000
    for number in range(BACKLOG):
        readings = [
            Reading(device="b3-meter", kind=Kind.ENERGY, at=start + number * 1_000 + n, values={"voltage": 230.0})
            for n in range(BATCH_READINGS)
        ]
        edge.outbox.append(readings, Lane.BULK, Micros(start))
        edge.outbox.seal(Micros(start), force=True)


async def sent_before(link: aiomqtt.Client, until: str) -> list[int]:
    """When the batches that pass were sent, up to the first that holds a reading of the device ``until``."""
    passed: list[int] = []
    async for message in link.messages:
        assert isinstance(message.payload, bytes)
        seen = batch.decode(message.payload).batch
        if any(reading.device == until for reading in seen.readings):
            return passed
        passed.append(seen.sent_at)
    return passed


async def test_a_forced_door_passes_an_hour_of_backlog_within_one_batch(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), CentreEnd(tmp_path, broker.url)
    fill(edge)
    async with aiomqtt.Client("127.0.0.1", broker.port) as tap, centre.running():
        await tap.subscribe(topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.UP), qos=1)
        async with edge.running():
            await eventually(lambda: edge.unacknowledged < BACKLOG)  # the backlog is on its way
            door = Reading(device="b3-door", kind=Kind.ACCESS, at=wall_clock(), values={"door_open": True})
            await edge.accept.put([door], Lane.URGENT)
            forced_at = wall_clock()
            passed = await sent_before(tap, "b3-door")
            assert 0 < len(passed) < BACKLOG
            assert sum(sent_at > forced_at for sent_at in passed) <= 1
            await eventually(lambda: edge.unacknowledged == 0, 30)


async def test_after_an_outage_live_data_flows_apart_from_the_backlog(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), CentreEnd(tmp_path, broker.url)
    fill(edge)
    before = edge.outbox.epoch
    edge.uplink._window._contact -= OUTAGE_S + 1  # as if the centre had been silent for so long
    async with centre.running(), edge.running():
        await eventually(lambda: edge.outbox.epoch != before)
        spans = {(span.epoch, span.lane): span for span in edge.outbox.spans()}
        assert spans[(edge.outbox.epoch, Lane.BULK)].before == before
        await eventually(lambda: edge.unacknowledged == 0, 30)
        points = centre.sinks[1].durable
        assert sum(seq for stream, seq in points.items() if stream.epoch == before) == BACKLOG
