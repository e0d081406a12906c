"""Work orders told: once for each step, of what is done and of supervision, with the step or not at all, to those whose it is."""

import json
import typing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cases_world import (
    BOSS,
    DESK,
    NOON,
    PUMPS,
    ROUND,
    TO_CHECK,
    TO_FILED,
    TO_SIGNED,
    TO_WORK,
    UNTIL,
    WUYE,
    after,
    dispatched,
    reported,
)
from msgspec.structs import replace

from ingest.alerts import Changed, Colour
from ingest.cases import Case, CaseChange, Moved, Step, WorkOrders
from ingest.cases import move as moves
from ingest.cases.case import MACHINE, Person
from ingest.cases.lifecycle import advance
from ingest.cases.supervision import ladder
from ingest.cases.telling import told_of
from ingest.cases.terms import HOUR, MINUTE
from ingest.cases.turn import Facts, Turn
from ingest.database import Database
from ingest.notify import Notifier, NotifyWatch
from ingest.notify.case_words import CHANGES
from ingest.notify.envelope import cloud_event
from ingest.notify.outbox import Notice, Outbox, enqueue, table
from ingest.notify.routes import targets_of
from ingest.notify.targets import CaseWord
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


UNITS = notify_of("""
targets:
  both: {type: webhook, url: "https://example.org/", secrets_file: s}
  pumps: {type: webhook, url: "https://example.com/", secrets_file: s}
  desk: {type: mail, host: mail.example.org, from: a@example.org, to: [b@example.org]}
routes:
  - {to: [both], about: work_orders, units: [wuye, weibao]}
  - {to: [pumps], about: work_orders, units: [weibao]}
  - {to: [desk], about: work_orders, courts: [verifier]}
""")


def climb(case: Case) -> list[Moved | None]:
    """What people hear while a case climbs the whole ladder."""
    heard = []
    while (due := ladder(case, ROUND)) is not None:
        before, case = case, advance(case, due.move, Turn(MACHINE, Facts(), due.at, ROUND))
        heard.append(told_of(before, case, due.move, due.at, due.at, ROUND))
    return heard


def reminder(case: Case | None = None, change: CaseChange = CaseChange.URGED) -> Moved:
    case = case or replace(after(reported(), *TO_WORK), rule="sump", kind="sump_high", supervision=1, device="b3-level")
    return Moved(case, change, Step.HANDLE, ("wuye",), NOON + HOUR, NOON, NOON)


def test_each_rung_of_the_ladder_has_its_word_and_grade() -> None:
    heard = climb(reported())
    assert [(one.change, one.case.supervision, one.step) for one in heard if one] == [
        (CaseChange.REMINDED, 0, Step.ACCEPT),
        (CaseChange.URGED, 1, Step.ACCEPT),
        (CaseChange.SUPERVISED, 2, Step.ACCEPT),
        (CaseChange.SUPERVISED, 3, Step.ACCEPT),
    ]
    assert {one.due_at for one in heard if one} == {NOON + 30 * MINUTE}


def test_what_is_red_is_under_the_third_grade_at_once_and_no_more_is_said_of_it_then() -> None:
    heard = climb(reported(Colour.RED))
    assert [one and (one.change, one.case.supervision) for one in heard] == [
        (CaseChange.REMINDED, 0),
        (CaseChange.SUPERVISED, 3),
        None,
        None,
    ]


def test_it_is_the_time_of_the_unit_that_has_it_and_of_the_assistant_whose_part_is_late() -> None:
    joint = after(reported(), *TO_SIGNED[:2], (dispatched("wuye", "weibao"), DESK), (moves.Sign(), WUYE), (moves.Start(), WUYE))
    owners = {(one.change, one.units) for one in climb(joint) if one and one.change is CaseChange.REMINDED}
    assert owners == {(CaseChange.REMINDED, ("wuye",)), (CaseChange.REMINDED, ("weibao",))}
    assert {one.units for one in climb(reported()) if one} == {()}
    assert PUMPS.unit == "weibao"


