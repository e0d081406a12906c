"""What is asked under an idempotency key is done once."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ingest import migrations
from ingest.database import Database, Place
from ingest.once import KEPT_US, KeyReused, Once, done_once

ONCE = Once("wuye", "key-1", "hash")
NUMBER: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(int | None)


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Database]:
    database = Database(place)
    yield database
    database.close()


class Deed:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.times = 0

    async def ask(self, once: Once | None, at: int = 0, fails: bool = False, nothing: bool = False) -> int | None:
        def do() -> int | None:
            self.times += 1
            return None if nothing else self.times

        def change(connection: sa.Connection) -> Any:
            answer = done_once(connection, once, at, NUMBER, do)
            if fails:
                raise ZeroDivisionError
            return answer

        found: int | None = await self.database.write(change)
        return found


async def test_what_is_asked_again_is_answered_and_not_done(database: Database) -> None:
    deed = Deed(database)
    assert [await deed.ask(ONCE), await deed.ask(ONCE, KEPT_US), deed.times] == [1, 1, 1]
    assert [await deed.ask(None), await deed.ask(None), deed.times] == [2, 3, 3]


async def test_a_key_is_forgotten_after_its_day(database: Database) -> None:
    deed = Deed(database)
    assert [await deed.ask(ONCE), await deed.ask(ONCE, KEPT_US + 1)] == [1, 2]


async def test_a_key_is_of_one_question_and_of_one_token(database: Database) -> None:
    deed = Deed(database)
    await deed.ask(ONCE)
    with pytest.raises(KeyReused):
        await deed.ask(ONCE._replace(asked="other"))
    assert await deed.ask(ONCE._replace(who="other", asked="other")) == 2


async def test_what_was_not_done_is_not_answered(database: Database) -> None:
    deed = Deed(database)
    with pytest.raises(ZeroDivisionError):
        await deed.ask(ONCE, fails=True)
    assert await deed.ask(ONCE, nothing=True) is None
    assert await deed.ask(ONCE) == 3


async def test_a_key_used_before_an_upgrade_is_not_done_again_after_it(database: Database) -> None:
    def upgraded(connection: sa.Connection) -> None:
        migrations.downgrade(connection, "0011")
        own: dict[str, dict[str, object]] = {
            "alert_once": {"answer": b"[]"},
            "work_order_once": {"work_order": "x", "version": 1},
        }
        for name, more in own.items():
            row = {"who": "wuye", "key": "key-1", "asked": "hash", "at": 0, **more}
            connection.execute(sa.table(name, *map(sa.column, row)).insert().values(row))
        migrations.upgrade(connection, "here")

    await database.write(upgraded)
    deed = Deed(database)
    with pytest.raises(KeyReused):
        await deed.ask(ONCE)
    assert await deed.ask(ONCE, KEPT_US + 1) == 1
