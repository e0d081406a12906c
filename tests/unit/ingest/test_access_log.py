"""The access log shows what somebody did to it, and goes when its time is over."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from ingest import migrations
from ingest.access_log import DAY_US, AccessLog, Wanted
from ingest.chain import START
from ingest.database import Database, Place, metadata
from ingest.tokens import Grant, Role
from telemetry.identity import Scope
from tests.forger import forge

ALL = Scope(["41"])
GRANT = Grant("wuye-建业", Scope(["411202"]), Role.HANDLER, None, "digest")
log = metadata.tables["access_log"]


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1_000 * DAY_US
        self.log = AccessLog(database, lambda: self.now, kept_days=200)

    async def note(self, count: int = 1) -> None:
        for number in range(count):
            self.now += 1
            await self.log.append(GRANT, "POST", f'/api/v1/alerts/"\\/\x7f{number}/ack', "说=明&x=\u2028", 200, "10.0.0.1")

    async def do(self, change: sa.Executable) -> None:
        await self.database.write(lambda connection: forge(connection, change))

    async def seqs(self) -> list[int]:
        return [entry.seq for entry in (await self.log.page(ALL, Wanted(), 100))[0]][::-1]


@pytest.fixture
async def world(place: Place) -> AsyncIterator[World]:
    database = Database(place)
    yield World(database)
    database.close()


async def test_what_was_noted_is_found_whole_also_when_there_is_nothing(world: World) -> None:
    assert await world.log.check() == (0, START, None)
    await world.note(3)
    found = await world.log.check()
    assert (found.lines, found.broken) == (3, None)
    await world.note()
    assert (await world.log.check()).head != found.head


@pytest.mark.parametrize(
    ("change", "broken", "whole"),
    [
        (log.update().where(log.c.seq == 2).values(token="somebody"), 2, 1),
        (log.update().where(log.c.seq == 2).values(status=403), 2, 1),
        (log.update().where(log.c.seq == 2).values(at=log.c.at + 1), 2, 1),
        (log.delete().where(log.c.seq == 1), 2, 0),
        (log.delete().where(log.c.seq == 2), 3, 1),
        (log.delete().where(log.c.seq == 3), 2, 2),
        (log.delete(), 0, 0),
    ],
    ids=["another token", "another status", "another time", "first gone", "one gone", "newest gone", "all gone"],
)
async def test_what_somebody_did_to_it_is_found(world: World, change: sa.Executable, broken: int, whole: int) -> None:
    await world.note(3)
    await world.do(change)
    found = await world.log.check()
    assert found.broken is not None
    assert (found.broken.seq, found.lines) == (broken, whole)


async def test_what_goes_when_its_time_is_over_breaks_nothing_and_what_goes_before_does(world: World) -> None:
    await world.note(2)
    world.now += 100 * DAY_US
    await world.note(2)
    world.now += 100 * DAY_US
    await world.log.tidy()
    assert await world.seqs() == [3, 4]
    assert (await world.log.check())[::2] == (2, None)
    world.now += 200 * DAY_US
    await world.log.tidy()
    assert (await world.log.check())[::2] == (0, None)
    await world.note()
    assert (await world.log.check())[::2] == (1, None)
    await world.do(log.delete())
    assert (await world.log.check()).broken is not None


async def test_a_clock_that_went_back_takes_no_entry_out_of_the_row(world: World) -> None:
    await world.note()
    world.now -= 150 * DAY_US
    await world.note()
    world.now += 250 * DAY_US
    await world.log.tidy()
    assert await world.seqs() == [1, 2]
    assert (await world.log.check()).broken is None


async def test_what_was_noted_before_the_chain_is_chained_by_the_upgrade(world: World) -> None:
    await world.note(3)
    before = await world.log.check()

    def again(connection: sa.Connection) -> None:
        migrations.downgrade(connection, "0014")
        migrations.upgrade(connection, "here")

    await world.database.write(again)
    assert await world.log.check() == before
    await world.do(log.delete().where(log.c.seq == 3))
    await world.note()
    assert await world.seqs() == [1, 2, 4], "no number is given twice"
    assert (await world.log.check()).broken is not None