def test_a_supervisors_grade_and_a_dispatchers_urging_are_told_and_other_moves_are_not() -> None:
    case = after(reported(), *TO_WORK)
    for move, by, how in (
        (moves.Supervise(grade=2, reason="市民来电"), BOSS, CaseChange.SUPERVISED),
        (moves.Urge(reason="住户催问"), DESK, CaseChange.URGED),
        (moves.AskExtension(until=UNTIL, reason="等配件"), WUYE, None),
    ):
        moved = advance(case, move, Turn(by, Facts(), NOON + HOUR, ROUND))
        heard = told_of(case, moved, move, NOON, NOON, ROUND)
        assert (heard.change if heard else None) is how


WITH_PUMPS = (*TO_FILED, (dispatched("wuye", "weibao"), DESK))
STARTED = (*WITH_PUMPS, (moves.Sign(), WUYE), (moves.Start(), WUYE))
BACK = moves.Return(reason="不归我管")


@pytest.mark.parametrize(
    ("before", "move", "by", "change", "units", "step"),
    [
        (TO_FILED, dispatched("wuye", "weibao"), DESK, "dispatched", ("wuye", "weibao"), Step.SIGN),
        (TO_WORK, moves.GivePart(unit="weibao", task="检修"), WUYE, "dispatched", ("weibao",), Step.HANDLE),
        (WITH_PUMPS, moves.GivePart(unit="jiedao"), DESK, "dispatched", ("jiedao",), Step.HANDLE),
        (STARTED, moves.Recall(reason="派错"), DESK, "recalled", ("wuye", "weibao"), None),
        (STARTED, moves.WaivePart(part=2, reason="不需要"), WUYE, "recalled", ("weibao",), None),
        (WITH_PUMPS, BACK, WUYE, "returned", (), Step.DISPATCH),
        (STARTED, moves.ReturnPart(part=2, reason="不归我管"), PUMPS, "returned", ("wuye",), Step.HANDLE),
        (TO_WORK, moves.HandIn(result="已修"), WUYE, "handed_in", (), Step.VERIFY),
        (TO_CHECK, moves.Fail(reason="还在漏"), DESK, "rework", ("wuye",), Step.HANDLE),
        ((*TO_CHECK, (moves.Close(), DESK)), moves.Reopen(reason="又漏了"), BOSS, "reopened", (), Step.DISPATCH),
    ],
)
def test_whoever_has_it_now_or_no_longer_is_told_once_and_of_their_time(
    before: Any, move: Any, by: Person, change: str, units: tuple[str, ...], step: Step | None
) -> None:
    case = after(reported(), *before)
    moved = advance(case, move, Turn(by, Facts(), NOON + HOUR, ROUND))
    heard = told_of(case, moved, move, NOON, NOON, ROUND)
    assert heard is not None
    assert (heard.change, heard.units, heard.step) == (change, units, step)
    assert (heard.due_at is None) == (step is None)


def test_a_second_return_is_told_as_the_supervision_that_it_brings() -> None:
    once = after(reported(), *WITH_PUMPS, (BACK, WUYE), (dispatched("wuye"), DESK))
    twice = advance(once, BACK, Turn(WUYE, Facts(), NOON + HOUR, ROUND))
    heard = told_of(once, twice, BACK, NOON, NOON, ROUND)
    assert heard is not None
    assert (heard.change, heard.court) == (CaseChange.SUPERVISED, "supervisor")


def test_routes_may_ask_for_every_change_and_every_one_has_its_words() -> None:
    assert set(CHANGES) == set(CaseChange) == set(typing.get_args(CaseWord))


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ("units: [wuye]", reminder()._replace(units=("weibao",))),
        ("courts: [lead]", reminder(after(reported()))),
        ("grades: [1]", reminder(replace(reminder().case, supervision=2))),
        ("changes: [urged]", reminder(change=CaseChange.REMINDED)),
        ("colours: [yellow]", reminder(replace(reminder().case, colour=Colour.RED))),
        ("kinds: [sump_high]", reminder(replace(reminder().case, kind="tamper"))),
        ("regions: ['4112']", reminder(replace(reminder().case, community="411302002001"))),
    ],
)
def test_a_route_about_work_orders_takes_what_satisfies_its_condition_and_nothing_else(condition: str, other: Moved) -> None:
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
    owed = reminder(replace(reminder().case, supervision=3, report_due=True), CaseChange.SUPERVISED)
    assert for_persons(owed).endswith("红牌 third grade，须书面报告 report owed")
    assert for_group(reminder(replace(reminder().case, drill=True))).startswith("【演练 DRILL】")
    assert subject([owed]) == "[黄色案件] 积水 Water on the floor 督办 supervised"
    assert together([owed, changed()], for_group, 2_000).startswith("2 条消息 / 2 messages\n")


