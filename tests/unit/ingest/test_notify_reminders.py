"""Reminders of work orders: told once for each step of supervision, with the step or not at all, to those whose it is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cases_world import BOSS, DESK, NOON, PUMPS, ROUND, TO_SIGNED, TO_WORK, WUYE, after, dispatched, reported
from msgspec.structs import replace

from ingest.alerts import Changed, Colour
from ingest.cases import Case, Pressed, Reminder, Step, WorkOrders
from ingest.cases import move as moves
from ingest.cases.case import MACHINE
from ingest.cases.lifecycle import advance
from ingest.cases.reminder import reminder_of
from ingest.cases.supervision import ladder
from ingest.cases.terms import HOUR, MINUTE
from ingest.cases.turn import Facts, Turn
from ingest.database import Database
from ingest.notify import Notifier, NotifyWatch
from ingest.notify.envelope import cloud_event
from ingest.notify.outbox import Notice, Outbox, enqueue, table
from ingest.notify.routes import targets_of
from ingest.notify.watch import EVERY_US
from ingest.notify.words import for_group, for_persons, subject, together
from telemetry.identity import GatewayRef, Scope
from telemetry.presence import Words
from telemetry.reading import Reading
from tests.notices import changed, notify_of

ALL = Scope(["41"])
NOTIFY = notify_of("""
targets:
  platform: {type: webhook, url: "https://example.org/", secrets_file: s}
  street: {type: mail, host: mail.example.org, from: a@example.org, to: [b@example.org]}
routes:
  - {to: [platform], about: work_orders}
  - {to: [street], about: work_orders, grades: [2, 3], changes: [supervised]}
""")


def climb(case: Case) -> list[Reminder | None]:
    """What people hear while a case climbs the whole ladder."""
    heard = []
    while (due := ladder(case, ROUND)) is not None:
        before, case = case, advance(case, due.move, Turn(MACHINE, Facts(), due.at, ROUND))
        heard.append(reminder_of(before, case, due.at, due.at, ROUND))
    return heard


def reminder(case: Case | None = None, how: Pressed = Pressed.URGED) -> Reminder:
    case = case or replace(after(reported(), *TO_WORK), rule="sump", kind="sump_high", supervision=1, device="b3-level")
    return Reminder(case, how, Step.HANDLE, "wuye", NOON + HOUR, NOON, NOON)


def test_each_rung_of_the_ladder_has_its_word_and_grade() -> None:
    heard = climb(reported())
    assert [(one.how, one.case.supervision, one.step) for one in heard if one] == [
        (Pressed.REMINDED, 0, Step.ACCEPT),
        (Pressed.URGED, 1, Step.ACCEPT),
        (Pressed.SUPERVISED, 2, Step.ACCEPT),
        (Pressed.SUPERVISED, 3, Step.ACCEPT),
    ]
    assert {one.due_at for one in heard if one} == {NOON + 30 * MINUTE}


def test_what_is_red_is_under_the_third_grade_at_once_and_no_more_is_said_of_it_then() -> None:
    heard = climb(reported(Colour.RED))
    assert [one and (one.how, one.case.supervision) for one in heard] == [
        (Pressed.REMINDED, 0),
        (Pressed.SUPERVISED, 3),
        None,
        None,
    ]


def test_it_is_the_time_of_the_unit_that_has_it_and_of_the_assistant_whose_part_is_late() -> None:
    joint = after(reported(), *TO_SIGNED[:2], (dispatched("wuye", "weibao"), DESK), (moves.Sign(), WUYE), (moves.Start(), WUYE))
    owners = {(one.how, one.unit) for one in climb(joint) if one and one.how is Pressed.REMINDED}
    assert owners == {(Pressed.REMINDED, "wuye"), (Pressed.REMINDED, "weibao")}
    assert {one.unit for one in climb(reported()) if one} == {""}
    assert PUMPS.unit == "weibao"


def test_a_supervisors_grade_and_a_dispatchers_urging_are_told_and_other_moves_are_not() -> None:
    case = after(reported(), *TO_WORK)
    for move, by, how in (
        (moves.Supervise(grade=2, reason="市民来电"), BOSS, Pressed.SUPERVISED),
        (moves.Urge(reason="住户催问"), DESK, Pressed.URGED),
        (moves.HandIn(result="已修"), WUYE, None),
    ):
        moved = advance(case, move, Turn(by, Facts(), NOON + HOUR, ROUND))
        heard = reminder_of(case, moved, NOON, NOON, ROUND)
        assert (heard.how if heard else None) is how


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ("units: [wuye]", reminder()._replace(unit="weibao")),
        ("courts: [lead]", reminder(after(reported()))),
        ("grades: [1]", reminder(replace(reminder().case, supervision=2))),
        ("changes: [urged]", reminder(how=Pressed.REMINDED)),
        ("colours: [yellow]", reminder(replace(reminder().case, colour=Colour.RED))),
        ("kinds: [sump_high]", reminder(replace(reminder().case, kind="tamper"))),
        ("regions: ['4112']", reminder(replace(reminder().case, community="411302002001"))),
    ],
)
def test_a_route_about_work_orders_takes_what_satisfies_its_condition_and_nothing_else(condition: str, other: Reminder) -> None:
    notify = notify_of(f"""
targets: {{platform: {{type: webhook, url: "https://example.org/", secrets_file: s}}}}
routes: [{{to: [platform], about: work_orders, {condition}}}]
""")
    assert targets_of(notify, reminder()) == ["platform"]
    assert targets_of(notify, other) == []
    assert targets_of(notify, changed()) == []


def test_a_route_about_alerts_takes_no_work_order() -> None:
    assert targets_of(notify_of("""
