"""The centre's database, in a file and on a server alike: one connection writes, reads see one state and change nothing."""

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.alerts.tables import alert, watermark
from ingest.database import Database, Place, add_up, insert_new, upsert
from ingest.deadletter import table as dead_letter
from ingest.history.stale import table as stale_window
from ingest.tally import _tally as tally
from telemetry.errors import StoreUnavailable

LETTER = {
    "digest": "d",
    "community": "411202002001",
    "gateway": "gw-1",
    "first_at": 1,
    "last_at": 1,
    "times": 1,
    "origin": "o",
    "reason": "r",
    "body": b"\x00",
}


async def count(database: Database, table: sa.Table) -> int:
    return await database.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def letters(database: Database) -> list[dict[str, object]]:
    rows = await database.read(lambda connection: connection.execute(sa.select(dead_letter)).mappings().all())
    return [dict(row) for row in rows]


async def test_every_write_is_of_one_connection_and_one_thread_and_a_read_cannot_write(place: Place) -> None:
    database = Database(place)
    writers = {
        await database.write(lambda connection: (id(connection.connection.dbapi_connection), threading.get_ident()))
        for _ in range(5)
    }
    assert len(writers) == 1
    with pytest.raises(StoreUnavailable, match=r"read-?only"):
        await database.read(lambda connection: connection.execute(sa.delete(alert)))
    database.close()


async def test_a_read_sees_one_state_of_the_database(place: Place) -> None:
    database = Database(place)
    begun, written = threading.Event(), threading.Event()

    def look(connection: sa.Connection) -> tuple[int, int]:
        first = connection.execute(sa.text("SELECT count(*) FROM dead_letter")).scalar_one()
        begun.set()
        assert written.wait(30)
        return first, connection.execute(sa.text("SELECT count(*) FROM dead_letter")).scalar_one()

    def change(connection: sa.Connection) -> None:
        assert begun.wait(30)
        connection.execute(dead_letter.insert().values(LETTER))

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(database.read(look), name="look")
        await database.write(change)
        written.set()
    assert looking.result() == (0, 0)
    assert await count(database, dead_letter) == 1
    database.close()


async def test_a_write_that_fails_leaves_nothing_behind(place: Place) -> None:
    database = Database(place)

    def change(connection: sa.Connection) -> None:
        connection.execute(dead_letter.insert().values(LETTER))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(change)
    assert await count(database, dead_letter) == 0
    await database.write(lambda connection: connection.execute(dead_letter.insert().values(LETTER)))
    database.close()
    again = Database(place)
    assert await count(again, dead_letter) == 1
    again.close()


async def test_a_row_is_inserted_once_or_overwritten_or_added_to(place: Place) -> None:
    database = Database(place)
    window = {"level": "5m", "start": 0, "community": "411202002001", "gateway": "gw-1"}
    hour = {"hour": 0, "community": "411202002001", "gateway": "gw-1", "readings": 2**40, "set_aside": 1}

    def change(connection: sa.Connection) -> None:
        for _ in range(2):
            insert_new(connection, stale_window, [window, window])
            add_up(connection, tally, [hour, hour | {"gateway": "gw-2"}])
        upsert(connection, dead_letter, [LETTER])
        upsert(connection, dead_letter, [LETTER | {"times": 7}, LETTER | {"digest": "e"}])

    await database.write(change)
    assert await count(database, stale_window) == 1
    sums = await database.read(lambda connection: connection.execute(sa.select(tally.c.readings, tally.c.set_aside)).all())
    assert [tuple(row) for row in sums] == [(2**41, 2)] * 2
    assert sorted((row["digest"], row["times"]) for row in await letters(database)) == [("d", 7), ("e", 1)]
    database.close()


async def test_a_column_takes_what_is_longer_or_larger_than_was_thought(place: Place) -> None:
    database = Database(place)
    row = LETTER | {"digest": "长" * 400, "times": 2**63 - 1, "body": bytes(range(256)) * 300}
    await database.write(lambda connection: upsert(connection, dead_letter, [row]))
    assert await letters(database) == [row]
    database.close()


async def test_text_with_nul_is_found_again(place: Place) -> None:
    database = Database(place)
    await database.write(lambda connection: upsert(connection, dead_letter, [LETTER | {"reason": "a\0b"}]))
    same = sa.select(dead_letter.c.digest).where(dead_letter.c.reason == "a\0b")
    assert await database.read(lambda connection: connection.scalars(same).all()) == ["d"]
    database.close()


async def test_text_compares_byte_by_byte(place: Place) -> None:
    database = Database(place)
    words = ["4112", "411202:", "411202002001", "Zone", "a b", "aB", "a", "é", "东门"]
    await database.write(lambda connection: upsert(connection, dead_letter, [LETTER | {"digest": word} for word in words]))
    inside = sa.select(dead_letter.c.digest).order_by(dead_letter.c.digest)
    assert await database.read(lambda connection: connection.scalars(inside).all()) == sorted(words, key=str.encode)
    within = inside.where(dead_letter.c.digest >= "4112", dead_letter.c.digest < "4112:")
    assert await database.read(lambda connection: connection.scalars(within).all()) == ["4112", "411202002001", "411202:"]
    database.close()


async def test_a_page_that_is_damaged_while_a_centre_runs_is_said_with_its_cure(tmp_path: Path) -> None:
    file = tmp_path / "centre.db"
    stream = {"community": "411202002001", "epoch": "0" * 16, "lane": "bulk", "seq": 1}
    database = Database(file)
    rows = [stream | {"gateway": f"gw-{number:05}"} for number in range(5_000)]
    await database.write(lambda connection: connection.execute(watermark.insert(), rows))
    database.close()
    content = bytearray(file.read_bytes())
    page = content.index(b"gw-02500") // 4096 * 4096
    content[page : page + 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    database = Database(file)
    for ask in (database.read, database.write):
        with pytest.raises(StoreUnavailable, match=r"centre\.db is damaged: .*malformed; stop the centre and put back a copy"):
            await ask(lambda connection: connection.execute(sa.select(sa.func.max(watermark.c.seq))).all())
    database.close()
