"""The outbox of notifications: written with the change or not at all, sent in the right order, bounded, forgotten in time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alerts_world import REF, Centre, Feed, device, reading, rules_of

from ingest.alerts import AlertEngine, Alerts, Changed, Colour
from ingest.database import Database
from ingest.notify import Notifier, NotifyWatch, State
from ingest.notify import outbox as module
from ingest.notify.outbox import KEEP_GIVEN_UP_US, KEEP_SENT_US, Outbox, enqueue, sweep, table
from ingest.notify.watch import EVERY_US, LATE_US, LATELY_US
from telemetry.identity import Scope
from telemetry.metric import Kind
from tests.notices import AT, changed, notify_of, numbered

pytestmark = pytest.mark.both_databases

LEAK = """
rules:
  - id: leak
    kind: water_leak
    family: environment
    colour: red
    title: {zh: 水浸, en: Leak}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [safety]}
    when: {type: duration, where: {water_leak: true}}
"""
NOTIFY = notify_of("""
targets: {platform: {type: webhook, url: "https://example.org/", secrets_file: s}}
routes: [{to: [platform], colours: [red]}]
""")
CATALOGUE = Path(__file__).parents[3] / "config" / "rules" / "system.yaml"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "centre.db")
    yield database
    database.close()


async def put(database: Database, *several: Changed, target: str = "platform") -> Outbox:
    def change(connection: sa.Connection) -> None:
        for one in several:
            enqueue(connection, one, [target])

    await database.write(change)
    return Outbox(database, target)


async def states(database: Database) -> dict[str, int]:
    counted = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
    rows = await database.read(lambda connection: connection.execute(counted).all())
    return {row[0]: row[1] for row in rows}


async def test_a_notification_is_written_with_the_change_of_its_alert_and_with_its_acknowledgement(tmp_path: Path) -> None:
    centre = Centre(tmp_path, rules_of(tmp_path, LEAK), [device("cellar", Kind.SAFETY)])
    notifier = Notifier(NOTIFY, tmp_path.joinpath, centre.database, lambda: AT)
    engine = AlertEngine(centre.rules, centre.database, centre.inventory, lambda: None, notifier.told)
    await engine.open()
    feed = Feed()
    for at_s, wet in ((0, True), (60, False)):
        arrival = feed.batch(reading(at_s, "cellar", Kind.SAFETY, {"water_leak": wet}))
        await engine.take([arrival], arrival.received_at)
        await engine.take([arrival], arrival.received_at)  # what comes twice is told once
    (alert,) = await centre.all()
    await Alerts(centre.database, notifier.told).ack(Scope(["41"]), alert.id, "王师傅", "", AT)
    outbox = Outbox(centre.database, "platform")
    found = await outbox.due(AT + 10**12, 10)
    assert sorted(one.news.transition for one in found) == ["acknowledged", "cleared", "opened"]
    assert sorted(one.message for one in found) == [f"{alert.id}.{seq}" for seq in (1, 2, 3)]
    opened = next(one.news for one in found if one.news.transition == "opened")
    assert (opened.alert.seq, opened.alert.cleared_at, opened.alert.community) == (1, None, REF.community)
    centre.close()


async def test_a_change_that_is_rolled_back_is_told_to_nobody(database: Database) -> None:
    def change(connection: sa.Connection) -> None:
        enqueue(connection, changed(), ["platform"])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(change)
    assert await states(database) == {}


async def test_the_worst_colour_comes_first_then_what_is_due_longest(database: Database) -> None:
    several = [numbered(1, Colour.BLUE), numbered(2, known_at=AT + 5), numbered(3), numbered(4, Colour.RED, AT + 9)]
    outbox = await put(database, *several, numbered(5, Colour.RED, AT + 11))
    assert [one.news.alert.seq for one in await outbox.due(AT + 10, 10)] == [4, 3, 2, 1]
    assert [one.news.alert.seq for one in await outbox.due(AT + 10, 2)] == [4, 3]
    assert await Outbox(database, "another").due(AT + 10, 10) == []


async def test_a_failure_moves_the_next_try_and_a_success_ends_it(database: Database) -> None:
    outbox = await put(database, numbered(1), numbered(2))
    first, second = await outbox.due(AT, 10)
    await outbox.failed([(first, AT + 5)], "the receiver answered 500")
    await outbox.sent([second], AT + 1)
    assert await outbox.due(AT + 4, 10) == []
    (again,) = await outbox.due(AT + 5, 10)
    assert (again.message, again.tries, again.news) == (first.message, 1, first.news)
    assert await outbox.sent_since(AT) == [AT + 1]


async def test_messages_that_told_several_count_as_one_sent(database: Database) -> None:
    outbox = await put(database, *(numbered(seq) for seq in range(5)))
    await outbox.sent(await outbox.due(AT, 10), AT + 1)
    assert await outbox.sent_since(AT) == [AT + 1]
    assert await outbox.sent_since(AT + 1) == []


async def test_what_an_older_version_wrote_and_cannot_be_read_is_given_up_alone(database: Database) -> None:
    outbox = await put(database, numbered(1), numbered(2))
    await database.write(lambda connection: connection.execute(table.update().where(table.c.id == 1).values(body=b"{}")))
    assert [one.news.alert.seq for one in await outbox.due(AT, 10)] == [2]
    assert await states(database) == {"given_up": 1, "waiting": 1}


async def test_past_its_bound_a_target_gives_up_its_oldest_that_are_not_red(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    outbox = await put(database, numbered(1, Colour.RED), *(numbered(seq) for seq in range(2, 6)))
    await sweep(database, ["platform"], AT)
    assert [one.news.alert.seq for one in await outbox.due(AT, 10)] == [1, 4, 5]


async def test_what_has_no_target_any_more_is_given_up_and_what_is_old_forgotten(database: Database) -> None:
    await put(database, numbered(1), target="gone")
    outbox = await put(database, numbered(2), numbered(3))
    sent, given_up = await outbox.due(AT, 10)
    await outbox.sent([sent], AT)
    await outbox.given_up([given_up], AT, "why")
    await sweep(database, ["platform"], AT + KEEP_SENT_US)
    assert await states(database) == {"sent": 1, "given_up": 2}
    await sweep(database, ["platform"], AT + KEEP_SENT_US + 1)
    assert await states(database) == {"given_up": 2}
    await sweep(database, ["platform"], AT + KEEP_GIVEN_UP_US + 1)
    assert await states(database) == {"given_up": 1}


class Watching:
    """The shipped rules over a database with notifications in it."""

    def __init__(self, folder: Path) -> None:
        rules = rules_of(folder, CATALOGUE.read_text(encoding="utf-8"))
        self.centre = Centre(folder, rules, [])
        self.watch = NotifyWatch(self.centre.database, self.centre.engine.observe)

    async def open_kinds(self) -> list[str]:
        return sorted(alert.rule for alert in await self.centre.all() if alert.cleared_at is None)

    def restart(self) -> None:
        self.watch = NotifyWatch(self.centre.database, self.centre.engine.observe)


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    watching = Watching(tmp_path)
    await watching.centre.engine.open()
    yield watching
    watching.centre.close()


async def test_a_red_alert_that_reaches_nobody_is_an_alert_until_somebody_has_it(watching: Watching) -> None:
    database = watching.centre.database
    outbox = await put(database, changed())
    await put(database, changed(), target="guards")
    await watching.watch.look(AT + LATE_US - 1)
    assert await watching.open_kinds() == []
    await watching.watch.look(AT + LATE_US + EVERY_US)
    assert await watching.open_kinds() == ["notify_late"]
    watching.restart()
    await outbox.sent(await outbox.due(AT, 10), AT + LATE_US)
    await watching.watch.look(AT + LATE_US + 2 * EVERY_US)
    assert await watching.open_kinds() == []


async def test_a_yellow_alert_may_wait(watching: Watching) -> None:
    await put(watching.centre.database, numbered(1))
    await watching.watch.look(AT + 10 * LATE_US)
    assert await watching.open_kinds() == []


async def test_what_was_given_up_is_an_alert_for_an_hour_also_over_a_restart(watching: Watching) -> None:
    outbox = await put(watching.centre.database, numbered(1))
    await outbox.give_up_all(AT, "the receiver answered 500")
    await watching.watch.look(AT)
    assert await watching.open_kinds() == ["notify_failed"]
    watching.restart()
    await watching.watch.look(AT + LATELY_US - 1)
    assert await watching.open_kinds() == ["notify_failed"]
    watching.restart()
    await watching.watch.look(AT + LATELY_US)
    assert await watching.open_kinds() == []
    (alert,) = await watching.centre.all()
    assert (alert.device, alert.count) == ("gw-1", 1)


async def test_a_notification_of_a_notification_that_failed_is_not_counted(watching: Watching) -> None:
    outbox = await put(watching.centre.database, changed(kind="notify_failed"))
    await watching.watch.look(AT + 2 * LATE_US)
    await outbox.give_up_all(AT + 2 * LATE_US, "")
    await watching.watch.look(AT + 3 * LATE_US)
    assert await watching.open_kinds() == []


def test_the_states_of_a_notification_fit_their_column() -> None:
    assert max(len(state) for state in State) <= 8
