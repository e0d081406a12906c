"""A real API on a free port over real rooms: SQLite, DuckDB, a tokens file. Alerts are written as the engine writes them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from ingest import tokens
from ingest.alerts import Alert, Colour, Family
from ingest.alerts.episode import Episode, Key, acknowledged, alert_id, over
from ingest.alerts.tables import record
from ingest.api import Parts, create_app, listen, serve
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.registry import Registry
from ingest.store import EmbeddedStore, PointStore
from ingest.tokens import Role, Tokens
from telemetry.identity import Stream
from telemetry.presence import Words
from telemetry.reading import Micros, Reading
from tests.rooms import Rooms, rooms

NOW = 1_795_420_800_000_000
HERE = "411202002001"
ELSEWHERE = "420102001001"


@dataclass
class Centre:
    """What a test may reach: the rooms behind the API, and clients with a token each."""

    parts: Parts
    database: Database
    tokens_file: Path
    port: int
    now: list[int]
    made: dict[str, str]
    rooms: Rooms
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, whose: str | None = "viewer") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.made[whose]}"} if whose else {}
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=10)
        self._clients.append(client)
        return client

    async def get(self, path: str, whose: str | None = "viewer", **query: Any) -> httpx.Response:
        return await self.client(whose).get(path, params=query)

    async def raise_alert(
        self,
        opened_at: int = NOW,
        community: str = HERE,
        device: str = "b3-pump-level",
        rule: str = "sump-high",
        colour: Colour = Colour.YELLOW,
        family: Family = Family.ENVIRONMENT,
        over_at: int | None = None,
        acked: bool = False,
    ) -> Alert:
        key = Key(rule, community, f"gw-1/{device}")
        alert = Alert(
            id=alert_id(key, opened_at),
            rule=rule,
            kind=rule.replace("-", "_"),
            family=family,
            colour=colour,
            title=Words("集水井水位高", "High water in the sump"),
            text=Words("水位 1.62 m", "Level 1.62 m"),
            device=device,
            gateway="gw-1",
            community=community,
            place=Words("3号楼水泵房", "Building 3 pump room"),
            zone="b3-pump-room",
            value=1.62,
            limit=1.5,
            metric="level",
            unit="m",
            opened_at=opened_at,
        )
        episode = Episode(alert, latch=False)
        if over_at:
            episode = over(episode, over_at)
        if acked:
            episode = acknowledged(episode, "someone", "", opened_at + 1)
        await self.database.write(lambda connection: record(connection, key, episode, "opened", opened_at, opened_at, "rule"))
        self.parts.feed.beat()
        return episode.alert

    async def store(self, *readings: Reading, community: str = HERE, seq: int = 1) -> None:
        stream = Stream(community, "gw-1", "0" * 16, "bulk")
        arrival = Arrival(stream, seq, readings, Micros(NOW))
        assert not await self.parts.store.write([arrival])

    async def ask_raw(self, request: bytes) -> tuple[int, str, bytes]:
        """Status, headers in lower case, body: for requests that no client would send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), head.decode().lower(), body


@asynccontextmanager
async def running(tmp_path: Path, **overrides: Any) -> AsyncIterator[Centre]:
    database = Database(tmp_path / "centre.db")
    tokens_file = tmp_path / "tokens.yaml"
    made = {
        "viewer": tokens.add(tokens_file, "viewer", [HERE]),
        "handler": tokens.add(tokens_file, "wuye", ["4112"], Role.HANDLER),
        "admin": tokens.add(tokens_file, "admin", ["4112"], Role.ADMIN),
        "wuhan-admin": tokens.add(tokens_file, "wuhan-admin", ["42"], Role.ADMIN),
        "wuhan": tokens.add(tokens_file, "wuhan", ["42"], Role.HANDLER),
        "stranger": "linli_" + "x" * 43,
    }
    now = [NOW]
    store: PointStore = overrides.pop("store", None) or EmbeddedStore(tmp_path / "points.duckdb")
    registry = Registry(database)
    rules_text = overrides.pop("rules_text", "rules: []")
    known = rooms(tmp_path, database, store, registry, Tokens(tokens_file), lambda: Micros(now[0]), rules_text=rules_text)
    parts = replace(known.parts, **overrides)
    await store.open()
    await registry.open()
    await known.engine.open()
    listener = listen("127.0.0.1", 0)
    stop = asyncio.Event()
    centre = Centre(parts, database, tokens_file, listener.getsockname()[1], now, made, known)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(create_app(parts), parts.feed, listener, stop))
        replaying = group.create_task(parts.replays.run())
        try:
            yield centre
        finally:
            for client in centre._clients:
                await client.aclose()
            stop.set()
            replaying.cancel()
    await store.close()
    database.close()


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that an answer tells; it must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.text)
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in answer.text
    return body
