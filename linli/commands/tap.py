"""``linli tap``: what passes between gateways and the centre, decoded, as it passes."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiomqtt
import click
import msgspec

from simulators.publisher import broker_at
from telemetry import batch, presence, topic
from telemetry.broker import connection
from telemetry.errors import BatchInvalid, BrokerUnavailable, TopicInvalid
from telemetry.reading import Reading
from telemetry.topic import Leaf, Topic

MAX_WAITING = 10_000


@click.command()
@click.option("--broker", default="mqtt://127.0.0.1:1883", show_default=True, help="The broker's address. 消息服务器地址。")
@click.option("--root", default=topic.DEFAULT_ROOT, show_default=True, help="What stands before the topics. 主题前缀。")
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Or centre.yaml: its broker, user, certificates and root. 或使用中心端配置中的服务器与凭据。",
)
@click.option("--all", "everything", is_flag=True, help="Also acknowledgements, states, inventories. 同时显示确认、状态与清单。")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. 每行一个 JSON 对象。")
def tap(broker: str, root: str, file: Path | None, everything: bool, as_json: bool) -> None:
    """Print decoded batches as they pass; changes nothing. 实时显示经过的数据批次(只读)。"""
    if not topic.is_root(root):
        raise click.BadParameter(f"{root!r} cannot stand before a topic", param_hint="--root")
    leaves = tuple(Leaf) if everything else (Leaf.UP,)
    if file is None:
        asyncio.run(_listen(broker, lambda: _stranger(broker), root, leaves, as_json))
        return
    from ingest import config
    from ingest.broker import client

    centre = config.load(file)
    name = f"linli-tap-{secrets.token_hex(4)}"  # the centre's own would throw it off the broker
    url, root = centre.centre.broker.url, centre.centre.root
    asyncio.run(_listen(url, lambda: client(centre, name, max_queued_incoming_messages=MAX_WAITING), root, leaves, as_json))


def _stranger(url: str) -> aiomqtt.Client:
    """Without user or certificate. Raises ``ConfigInvalid``."""
    return aiomqtt.Client(**connection(broker_at(url), str, None), timeout=5.0, max_queued_incoming_messages=MAX_WAITING)


async def _listen(
    url: str, make_client: Callable[[], aiomqtt.Client], root: str, leaves: tuple[Leaf, ...], as_json: bool
) -> None:
    """``make_client`` is called where its event loop runs."""
    try:
        async with make_client() as client:
            for leaf in leaves:
                await client.subscribe(topic.everyone(root, leaf), qos=0)
            async for message in client.messages:
                for line in lines_of(root, str(message.topic), bytes(message.payload), as_json):
                    click.echo(line)
    except aiomqtt.MqttError as error:
        raise BrokerUnavailable(f"{url}: {error}") from error


def lines_of(root: str, name: str, payload: bytes, as_json: bool) -> Iterator[str]:
    """What to print of one message; a message that cannot be decoded is told as such."""
    try:
        where = topic.parse(root, name)
        content = _content(where, payload)
    except (TopicInvalid, BatchInvalid) as error:
        yield json.dumps({"topic": name, "error": str(error)}, ensure_ascii=False) if as_json else f"{name}: {error}"
        return
    if as_json:
        place = {"community": where.ref.community, "gateway": where.ref.gateway, "leaf": str(where.leaf)}
        yield json.dumps({**place, "message": msgspec.to_builtins(content)}, ensure_ascii=False)
    elif isinstance(content, batch.Batch):
        yield from _batch_lines(where, content)
    else:
        yield f"{where.ref.gateway} {where.leaf} {json.dumps(msgspec.to_builtins(content), ensure_ascii=False)}"


def _content(where: Topic, payload: bytes) -> Any:
    match where.leaf:
        case Leaf.UP:
            return batch.decode(payload).batch
        case Leaf.STATE:
            return presence.decode_state(payload)
        case Leaf.INVENTORY:
            return presence.decode_inventory(payload)
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BatchInvalid(str(error)) from error


def _batch_lines(where: Topic, content: batch.Batch) -> Iterator[str]:
    note = f"{len(content.readings)} readings{' resent' if content.resent else ''}"
    yield f"{_clock(content.sealed_at)} {where.ref.gateway} {content.lane} #{content.seq} ({content.epoch[:4]}) {note}"
    yield from (_reading_line(reading) for reading in content.readings)


def _reading_line(reading: Reading) -> str:
    values = " ".join(f"{name}={_short(value)}" for name, value in reading.values.items())
    quality = "" if reading.quality == "good" else f" [{reading.quality}]"
    faults = f" {reading.faults}" if reading.faults else ""
    return f"  {_clock(reading.at)} {reading.device} ({reading.kind}){quality} {values}{faults}"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6).astimezone().strftime("%H:%M:%S.%f")[:-3]
