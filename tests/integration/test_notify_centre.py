"""Notifications from end to end: targets of every kind beside each other, a broker, a restart, secrets exchanged."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
import yaml

from ingest.alerts import Changed, Colour
from ingest.database import Database
from ingest.notify import Notifications, Notifier, Notify
from ingest.notify.signature import webhook
from ingest.service import check
from telemetry.errors import ConfigInvalid
from telemetry.identity import Scope
from telemetry.presence import Words
from tests.notices import AT, changed, notify_of, numbered, secret
from tests.receivers import answer, mailbox, receiver
from tests.servers import mosquitto

OLD, NEW = b"o" * 32, b"n" * 32


def written(*secrets: bytes) -> str:
    return "".join(f"whsec_{base64.b64encode(one).decode()}\n" for one in secrets)


@asynccontextmanager
async def notifying(folder: Path, notify: Notify) -> AsyncIterator[tuple[Notifier, Database]]:
    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    database = Database(folder / "centre.db")
    notifier = Notifier(notify, folder.joinpath, database, lambda: AT, resolve=here)
    running = asyncio.create_task(notifier.run())
    try:
        yield notifier, database
    finally:
        running.cancel()
        await asyncio.wait([running])
        database.close()
        if not running.cancelled() and (error := running.exception()):
            raise error


async def tell(notifier: Notifier, database: Database, *several: Changed) -> None:
    for one in several:
        await database.write(lambda connection, one=one: notifier.told(connection, one))  # type: ignore[misc]  # bound now
    notifier.wake()


def hook(port: int, name: str = "platform") -> str:
    return f'{name}: {{type: webhook, url: "http://platform.test:{port}/", secrets_file: secrets}}'


def site(*ports: int) -> str:
    return f"on_site: [{{network: 127.0.0.1/32, ports: {list(ports)}}}]"


async def test_a_slow_target_holds_up_no_other_and_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    secret(tmp_path, "secrets", written(OLD))
    async with receiver() as slow, receiver() as quick:
        slow.silent = asyncio.Event()
        notify = notify_of(f"""
targets:
  {hook(slow.port, "slow")}
  {hook(quick.port, "quick")}
routes: [{{to: [slow, quick]}}]
{site(slow.port, quick.port)}
""")
        async with notifying(tmp_path, notify) as (notifier, database):
            await tell(notifier, database, *(numbered(seq) for seq in range(1, 4)))
            await quick.wait_for(3)
            await slow.wait_for(1)
        slow.silent.set()
        async with notifying(tmp_path, notify):
            await slow.wait_for(4)
        assert [asked.said["data"]["seq"] for asked in slow.asked] == [1, 1, 2, 3]
        assert {asked.said["data"]["seq"] for asked in quick.asked} == {1, 2, 3}


async def test_a_secret_is_exchanged_without_a_restart_both_sign_in_between(tmp_path: Path) -> None:
    secret(tmp_path, "secrets", written(OLD))
    async with receiver() as other:
        notify = notify_of(f"targets: {{{hook(other.port)}}}\nroutes: [{{to: [platform]}}]\n{site(other.port)}")
        async with notifying(tmp_path, notify) as (notifier, database):
            await tell(notifier, database, numbered(1))
            await other.wait_for(1)
            secret(tmp_path, "secrets", written(NEW, OLD))
            await tell(notifier, database, numbered(2))
            await other.wait_for(2)
        for asked, secrets in zip(other.asked, ([OLD], [NEW, OLD]), strict=True):
            id, stamp = asked.headers["webhook-id"], int(asked.headers["webhook-timestamp"])
            assert asked.headers["webhook-signature"] == webhook(secrets, id, stamp, asked.body)


async def test_a_topic_gets_the_same_events_from_a_real_broker(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as server:
        notify = notify_of(f"""
