"""The centre at its broker: what gateways say goes to the intake, acknowledgements and commands go out.

It reconnects by itself, and an outage is two lines in the log. Nothing is kept for a broker that is away: what is not
acknowledged comes again, and what is retained comes with each new connection.
"""

import asyncio
import random

import structlog

from ingest.acknowledger import Acknowledger
from ingest.broker import address
from ingest.config import CentreConfig
from ingest.intake import Intake
from ingest.mqtt import Link, connected
from telemetry import topic
from telemetry.errors import BrokerUnavailable, ConfigInvalid
from telemetry.identity import GatewayRef

log = structlog.get_logger()

IDENTIFIER = "linli-ingest"
_RECONNECT_S = (0.3, 2.0)
_LEAVES = (topic.Leaf.STATE, topic.Leaf.INVENTORY, topic.Leaf.REPLY, topic.Leaf.UP)

Commands = asyncio.Queue[tuple[GatewayRef, bytes]]
"""Signed commands on their way out; one that is lost is not said again."""


async def run(config: CentreConfig, intake: Intake, acknowledger: Acknowledger, commands: Commands) -> None:
    """Receives, acknowledges and sends ``commands`` until cancelled."""
    broker = config.centre.broker.url
    trouble = False
    while True:
        try:
            async with connected(address(config, IDENTIFIER), intake.take, lambda: intake.is_crowded) as link:
                log.info("connected to the broker", broker=broker)
                trouble = False
                intake.connected = True
                await _session(config.centre.root, link, acknowledger, commands)
        except* (BrokerUnavailable, ConfigInvalid) as group:
            if not trouble:
                log.warning("nothing is received; gateways keep their readings", broker=broker, error=_first(group))
            trouble = True
        finally:
            intake.connected = False
        await asyncio.sleep(random.uniform(*_RECONNECT_S))


async def _session(root: str, link: Link, acknowledger: Acknowledger, commands: Commands) -> None:
    async def acknowledge(ref: GatewayRef, message: bytes) -> None:
        await link.publish(topic.build(root, ref, topic.Leaf.ACK), message, retain=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(link.keep(), name="broker")
        await link.subscribe([topic.everyone(root, leaf) for leaf in _LEAVES], qos=1)
        acknowledger.greet()
        group.create_task(acknowledger.run(acknowledge), name="acknowledge")
        group.create_task(_order(root, link, commands), name="commands")


async def _order(root: str, link: Link, commands: Commands) -> None:
    while True:
        ref, message = await commands.get()
        await link.publish(topic.build(root, ref, topic.Leaf.CMD), message, retain=False)


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """The first cause in a group, however deep."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else str(first)
