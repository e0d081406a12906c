"""Poison is kept with its bytes and reason, once each, within bounds, and waits for a database that is down."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest import deadletter
from ingest.database import Database
from ingest.deadletter import MAX_BODY, MAX_WAITING, NO_ROOM, DeadLetter, DeadLetters, count, set_aside
from telemetry.identity import GatewayRef
from telemetry.reading import Micros

pytestmark = pytest.mark.both_databases

REF = GatewayRef("411202002001", "gw-test")
T0 = Micros(1_700_000_000_000_000)
LETTER = DeadLetter(REF, "linli/v1/1/411202002001/gw-test/up", "not JSON", b"\xff")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "centre.db")
    yield made
    made.close()


async def rows(database: Database, what: str) -> list[tuple[object, ...]]:
    wanted = sa.text(f"SELECT {what} FROM dead_letter")
    return [tuple(row) for row in await database.read(lambda connection: connection.execute(wanted).all())]


async def test_the_same_letter_is_kept_once_and_counted(database: Database) -> None:
    await set_aside(database, [LETTER, LETTER, LETTER._replace(reason="another")], T0)
    await set_aside(database, [LETTER], Micros(T0 + 1))
    assert sorted(await rows(database, "reason, times, last_at - first_at, body")) == [
        ("another", 1, 0, b"\xff"),
        ("not JSON", 3, 1, b"\xff"),
    ]


async def test_bodies_are_cut_and_rows_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletter, "MAX_ROWS", 2)
    await set_aside(database, [LETTER._replace(body=bytes([n]) * (MAX_BODY + 1)) for n in range(5)], T0)
    assert sorted(await rows(database, "length(body), reason, times")) == [
        (0, NO_ROOM, 3),
        (MAX_BODY, "not JSON", 1),
        (MAX_BODY, "not JSON", 1),
    ]


@pytest.mark.sqlite_file
async def test_letters_wait_for_a_database_that_is_down(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletter, "RETRY_S", 0.01)
    letters = DeadLetters(database, lambda: T0)
    with sqlite3.connect(tmp_path / "centre.db") as other:
        other.execute("ALTER TABLE dead_letter RENAME TO away")
    for n in range(MAX_WAITING + 5):
        letters.put(LETTER._replace(ref=REF._replace(gateway=f"gw-{n % 20}"), reason=str(n)))
    writing = asyncio.create_task(letters.run())
    while not letters._queue.empty():  # it is emptied before the first try
        await asyncio.sleep(0)
    with sqlite3.connect(tmp_path / "centre.db") as other:
        other.execute("ALTER TABLE away RENAME TO dead_letter")
    async with asyncio.timeout(5):
        while await count(database) < MAX_WAITING:
            assert not writing.done()
            await asyncio.sleep(0.01)
    writing.cancel()
    assert await count(database) == MAX_WAITING


def test_one_gateway_does_not_take_the_room_of_the_others_while_letters_wait(database: Database) -> None:
    letters = DeadLetters(database, lambda: T0)
    for n in range(MAX_WAITING):
        letters.put(LETTER._replace(reason=str(n)))
    assert letters._queue.qsize() == MAX_WAITING // 10


async def test_one_gateway_does_not_fill_the_table_for_the_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletter, "MAX_OF_GATEWAY", 2)
    flood = [LETTER._replace(reason=str(n)) for n in range(5)]
    await set_aside(database, flood[:1], T0)
    await set_aside(database, [*flood, LETTER._replace(ref=REF._replace(gateway="gw-other"))], T0)
    assert sorted(await rows(database, "gateway, reason, times")) == [
        ("gw-other", "not JSON", 1),
        ("gw-test", "0", 2),
        ("gw-test", "1", 1),
        ("gw-test", NO_ROOM, 3),
    ]


async def test_letters_without_room_are_counted_as_they_come_on_one_row_of_their_gateway(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletter, "MAX_OF_GATEWAY", 1)
    for n in range(4):
        await set_aside(database, [LETTER._replace(reason=str(n))], Micros(T0 + n))
    assert sorted(await rows(database, "reason, times, first_at, last_at")) == [
        ("0", 1, T0, T0),
        (NO_ROOM, 3, T0 + 1, T0 + 3),
    ]


def test_what_waits_is_cut_already_so_that_huge_letters_cannot_fill_the_memory(database: Database) -> None:
    letters = DeadLetters(database, lambda: T0)
    letters.put(LETTER._replace(body=bytes(1 << 20)))
    assert letters._queue.get_nowait().body == bytes(MAX_BODY)
