"""Brokers that leave an UNSUBSCRIBE unanswered when they hold none of its filters, as rumqttd does: nothing is torn down."""

from pathlib import Path

import aiomqtt
import pytest

from edge.clock import wall_clock
from edge.config import DeviceBroker
from edge.drivers.session import Session
from tests.servers import HOST, embedded_broker


@pytest.mark.slow
async def test_a_broker_that_keeps_silent_about_a_filter_it_never_had_loses_no_connection(tmp_path: Path) -> None:
    with embedded_broker(tmp_path) as server:
        broker = DeviceBroker(id="devices", url=server.url)
        async with Session(broker, lambda name: tmp_path / name, "linli-test", wall_clock) as session:
            assert await session.subscribe(["site/door"]) == []
            await session.unsubscribe(["never/held"])
            async with aiomqtt.Client(HOST, server.port) as device:
                await device.publish("site/door", b"open", qos=1)
            delivered = await session.delivery(30)
            assert delivered is not None and delivered.topic == "site/door"
