"""``linli audit``, ``replay`` and ``deadletter`` against a whole centre, with a gateway that speaks MQTT itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import duckdb
import pytest
from click.testing import CliRunner, Result

from ingest import gateways, instant, intake, tokens
from ingest.service import run
from ingest.tokens import Role
from linli.cli import command_line
from telemetry import batch, command, presence, topic
from telemetry.batch import Batch, Lane
from telemetry.command import Reply
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef
from telemetry.metric import Kind, Value
from telemetry.reading import Reading
from tests.servers import Server, free_port, mosquitto

REF = GatewayRef("411202002001", "gw-test")
KEY = "11" * 32
EPOCH = "0123456789abcdef"
CENTRE = """
broker: {{url: "{url}"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules.yaml]
api: {{port: {port}}}
"""


class Gateway:
    """Seals batches, keeps them, and sends them again when a command asks for it."""

    def __init__(self, link: aiomqtt.Client) -> None:
        self._link = link
        self.sealed: list[Batch] = []
        self.acknowledged = 0
        self.begun = intake.wall_clock()

    async def publish(self, leaf: topic.Leaf, body: bytes, retain: bool = False) -> None:
        await self._link.publish(topic.build(topic.DEFAULT_ROOT, REF, leaf), body, qos=1, retain=retain)

    async def greet(self) -> None:
        await self.publish(topic.Leaf.STATE, presence.encode(presence.State(online=True, at=intake.wall_clock())), retain=True)

    async def say(self, *readings: Reading) -> None:
        now = intake.wall_clock()
        seq = len(self.sealed) + 1
        sealed = Batch(
            gateway=REF.gateway, epoch=EPOCH, lane=Lane.BULK, seq=seq, sealed_at=now, sent_at=now, readings=list(readings)
        )
        self.sealed.append(sealed)
        await self.publish(topic.Leaf.UP, batch.encode(sealed))

    async def measure(self, count: int) -> None:
        """So many readings, in batches of ten; returns when they are acknowledged."""
        for first in range(0, count, 10):
            await self.say(*(level(intake.wall_clock() + n, float(first + n)) for n in range(min(10, count - first))))
        await self.settled()

    async def settled(self) -> None:
        async with asyncio.timeout(15):
            while self.acknowledged < len(self.sealed):
                await asyncio.sleep(0.02)

    async def run(self) -> None:
        for leaf in (topic.Leaf.ACK, topic.Leaf.CMD):
            await self._link.subscribe(topic.build(topic.DEFAULT_ROOT, REF, leaf), qos=1)
        await self.greet()
        async for message in self._link.messages:
            assert isinstance(message.payload, bytes)
            if topic.parse(topic.DEFAULT_ROOT, str(message.topic)).leaf is topic.Leaf.CMD:
                await self._replay(command.decode(message.payload, REF, bytes.fromhex(KEY)))
            else:
                marks = json.loads(message.payload)["marks"]
                self.acknowledged = max((mark["seq"] for mark in marks), default=0)

    async def _replay(self, asked: command.Command) -> None:
        kept = [one for one in self.sealed if asked.start <= one.sealed_at < asked.end]
        for one in kept:
            again = batch.encode(Batch(**{name: getattr(one, name) for name in Batch.__struct_fields__} | {"replay": asked.id}))
            await self.publish(topic.Leaf.UP, again)
        readings = sum(len(one.readings) for one in kept)
        reply = Reply(id=asked.id, at=intake.wall_clock(), done=True, batches=len(kept), readings=readings)
        await self.publish(topic.Leaf.REPLY, command.encode_reply(reply))


def level(at: int, metres: float) -> Reading:
    return Reading(device="b3-sump", kind=Kind.ENVIRONMENT, at=at, values={"level": metres, "temperature": 11.5})


class Here:
    """The running centre, and what is typed at its machine."""

    def __init__(self, folder: Path, broker: Server) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "rules.yaml").write_text("rules: []\n")
        (folder / "centre.yaml").write_text(CENTRE.format(url=broker.url, port=self.port))
        gateways.add(
            folder / "gateways.yaml", gateways.GatewayEntry(community=REF.community, id=REF.gateway, key=KEY, site_key=KEY)
        )
        (folder / "token").write_text(tokens.add(folder / "tokens.yaml", "operator", ["41"], Role.ADMIN))
        (folder / "viewer").write_text(tokens.add(folder / "tokens.yaml", "viewer", ["41"]))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        centre = asyncio.create_task(run(self.folder / "centre.yaml", stop))
        try:
            async with asyncio.timeout(10):
                while isinstance((await self.linli("audit")).exception, StoreUnavailable):
                    assert not centre.done(), centre.exception()
            yield
        finally:
            stop.set()
            await asyncio.wait_for(centre, 10)

    async def linli(self, *words: str, whose: str = "token", json_too: bool = False) -> Result:
        asked = [*words, "--api", f"http://127.0.0.1:{self.port}", "--token-file", str(self.folder / whose)]
        return await asyncio.to_thread(CliRunner().invoke, command_line, [*asked, *(["--json"] if json_too else [])])

    async def audit(self) -> dict[str, object]:
        result = await self.linli("audit", json_too=True)
        found: dict[str, object] = json.loads(result.stdout)
        assert result.exit_code == (0 if found["proved"] else 1)
        return found

    def lose(self, condition: str) -> int:
        """Deletes points from the telemetry file of a centre that stands still; how many readings that were."""
        with duckdb.connect(str(self.folder / "data" / "telemetry.duckdb")) as file:
            (readings,) = file.execute(f"SELECT count(DISTINCT instant) FROM point WHERE {condition}").fetchall()[0]
            file.execute(f"DELETE FROM point WHERE {condition}")
            return int(readings)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with mosquitto(tmp_path) as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, broker: Server) -> Here:
    return Here(tmp_path, broker)


@pytest.fixture
async def gateway(broker: Server) -> AsyncIterator[Gateway]:
    async with aiomqtt.Client("127.0.0.1", int(broker.url.rsplit(":", 1)[1]), identifier="gw") as link:
        made = Gateway(link)
        listening = asyncio.create_task(made.run())
        yield made
        listening.cancel()
        await asyncio.wait([listening])


async def test_an_audit_proves_that_nothing_is_missing(here: Here, gateway: Gateway) -> None:
    async with here.running():
        await gateway.measure(45)
        told = await here.linli("audit")
        assert told.exit_code == 0
        assert "45 readings accepted, 45 stored, 0 missing" in told.output
        assert (await here.audit())["findings"] == []


async def test_what_a_store_lost_is_named_and_replayed_exactly(here: Here, gateway: Gateway) -> None:
    async with here.running():
        await gateway.measure(45)
    lost = here.lose("seq IN (2, 4)")
    assert lost == 20
    async with here.running():
        found = await here.audit()
        assert (found["accepted"], found["stored"], found["missing"], found["unexplained"]) == (45, 25, 20, 20)
        assert [one["cause"] for one in found["findings"]] == ["unexplained"]  # type: ignore[index,union-attr]
        assert "UNEXPLAINED: 20 readings" in (await here.linli("audit")).output
        await gateway.greet()
        told = await here.linli("replay", "--from", instant.text(gateway.begun))
        assert told.exit_code == 0, told.output
        assert "5 batches, 45 readings put back, 20 of them had been missing" in told.output
        assert "45 readings accepted, 45 stored, 0 missing" in told.output
        assert (await here.audit())["proved"] is True
        again = await here.linli("replay", "--from", instant.text(gateway.begun))
        assert "0 of them had been missing" in again.output
        assert (await here.audit())["surplus"] == 0


async def test_a_loss_certificate_and_a_dead_letter_are_named_as_causes(here: Here, gateway: Gateway) -> None:
    now = intake.wall_clock()
    said: dict[str, Value] = {"event": "loss", "loss_device": "b3-sump", "loss_reason": "outbox full"}
    said |= {"loss_from": now - 9_000_000, "loss_to": now, "loss_count": 7}
    certificate = Reading(device=REF.gateway, kind=Kind.GATEWAY, at=now, values=said, event_id="loss-1")
    poison = Reading(device="b3-sump", kind=Kind.ENVIRONMENT, at=now + 1, values={"colour": "blue"})
    async with here.running():
        await gateway.say(certificate, poison, level(now + 2, 1.0))
        await gateway.settled()
        found = await here.audit()
        assert (found["accepted"], found["stored"], found["missing"], found["unexplained"]) == (10, 2, 8, 0)
        causes = {one["cause"]: (one["readings"], one["device"], one["reason"]) for one in found["findings"]}  # type: ignore[attr-defined]
        assert causes["certificate"] == (7, "b3-sump", "outbox full")
        assert causes["dead_letter"][0] == 1
        assert (await here.linli("audit")).exit_code == 0


async def test_a_gateway_that_says_one_instant_again_and_again_leaves_nothing_unexplained(here: Here, gateway: Gateway) -> None:
    now = intake.wall_clock()
    async with here.running():
        await gateway.say(*(level(now, metres / 100) for metres in range(100)))
        await gateway.settled()
        found = await here.audit()
        assert (found["accepted"], found["stored"], found["missing"], found["unexplained"]) == (100, 1, 99, 0)
        assert {one["cause"] for one in found["findings"]} == {"dead_letter"}  # type: ignore[attr-defined]
        assert (await here.linli("audit")).exit_code == 0


async def test_a_gateway_whose_batches_say_one_instant_twice_leaves_nothing_unexplained(here: Here, gateway: Gateway) -> None:
    """As after a salvage, which may send what it cannot place any more under a second key."""
    now = intake.wall_clock()
    async with here.running():
        await gateway.say(*(level(now + n, 1.0) for n in range(10)))
        await gateway.say(*(level(now + n, 1.0) for n in range(5, 15)))
        await gateway.settled()
        found = await here.audit()
        assert (found["accepted"], found["stored"], found["missing"], found["surplus"]) == (20, 20, 0, 0)
        assert found["proved"] is True


async def test_dead_letters_are_listed_shown_tried_and_dropped(here: Here, gateway: Gateway) -> None:
    now = intake.wall_clock()
    async with here.running():
        await gateway.say(Reading(device="b3-sump", kind=Kind.ENVIRONMENT, at=now, values={"colour": "\x1b[31mblue"}))
        await gateway.settled()
        listed = json.loads((await here.linli("deadletter", "list", json_too=True)).stdout)
        (letter,) = listed
        assert "colour" in letter["reason"]
        shown = (await here.linli("deadletter", "show", letter["id"])).output
        assert '"device":"b3-sump"' in shown
        assert "\x1b" not in shown
        tried = await here.linli("deadletter", "replay", letter["id"])
        assert (tried.exit_code, "still aside" in tried.output) == (1, True)
        assert (await here.linli("deadletter", "drop", letter["id"])).exit_code == 0
        assert json.loads((await here.linli("deadletter", "list", json_too=True)).stdout) == []
        gone = await here.linli("deadletter", "show", letter["id"])
        assert (gone.exit_code, "no such dead letter" in gone.output) == (1, True)


async def test_a_token_that_only_reads_may_audit_and_nothing_more(here: Here, gateway: Gateway) -> None:
    async with here.running():
        await gateway.measure(1)
        assert (await here.linli("audit", whose="viewer")).exit_code == 0
        for words in (["replay", "--from", "2026-01-01"], ["deadletter", "list"], ["deadletter", "drop", "x"]):
            refused = await here.linli(*words, whose="viewer")
            assert refused.exit_code == 1
            assert "role admin" in refused.output