def test_a_dispatch_names_who_leads_and_who_assists_and_only_persons_read_what_was_handed_in() -> None:
    sent = Moved(after(reported(), *WITH_PUMPS), CaseChange.DISPATCHED, Step.SIGN, ("wuye", "weibao"), None, NOON, NOON)
    assert for_group(sent) == ("【黄色案件·派单 dispatched】11-24 12:00:00 no · 签收 sign · 主办 lead wuye，协办 with weibao")
    assert for_group(sent._replace(units=("weibao",))).endswith(" · 签收 sign · weibao")
    done = Moved(after(reported(), *TO_CHECK), CaseChange.HANDED_IN, Step.VERIFY, (), None, NOON, NOON)
    assert for_persons(done).endswith("\n水泵已更换")
    assert "水泵" not in for_group(done)


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
    assert (data["href"], data["units"], data["court"], data["step"]) == ("/api/v1/work-orders/case", ["wuye"], "lead", "handle")
    assert data["due_at"] == "2026-11-24T05:00:00.000000Z"
    assert ("title" in data) is full


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "centre.db")
    yield database
    database.close()


async def waiting(database: Database, target: str) -> list[str]:
    found = await Outbox(database, target).due(NOON + 100 * HOUR, 100)
    return [f"{one.news.change} {one.news.case.supervision}" for one in found if isinstance(one.news, Moved)]


@pytest.mark.both_databases
async def test_time_alone_reminds_each_step_once_over_a_restart_and_with_the_step_or_not_at_all(database: Database) -> None:
    notifier = Notifier(NOTIFY, Path, database, lambda: NOON)
    opened = await WorkOrders(database, ROUND, told=notifier.moved).open(reported(), DESK, NOON, NOON)

    def refused(connection: sa.Connection, one: Moved) -> None:
        notifier.moved(connection, one)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await WorkOrders(database, ROUND, told=refused).follow(NOON + 23 * MINUTE)
    assert await waiting(database, "platform") == []
    for minutes in (23, 23, 31, 31, 46, 61, 90):
        await WorkOrders(database, ROUND, told=notifier.moved).follow(NOON + minutes * MINUTE)
    assert await waiting(database, "platform") == ["reminded 0", "urged 1", "supervised 2", "supervised 3"]
    assert await waiting(database, "street") == ["supervised 2", "supervised 3"]
    rows = await database.read(lambda connection: connection.execute(sa.select(table.c.work_order, table.c.alert)).all())
    assert {tuple(row) for row in rows} == {(opened.case.id, "")}


@pytest.mark.both_databases
async def test_the_way_of_a_work_order_is_told_step_by_step_each_target_once(database: Database) -> None:
    desk = WorkOrders(database, ROUND, told=Notifier(UNITS, Path, database, lambda: NOON).moved)
    case = (await desk.open(reported(), DESK, NOON, NOON)).case
    for move, by in (*WITH_PUMPS, (moves.Sign(), WUYE), (moves.Start(), WUYE), (moves.TakePart(part=2), PUMPS)):
        case = await desk.move(ALL, case.id, case.version, move, by, NOON, NOON)
    for move, by in ((moves.FinishPart(part=2), PUMPS), (moves.HandIn(result="已修"), WUYE), (moves.Fail(reason="还在漏"), DESK)):
        case = await desk.move(ALL, case.id, case.version, move, by, NOON, NOON)
    assert await waiting(database, "both") == ["dispatched 0", "rework 0"]
    assert await waiting(database, "pumps") == ["dispatched 0"]
    assert await waiting(database, "desk") == ["handed_in 0"]


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
    assert [type(one.news) for one in found] == [Changed, Moved]
    assert found[1].news == reminder()
