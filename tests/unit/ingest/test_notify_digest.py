"""What was over before anybody knew: one digest for each target and community, when no more of it comes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.alerts import Changed, Colour
from ingest.alerts.quiet import PAST
from ingest.database import Database
from ingest.notify import Notifier
from ingest.notify.digest import Counted, Digest
from ingest.notify.digest_words import MOST
from ingest.notify.envelope import cloud_event
from ingest.notify.gathering import PATIENCE_US, SETTLED_US, seal
from ingest.notify.outbox import Notice, Outbox, table
from ingest.notify.words import for_group, for_persons, subject, together
from telemetry.presence import Words
from tests.notices import AT, COMMUNITY, changed, notice, notify_of

pytestmark = pytest.mark.both_databases

MINUTE = 60_000_000
NOTIFY = notify_of("""
targets:
  platform: {type: webhook, url: "https://example.org/", secrets_file: s}
  group: {type: dingtalk, url_file: u}
  ends: {type: webhook, url: "https://example.org/", secrets_file: s}
routes:
  - {to: [platform, group], changes: [opened]}
  - {to: [platform], kinds: [water_leak]}
  - {to: [ends], changes: [cleared]}
""")
LEAK = Words("水浸", "Leak")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "centre.db")
    yield database
    database.close()


def past(minute: int, kind: str = "door_forced", known_min: int = 600, **fields: object) -> Changed:
    """An alert that began in a minute of the night and became known much later."""
    at = AT + minute * MINUTE
    told = changed(PAST, AT + known_min * MINUTE, id=f"{kind[:8]}{minute:012}", opened_at=at, kind=kind, **fields)
    return told._replace(event_at=at)


async def tell(database: Database, *several: Changed) -> None:
    notifier = Notifier(NOTIFY, Path, database, lambda: AT)

    def change(connection: sa.Connection) -> None:
        for one in several:
            notifier.told(connection, one)

    await database.write(change)


async def digests(database: Database, target: str, known_min: int) -> list[Digest]:
    """What a target is to be sent once everything has settled by then."""
    now = AT + known_min * MINUTE
    await database.write(lambda connection: seal(connection, now))
    found = [one.news for one in await Outbox(database, target).due(now, 100)]
    assert all(isinstance(one, Digest) for one in found)
    return [one for one in found if isinstance(one, Digest)]


async def test_many_that_are_past_are_one_message_with_their_kinds_colours_and_time(database: Database) -> None:
    await tell(database, past(5), past(90, "water_leak", title=LEAK, colour=Colour.YELLOW, known_min=601), past(30))
    await tell(database, past(31, colour=Colour.YELLOW, known_min=605))
    [one] = await digests(database, "platform", 615)
    door = Words("强行开门", "Door forced")
    assert one.counts == (
        Counted("door_forced", Colour.RED, door, 2),
        Counted("door_forced", Colour.YELLOW, door, 1),
        Counted("water_leak", Colour.YELLOW, LEAK, 1),
    )
    assert (one.community, one.total, one.drill) == (COMMUNITY, 4, False)
    assert (one.first_at, one.last_at) == (AT + 5 * MINUTE, AT + 90 * MINUTE)


async def test_while_more_comes_nothing_is_told_but_nobody_waits_for_ever(database: Database) -> None:
    await tell(database, past(0, known_min=600))
    assert await digests(database, "platform", 600 + SETTLED_US // MINUTE - 1) == []
    last = 600 + PATIENCE_US // MINUTE - 1
    await tell(database, past(1, known_min=last))
    assert await digests(database, "platform", last) == []
    [one] = await digests(database, "platform", last + 1)
    assert one.total == 2


async def test_what_comes_after_a_digest_is_in_the_next_and_none_is_in_two(database: Database) -> None:
    await tell(database, past(0, known_min=600))
    await digests(database, "platform", 620)
    await tell(database, past(1, known_min=700))
    assert sorted(one.total for one in await digests(database, "platform", 720)) == [1, 1]
    assert len(await digests(database, "platform", 800)) == 2


async def test_communities_drills_and_targets_have_digests_of_their_own(database: Database) -> None:
    await tell(database, past(0), past(1, community="411202002002"), past(2, drill=True))
    found = await digests(database, "platform", 700)
    assert sorted((one.community, one.drill) for one in found) == [(COMMUNITY, False), (COMMUNITY, True), ("411202002002", False)]
    assert len({one.id for one in found}) == 3
    assert len(await digests(database, "group", 700)) == 3


async def test_those_hear_of_it_who_would_have_heard_that_it_opened_and_groups_of_no_person(database: Database) -> None:
    await tell(database, past(0, "water_leak"), past(1, "elder_fall"))
    assert await digests(database, "ends", 700) == []
    assert [one.counts[0].kind for one in await digests(database, "group", 700)] == ["water_leak"]
    [one] = await digests(database, "platform", 700)
    assert [count.kind for count in one.counts] == ["elder_fall", "water_leak"]


async def test_a_digest_takes_no_room_that_is_kept_for_red(database: Database) -> None:
    await tell(database, past(0, colour=Colour.RED))
    [one] = await digests(database, "platform", 700)
    mine = sa.select(table).where(table.c.target == "platform")
    row = await database.read(lambda connection: connection.execute(mine).mappings().one())
    assert (one.colour, row["colour"], row["kind"], row["alert"]) == (Colour.BLUE, "blue", "digest", "")
    assert row["gateway"] == "gw-1"


def summed(kinds: int = 1) -> Digest:
    counts = tuple(Counted(f"kind_{place}", Colour.YELLOW, Words(f"种类{place}", f"Kind {place}"), 3) for place in range(kinds))
    return Digest("d" * 20, COMMUNITY, "gw-1", counts, AT, AT + MINUTE, AT + 600 * MINUTE, False)


def test_people_read_how_many_of_what_and_where_they_find_them() -> None:
    said = for_group(summed(2))
    assert said == for_persons(summed(2))
    assert "历史告警汇总" in said
    assert "共 6 条" in said
    assert "黄 yellow · 种类1 Kind 1 × 3" in said
    assert said.endswith(
        "/api/v1/alerts?community=411202002001&since=2026-11-23T08:00:00.000000Z"
        "&until=2026-11-23T08:01:00.000001Z&state=closed".replace("411202002001", COMMUNITY)
    )
    assert "6 past alerts" in subject([summed(2)])
    assert "DRILL" in for_group(summed()._replace(drill=True))


def test_a_digest_of_everything_is_still_one_message() -> None:
    said = for_group(summed(MOST + 5))
    assert said.count("×") == MOST
    assert "其余 15 条 / and 15 more" in said
    assert len(together([summed(100)], for_group, 2_048).encode()) <= 2_048


def test_a_group_reads_no_plate_in_the_title_of_a_kind() -> None:
    one = summed()._replace(counts=(Counted("a", Colour.RED, Words("车 豫M·88Q21", ""), 1),))
    assert "88Q21" not in for_group(one)


def test_a_digest_is_an_event_that_is_the_same_thin_and_full() -> None:
    event = json.loads(cloud_event(notice(summed()), "/linli", full=True))
    assert event == json.loads(cloud_event(notice(summed()), "/linli", full=False))
    assert (event["type"], event["subject"], event["severitytext"]) == ("linli.alerts.digest", "d" * 20, "blue")
    assert event["data"]["counts"] == [
        {"kind": "kind_0", "colour": "yellow", "title": {"zh": "种类0", "en": "Kind 0"}, "alerts": 3}
    ]
    assert event["data"]["href"].startswith("/api/v1/alerts?community=")


async def test_a_digest_comes_back_from_its_row_as_it_was(database: Database) -> None:
    await tell(database, past(0), past(9, "water_leak", title=LEAK))
    [one] = await digests(database, "platform", 700)
    [again] = await Outbox(database, "platform").due(AT + 700 * MINUTE, 9)
    assert again == Notice(again.id, f"{one.id}.1", one, 0)
