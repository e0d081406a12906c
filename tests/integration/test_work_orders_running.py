"""The running centre makes a work order of an alert whose rule asks for it, by the limits of catalogue and configuration."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from ingest import tokens
from ingest.alerts import Alert, Colour, Family
from ingest.alerts.episode import Episode, Key, alert_id
from ingest.alerts.tables import record
from ingest.database import Database, Place, Server
from ingest.intake import wall_clock
from ingest.service import run
from ingest.tokens import Role
from telemetry.presence import Words
from tests.servers import free_port

HERE = "411202002001"

CENTRE = """
broker: {{url: "mqtt://127.0.0.1:{broker}"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules.yaml]
data: .
database: {database}
api: {{port: {port}}}
work_orders: {{limits_min: {{red: {{sign: 3}}}}}}
"""

RULES = """
rules:
  - id: door_forced
    kind: door_forced
    family: access
    colour: red
    title: {zh: 强行开门, en: Door forced}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [access]}
    when: {type: duration, where: {door_open: true}}
    case: auto
kinds:
  - id: door_forced
    number: 1
    family: access
    colour: red
    title: {zh: 强行开门, en: Door forced}
    handler: [SEC]
    sla: {done_s: 1500}
    file_when: {zh: 无授权开门, en: Opened without a grant}
    close_when: {zh: 门已关闭, en: The door is shut}
"""


async def alert_of(place: Place) -> str:
    key = Key("door_forced", HERE, "gw-1/b3-door")
    at = wall_clock()
    alert = Alert(
        id=alert_id(key, at),
        rule="door_forced",
        kind="door_forced",
        family=Family.ACCESS,
        colour=Colour.RED,
        title=Words("强行开门", "Door forced"),
        text=Words("3号楼", "Building 3"),
        device="b3-door",
        gateway="gw-1",
        community=HERE,
        place=Words("3号楼", "Building 3"),
        opened_at=at,
    )
    database = Database(place)
    await database.write(lambda connection: record(connection, key, Episode(alert, latch=False), "opened", at, at, "machine"))
    database.close()
    return alert.id


def address(place: Place) -> str:
    """As ``centre.yaml`` names it."""
    is_server = isinstance(place, Server)
    return f"postgresql://{place.user}@{place.host}:{place.port}/{place.name}" if is_server else "sqlite"


async def first_work_order(port: int, token: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as client:
        while True:
            try:
                found: list[dict[str, Any]] = (await client.get("/api/v1/work-orders")).json()["items"]
            except httpx.TransportError:
                found = []
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def test_a_red_alert_of_an_automatic_rule_is_on_the_desk_within_seconds(tmp_path: Path, place: Place) -> None:
    port = free_port()
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "centre.yaml").write_text(CENTRE.format(port=port, broker=free_port(), database=address(place)))
    token = tokens.add(tmp_path / "tokens.yaml", "desk", [HERE], Role.DISPATCHER)
    alert = await alert_of(place)
    stop = asyncio.Event()
    running = asyncio.create_task(run(tmp_path / "centre.yaml", stop))
    async with asyncio.timeout(20):
        order = await first_work_order(port, token)
    path = f"http://127.0.0.1:{port}/api/v1/work-orders/{order['id']}/transitions"
    headers = {"Authorization": f"Bearer {token}", "If-Match": '"1"'}
    async with httpx.AsyncClient() as client:
        sent = (await client.post(path, json={"action": "dispatch", "unit": "baoan"}, headers=headers)).json()
    stop.set()
    await asyncio.wait_for(running, 20)
    assert (order["stage"], order["alerts"], order["close_when"]["zh"]) == ("filed", [alert], "门已关闭")
    assert (sent["clock"]["limit_s"], sent["parts"][0]["clock"]["limit_s"]) == (180.0, 1500.0)