targets: {platform: {type: webhook, url: "https://example.org/", secrets_file: s}}
routes: [{to: [platform]}]
"""), reminder()) == []  # fmt: skip


def test_people_read_whose_time_it_is_for_what_until_when_and_how_grave_it_has_become() -> None:
    assert for_group(reminder()) == (
        "【黄色案件·催办 urged】11-24 12:00:00 no 积水 Water on the floor b3-level"
        " · 处置 handle · wuye · 限 due 11-24 13:00:00 · 黄牌 first grade"
    )
    owed = reminder(replace(reminder().case, supervision=3, report_due=True), Pressed.SUPERVISED)
    assert for_persons(owed).endswith("红牌 third grade，须书面报告 report owed")
    assert for_group(reminder(replace(reminder().case, drill=True))).startswith("【演练 DRILL】")
    assert subject([owed]) == "[黄色案件] 积水 Water on the floor 督办 supervised"
    assert together([owed, changed()], for_group, 2_000).startswith("2 条消息 / 2 messages\n")


def test_a_group_reads_nothing_that_a_person_wrote_of_a_case_and_nothing_of_persons() -> None:
    written = Words("张大爷摔倒，电话 13912345678", "")
    case = replace(reminder().case, title=written, place=written)
    assert "139" not in for_group(reminder(case))
    typed = for_group(reminder(replace(case, rule="")))
    assert "张大爷" not in typed
    group = notify_of("""
targets: {guards: {type: dingtalk, url_file: u}}
routes: [{to: [guards], about: work_orders}]
""")
    assert targets_of(group, reminder(replace(case, kind="elder_not_seen"))) == []
    assert targets_of(group, reminder(case)) == ["guards"]


@pytest.mark.parametrize("full", [False, True])
def test_a_platform_gets_an_event_of_its_own_type_that_leads_to_the_work_order(full: bool) -> None:
    event = json.loads(cloud_event(Notice(1, "case.6", reminder(), 0), "/linli", full=full))
    assert (event["type"], event["subject"], event["id"]) == ("linli.work_order.urged", "case", "case.6")
    data = event["data"]
    assert (data["href"], data["unit"], data["court"], data["step"]) == ("/api/v1/work-orders/case", "wuye", "lead", "handle")
    assert data["due_at"] == "2026-11-24T05:00:00.000000Z"
    assert ("title" in data) is full


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "centre.db")
    yield database
    database.close()


async def waiting(database: Database, target: str) -> list[str]:
    found = await Outbox(database, target).due(NOON + 100 * HOUR, 100)
    return [f"{one.news.how} {one.news.case.supervision}" for one in found if isinstance(one.news, Reminder)]


@pytest.mark.both_databases
async def test_time_alone_reminds_each_step_once_over_a_restart_and_with_the_step_or_not_at_all(database: Database) -> None:
    notifier = Notifier(NOTIFY, Path, database, lambda: NOON)
    opened = await WorkOrders(database, ROUND, reminded=notifier.reminded).open(reported(), DESK, NOON, NOON)

    def refused(connection: sa.Connection, one: Reminder) -> None:
        notifier.reminded(connection, one)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await WorkOrders(database, ROUND, reminded=refused).follow(NOON + 23 * MINUTE)
    assert await waiting(database, "platform") == []
    for minutes in (23, 23, 31, 31, 46, 61, 90):
        await WorkOrders(database, ROUND, reminded=notifier.reminded).follow(NOON + minutes * MINUTE)
    assert await waiting(database, "platform") == ["reminded 0", "urged 1", "supervised 2", "supervised 3"]
    assert await waiting(database, "street") == ["supervised 2", "supervised 3"]
    rows = await database.read(lambda connection: connection.execute(sa.select(table.c.work_order, table.c.alert)).all())
    assert {tuple(row) for row in rows} == {(opened.case.id, "")}


@pytest.mark.both_databases
async def test_a_reminder_that_reaches_nobody_is_an_alert_where_its_sensor_is_and_nowhere_without_one(database: Database) -> None:
    said: list[tuple[GatewayRef, Reading]] = []

    async def observe(ref: GatewayRef, reading: Reading, _now: int) -> None:
        said.append((ref, reading))

    watch = NotifyWatch(database, observe)
    await database.write(lambda connection: enqueue(connection, reminder(), ["platform"]))
    await Outbox(database, "platform").give_up_all(NOON, "the receiver answered 500")
    await watch.look(NOON)
    assert said == []
    other = reminder(replace(reminder().case, id="other"))
    await database.write(lambda connection: enqueue(connection, other, ["platform"], "gw-1"))
    await Outbox(database, "platform").give_up_all(NOON, "the receiver answered 500")
    await watch.look(NOON + EVERY_US)
    ((ref, reading),) = said
    assert (ref.gateway, reading.values["notify_failed"]) == ("gw-1", 1)


@pytest.mark.both_databases
async def test_alerts_and_work_orders_wait_in_one_line_by_colour(database: Database) -> None:
    await database.write(lambda connection: enqueue(connection, reminder(), ["platform"]))
    await database.write(lambda connection: enqueue(connection, changed(known_at=NOON), ["platform"]))
    found = await Outbox(database, "platform").due(NOON, 10)
    assert [type(one.news) for one in found] == [Changed, Reminder]
    assert found[1].news == reminder()