targets: {{events: {{type: mqtt, broker: {{url: "mqtt://127.0.0.1:{server.port}"}}, topic: linli/alerts}}}}
routes: [{{to: [events]}}]
""")
        async with aiomqtt.Client("127.0.0.1", server.port) as listener, notifying(tmp_path, notify) as (notifier, database):
            await listener.subscribe("linli/alerts/#", qos=1)
            await tell(notifier, database, changed())
            async with asyncio.timeout(10):
                message = await anext(aiter(listener.messages))
        assert str(message.topic) == "linli/alerts/411202002001/door_forced"
        assert isinstance(message.payload, bytes)
        event = json.loads(message.payload)
        assert (event["type"], event["data"]["text"]["zh"]) == ("linli.alert.opened", "3号楼东门被打开，请立即到场查看。")


PLATE, CARD, NAME = "豫M·88Q21", "04A3F2917C", "王师傅"


async def test_no_group_ever_reads_a_plate_a_card_a_name_or_of_an_elder(tmp_path: Path) -> None:
    """Whatever field they stand in, whatever the kind: grep what three robots were asked."""
    async with receiver() as group, mailbox() as box:
        group.say = lambda asked: answer(200, {"errcode": 0, "code": 0})
        secret(tmp_path, "url", f"http://robot.test:{group.port}/send?token=x")
        notify = notify_of(f"""
targets:
  d: {{type: dingtalk, url_file: url}}
  f: {{type: feishu, url_file: url}}
  w: {{type: wecom, url_file: url}}
  m: {{type: mail, host: 127.0.0.1, port: {box.port}, tls: none, from: a@example.org, to: [b@example.org]}}
routes: [{{to: [d, f, w, m]}}]
{site(group.port)}
""")
        words = Words(f"{PLATE} {CARD} 入场", f"{PLATE} {CARD} entered")
        told = [
            changed(id=f"{seq:020x}", seq=seq, kind=kind, title=Words(f"标题{seq}", kind), text=Words(NAME, NAME), place=words,
                    value=PLATE, limit=CARD, acked_by=NAME, note=NAME, colour=Colour.YELLOW)
            for seq, kind in enumerate(
                ("plate_blacklist", "denied_burst", "elder_not_seen", "elder_night_exit", "duress", "watchlist_hit"), 1
            )
        ]  # fmt: skip
        async with notifying(tmp_path, notify) as (notifier, database):
            await tell(notifier, database, *told)
            async with asyncio.timeout(10):
                while b"".join(box.mails).count(b"Subject") == 0 or len(group.asked) < 3:
                    await asyncio.sleep(0.02)
                seen = Notifications(database, notify.targets, notifier.standing)
                while any(target.waiting for target in await seen.targets(Scope(["41"]))):
                    await asyncio.sleep(0.02)
        said = "\n".join(json.dumps(asked.said, ensure_ascii=False) for asked in group.asked)
        assert "标题1" in said
        assert "标题2" in said
        for personal in (PLATE, CARD, NAME, "标题3", "标题4", "标题5", "标题6", "elder", "duress"):
            assert personal not in said


@pytest.mark.parametrize(
    ("url", "reason"),
    [("https://10.0.0.1/", "is not a public address"), ("https://example.org/", "no rule raises 'dor_forced'")],
)
def test_a_centre_with_a_bad_target_or_route_does_not_start(tmp_path: Path, url: str, reason: str) -> None:
    secret(tmp_path, "secrets", written(OLD))
    (tmp_path / "rules.yaml").write_text("rules: []")
    centre = {
        "broker": {"url": "mqtt://127.0.0.1"},
        "gateways_file": "gateways.yaml",
        "tokens_file": "tokens.yaml",
        "rules": ["rules.yaml"],
        "notify": {
            "targets": {"platform": {"type": "webhook", "url": url, "secrets_file": "secrets"}},
            "routes": [{"to": ["platform"], "kinds": ["dor_forced"]}],
        },
    }
    (tmp_path / "centre.yaml").write_text(yaml.safe_dump(centre))
    with pytest.raises(ConfigInvalid, match=reason):
        check(tmp_path / "centre.yaml")
