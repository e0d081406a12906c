"""Work orders in the database: one intake, what alerts and time make of them, versions, keys, and a journal that tells."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cases_world import BOSS, DESK, HERE, NOON, ROUND, WUYE, dispatched
from msgspec.structs import replace

from ingest.alerts import Alert, Colour, Family
from ingest.alerts.episode import Episode, Key, Said, acknowledged, alert_id, over, raised_again
from ingest.alerts.tables import record
from ingest.cases import CaseFilter, Changed, NotThere, Practice, Stage, WorkOrders
from ingest.cases import move as moves
from ingest.cases.case import Case, CloseKind, Person, Times
from ingest.cases.move import Move
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.tables import work_order, work_order_alert, work_order_journal
from ingest.cases.terms import HOUR, MINUTE
from ingest.chain import Broken
from ingest.database import Database
from ingest.once import KeyReused, Once
from telemetry.identity import Scope
from telemetry.presence import Words
from tests.forger import forge

pytestmark = pytest.mark.both_databases

ALL = Scope(["41"])
KEYS = {colour: Key(f"{colour.value}_rule", HERE, "gw-1/b3-pump-level") for colour in Colour}
AUTO = {key.rule for key in KEYS.values()}


class Desk:
    """Work orders over a real database, and alerts written as the engine writes them."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "centre.db")
        said = Practice(2 * HOUR, Words("水位高", "High water"), Words("水位正常", "Water back to normal"))
        self.orders = WorkOrders(self.database, ROUND, AUTO, lambda kind: said if kind == "sump_high" else Practice())
        self.episodes: dict[Colour, Episode] = {}

    async def raise_alert(self, colour: Colour = Colour.RED, at: int = NOON, rule: str = "") -> Alert:
        key = KEYS[colour]._replace(rule=rule or KEYS[colour].rule)
        alert = Alert(
            id=alert_id(key, at),
            rule=key.rule,
            kind="sump_high",
            family=Family.ENVIRONMENT,
            colour=colour,
            title=Words("集水井水位高", "High water in the sump"),
            text=Words("水位 1.62 m", "Level 1.62 m"),
            device="b3-pump-level",
            gateway="gw-1",
            community=HERE,
            place=Words("3号楼水泵房", "Building 3 pump room"),
            opened_at=at,
        )
        await self.write(colour, Episode(alert, latch=False), at)
        return alert

    async def write(self, colour: Colour, episode: Episode, at: int) -> None:
        self.episodes[colour] = episode
        key = KEYS[colour]._replace(rule=episode.alert.rule)
        await self.database.write(lambda connection: record(connection, key, episode, "changed", at, at, "rule"))

    async def clear(self, colour: Colour = Colour.RED, at: int = NOON) -> None:
        await self.write(colour, over(self.episodes[colour], at), at)

    async def raise_again(self, colour: Colour = Colour.RED, at: int = NOON) -> None:
        await self.write(colour, raised_again(self.episodes[colour], Said(Words())), at)

    async def cases(self, **filter: Any) -> list[Case]:
        found, _ = await self.orders.page(ALL, CaseFilter(**filter), None, 500)
        return found

    async def case(self) -> Case:
        (case,) = await self.cases()
        return case

    async def act(self, *said: tuple[Move, Person], at: int = NOON) -> Case:
        """What people do with the newest case, in order."""
        case = (await self.cases())[0]
        for move, by in said:
            case = await self.orders.move(ALL, case.id, case.version, move, by, at, at)
        return case


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


WORK: tuple[tuple[Move, Person], ...] = ((dispatched(), DESK), (moves.Sign(), WUYE), (moves.Start(), WUYE))
TO_CHECK: tuple[tuple[Move, Person], ...] = (*WORK, (moves.HandIn(result="好了"), WUYE))


@pytest.mark.parametrize("colour", [Colour.RED, Colour.ORANGE])
async def test_a_grave_alert_is_filed_at_once_and_once(desk: Desk, colour: Colour) -> None:
    alert = await desk.raise_alert(colour)
    assert await desk.orders.follow(NOON + 5) == 1
    assert await desk.orders.follow(NOON + 6) == 0
    case = await desk.case()
    assert (case.stage, case.alerts, case.opened_at, case.times.filed) == (Stage.FILED, (alert.id,), NOON, NOON + 5)
    assert case.no == f"{HERE}-20261124-0001"
    assert (case.handle_limit, case.close_when.en) == (2 * HOUR, "Water back to normal")
    assert (await desk.orders.open_for(ALL, alert.id, WUYE, NOON + 7)) == (case, False)


@pytest.mark.parametrize("held", [{"suppressed_by": "works-1"}, {"shelved_until": NOON + HOUR}, {"folded": True}])
async def test_what_is_held_back_makes_no_work_order_until_it_is_told(desk: Desk, held: dict[str, Any]) -> None:
    alert = await desk.raise_alert()
    await desk.write(Colour.RED, Episode(replace(alert, **held), latch=False), NOON)
    assert await desk.orders.follow(NOON) == 0
    await desk.write(Colour.RED, Episode(alert, latch=False), NOON + MINUTE)
    assert await desk.orders.follow(NOON + MINUTE) == 1


async def test_a_drill_and_what_is_none_have_work_orders_of_their_own(desk: Desk) -> None:
    drill = await desk.raise_alert()
    await desk.write(Colour.RED, Episode(replace(drill, drill=True), latch=False), NOON)
    await desk.orders.follow(NOON)
    await desk.clear(at=NOON + MINUTE)
    real = await desk.raise_alert(at=NOON + 2 * MINUTE)
    await desk.orders.follow(NOON + 2 * MINUTE)
    assert [(case.drill, case.alerts) for case in await desk.cases()] == [(False, (real.id,)), (True, (drill.id,))]


async def test_a_yellow_alert_is_filed_when_it_is_acknowledged_or_ten_minutes_old(desk: Desk) -> None:
    await desk.raise_alert(Colour.YELLOW)
    assert await desk.orders.follow(NOON + 10 * MINUTE - 1) == 0
    assert await desk.orders.follow(NOON + 10 * MINUTE) == 1
    assert (await desk.case()).stage is Stage.FILED


async def test_a_yellow_alert_that_a_person_has_seen_does_not_wait(desk: Desk) -> None:
    await desk.raise_alert(Colour.YELLOW)
    await desk.orders.follow(NOON)
    await desk.write(Colour.YELLOW, acknowledged(desk.episodes[Colour.YELLOW], "wuye", "", NOON + MINUTE), NOON + MINUTE)
    assert await desk.orders.follow(NOON + MINUTE) == 1


async def test_a_yellow_alert_that_is_over_before_is_no_case(desk: Desk) -> None:
    await desk.raise_alert(Colour.YELLOW)
    await desk.clear(Colour.YELLOW, NOON + MINUTE)
    assert await desk.orders.follow(NOON + HOUR) == 0
    assert await desk.cases() == []


async def test_a_blue_case_that_nobody_touched_goes_when_it_is_over_and_comes_when_it_is_back(desk: Desk) -> None:
    await desk.raise_alert(Colour.BLUE)
    await desk.orders.follow(NOON)
    assert (await desk.case()).stage is Stage.REPORTED
    await desk.clear(Colour.BLUE, NOON + MINUTE)
    await desk.orders.follow(NOON + MINUTE)
    assert (await desk.case()).stage is Stage.CANCELLED
    await desk.raise_again(Colour.BLUE, NOON + 2 * MINUTE)
    await desk.orders.follow(NOON + 2 * MINUTE)
    assert sorted(case.stage for case in await desk.cases()) == [Stage.CANCELLED, Stage.REPORTED]


async def test_a_rule_that_does_not_ask_for_it_makes_no_case_but_a_person_may(desk: Desk) -> None:
    alert = await desk.raise_alert(rule="other_rule")
    assert await desk.orders.follow(NOON + HOUR) == 0
    case, made = await desk.orders.open_for(ALL, alert.id, WUYE, NOON)
    assert (made, case.stage) == (True, Stage.REPORTED)
    assert await desk.orders.open_for(ALL, alert.id, DESK, NOON) == (case, False)
    with pytest.raises(NotThere):
        await desk.orders.open_for(Scope(["42"]), alert.id, WUYE, NOON)


async def test_what_a_person_has_cancelled_is_not_filed_again(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    await desk.act((moves.Cancel(reason="演练", override=True), BOSS))
    await desk.raise_again(at=NOON + MINUTE)
    assert await desk.orders.follow(NOON + MINUTE) == 0
    assert (await desk.case()).stage is Stage.CANCELLED


async def test_a_new_alert_of_the_same_subject_joins_the_open_case(desk: Desk) -> None:
    first = await desk.raise_alert()
    await desk.orders.follow(NOON)
    await desk.clear(at=NOON + MINUTE)
    second = await desk.raise_alert(at=NOON + HOUR)
    await desk.orders.follow(NOON + HOUR)
    assert (await desk.case()).alerts == (first.id, second.id)


async def test_a_centre_that_begins_to_make_work_orders_files_what_holds_now_and_nothing_of_the_past(desk: Desk) -> None:
    await desk.raise_alert(Colour.ORANGE, NOON - 48 * HOUR)
    await desk.clear(Colour.ORANGE, NOON - 47 * HOUR)
    still = await desk.raise_alert(Colour.RED, NOON - 24 * HOUR)
    assert await desk.orders.follow(NOON) == 1
    assert (await desk.case()).alerts == (still.id,)


async def test_what_could_not_be_written_is_followed_later(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    await desk.act(*TO_CHECK)
    await desk.raise_again(at=NOON + MINUTE)
    again = WorkOrders(desk.database, ROUND, AUTO)
    assert await again.follow(NOON + MINUTE) == 1
    assert (await desk.case()).stage is Stage.REWORK


async def test_closing_is_refused_while_the_sensor_shows_it_and_taken_when_it_does_not(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    case = await desk.act(*TO_CHECK)
    with pytest.raises(MoveRefused) as refused:
        await desk.act((moves.Close(), DESK))
    assert refused.value.why is Why.CONDITION_HOLDS
    assert (await desk.case()) == case
    await desk.clear(at=NOON + MINUTE)
    assert (await desk.act((moves.Close(), DESK), at=NOON + MINUTE)).close_kind is CloseKind.NORMAL


async def test_an_alert_of_a_latched_rule_does_not_hold_when_its_condition_is_over(desk: Desk) -> None:
    alert = await desk.raise_alert()
    await desk.write(Colour.RED, over(Episode(alert, latch=True), NOON + 1), NOON + 1)
    await desk.orders.open_for(ALL, alert.id, WUYE, NOON)
    assert (await desk.act((moves.Reject(reason="误报"), DESK))).stage is Stage.REJECTED


async def test_a_case_whose_condition_stays_goes_back_to_its_unit_by_itself(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    await desk.act(*TO_CHECK)
    await desk.orders.follow(NOON + 10 * MINUTE - 1)
    assert (await desk.case()).stage is Stage.VERIFYING
    await desk.orders.follow(NOON + 10 * MINUTE)
    case = await desk.case()
    assert (case.stage, case.counts.rework) == (Stage.REWORK, 1)
    journal = await desk.orders.journal(ALL, case.id)
    assert journal is not None
    assert [(line.action, line.token, line.role) for line in journal if line.action == "fail"] == [("fail", "machine", "")]


async def test_a_condition_that_comes_back_reopens_its_closed_case_by_itself(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    await desk.act(*TO_CHECK)
    await desk.clear(at=NOON + MINUTE)
    await desk.act((moves.Close(), DESK), at=NOON + MINUTE)
    await desk.orders.follow(NOON + MINUTE)
    assert (await desk.case()).stage is Stage.CLOSED
    await desk.raise_again(at=NOON + 2 * MINUTE)
    await desk.orders.follow(NOON + 2 * MINUTE)
    case = await desk.case()
    assert (case.stage, case.counts.reopened) == (Stage.FILED, 1)


async def test_a_merged_cases_alert_still_keeps_the_other_from_closing(desk: Desk) -> None:
    alert = await desk.raise_alert(rule="other_rule")
    mine = (await desk.orders.open_for(ALL, alert.id, WUYE, NOON)).case
    await desk.raise_alert(Colour.ORANGE)
    await desk.orders.follow(NOON + 1)
    (target,) = await desk.cases(colour=Colour.ORANGE)
    merged = await desk.orders.move(ALL, mine.id, mine.version, moves.Merge(into=target.id), DESK, NOON, NOON)
    assert (merged.stage, merged.merged_into) == (Stage.MERGED, target.id)
    (target,) = await desk.cases(colour=Colour.ORANGE)
    assert (target.merged, target.alerts[-1]) == ((mine.id,), alert.id)
    await desk.clear(Colour.ORANGE, NOON + 1)
    for move, by in TO_CHECK:
        target = await desk.orders.move(ALL, target.id, target.version, move, by, NOON, NOON)
    with pytest.raises(MoveRefused):
        await desk.orders.move(ALL, target.id, target.version, moves.Close(), DESK, NOON, NOON)


async def test_a_merge_never_leaves_the_community_nor_ends_in_an_ended_case(desk: Desk) -> None:
    alert = await desk.raise_alert()
    case = (await desk.orders.open_for(ALL, alert.id, WUYE, NOON)).case
    elsewhere = replace(case, id="", community="411202002002", alerts=())
    other = (await desk.orders.open(elsewhere, WUYE, NOON, NOON)).case
    ended = (await desk.orders.open(replace(case, alerts=()), WUYE, NOON, NOON)).case
    await desk.orders.move(ALL, ended.id, 1, moves.Reject(reason="x", override=True), BOSS, NOON, NOON)
    for id in (other.id, ended.id, "nothing"):
        with pytest.raises(MoveRefused) as refused:
            await desk.orders.move(ALL, case.id, case.version, moves.Merge(into=id), DESK, NOON, NOON)
        assert refused.value.why is Why.NO_SUCH_CASE


async def test_of_two_changes_at_once_one_is_refused(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    case = await desk.case()
    both = [desk.orders.move(ALL, case.id, case.version, dispatched(unit), DESK, NOON, NOON) for unit in ("wuye", "weibao")]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Case, Changed}
    with pytest.raises(NotThere):
        await desk.orders.move(Scope(["42"]), case.id, case.version + 1, moves.Urge(reason="x"), BOSS, NOON, NOON)


async def test_what_is_asked_twice_under_one_key_is_done_once_and_answered_the_same(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.orders.follow(NOON)
    case = await desk.case()
    once = Once("wuye", "key-1", "hash")
    first = await desk.orders.move(ALL, case.id, 1, dispatched(), DESK, NOON, NOON, once)
    await desk.act((moves.Sign(), WUYE))
    assert await desk.orders.move(ALL, case.id, 1, dispatched(), DESK, NOON, NOON, once) == first
    with pytest.raises(KeyReused):
        await desk.orders.move(ALL, case.id, 1, dispatched(), DESK, NOON, NOON, once._replace(asked="other"))
    with pytest.raises(Changed):
        await desk.orders.move(ALL, case.id, 1, dispatched(), DESK, NOON, NOON, once._replace(who="other"))
    with pytest.raises(NotThere):
        await desk.orders.move(Scope(["42"]), case.id, 1, dispatched(), DESK, NOON, NOON, once)
    with pytest.raises(Changed):
        await desk.orders.move(ALL, case.id, 1, dispatched(), DESK, NOON, NOON + 25 * HOUR, once)


async def test_time_alone_brings_a_case_under_supervision(desk: Desk) -> None:
    await desk.raise_alert(Colour.ORANGE)
    await desk.orders.follow(NOON)
    await desk.orders.follow(NOON + 24 * HOUR)
    case = await desk.case()
    assert (case.supervision, case.counts.reminded, case.counts.urged) == (3, 1, 1)
    assert await desk.orders.follow(NOON + 48 * HOUR) == 0


async def test_numbers_count_within_a_community_and_a_day(desk: Desk) -> None:
    alert = await desk.raise_alert()
    first = (await desk.orders.open_for(ALL, alert.id, WUYE, NOON)).case
    numbers = [
        (await desk.orders.open(replace(first, alerts=(), community=community, times=Times(at)), WUYE, at, at)).case.no
        for community, at in ((HERE, NOON), ("411202002002", NOON), (HERE, NOON + 24 * HOUR))
    ]
    assert numbers == [f"{HERE}-20261124-0002", "411202002002-20261124-0001", f"{HERE}-20261125-0001"]


async def filled(desk: Desk) -> None:
    await desk.raise_alert()
    await desk.raise_alert(Colour.ORANGE)
    await desk.orders.follow(NOON)
    await desk.act(*TO_CHECK)


async def test_the_journal_holds_every_version_of_the_case_and_is_whole(desk: Desk) -> None:
    await filled(desk)
    checked = await desk.orders.check()
    assert (checked.lines, checked.broken) == (6, None)
    assert len(checked.head) == 64
    case = (await desk.cases())[0]
    journal = await desk.orders.journal(ALL, case.id)
    assert journal is not None
    assert [line.version for line in journal] == [1, 2, 3, 4, 5]
    assert [line.person for line in journal] == ["machine", "刘指挥", "王师傅", "王师傅", "王师傅"]
    assert await desk.orders.journal(Scope(["42"]), case.id) is None


@pytest.mark.parametrize(
    "column",
    ["case", "version", "action", "event_at", "known_at", "token", "person", "role", "unit", "reason", "details", "body"],
)
async def test_a_line_that_was_changed_is_found(desk: Desk, column: str) -> None:
    await filled(desk)
    forged: Any = b"{}" if column in ("details", "body") else 7 if column in ("version", "event_at", "known_at") else "forged"
    line = work_order_journal.c.seq == 3
    await desk.database.write(lambda it: forge(it, work_order_journal.update().where(line).values({column: forged})))
    assert (await desk.orders.check()).broken == Broken(3, "it was changed")


async def test_a_line_that_was_taken_out_or_a_case_that_was_rewritten_is_found(desk: Desk) -> None:
    await filled(desk)
    await desk.database.write(lambda it: it.execute(work_order.update().values(body=b"{}")))
    assert (await desk.orders.check()).broken is not None


@pytest.mark.parametrize(("gone", "found"), [(1, 2), (4, 5), (6, 6)])
async def test_a_missing_line_is_found_also_at_the_end(desk: Desk, gone: int, found: int) -> None:
    await filled(desk)
    line = work_order_journal.c.seq == gone
    await desk.database.write(lambda it: forge(it, work_order_journal.delete().where(line)))
    broken = (await desk.orders.check()).broken
    assert broken is not None
    assert broken.seq == found


async def test_pages_and_filters_see_the_scope_alone(desk: Desk) -> None:
    await filled(desk)
    first, after = await desk.orders.page(ALL, CaseFilter(), None, 1)
    assert after is not None
    second, end = await desk.orders.page(ALL, CaseFilter(), after, 1)
    assert end is None
    assert {case.id for case in (*first, *second)} == {case.id for case in await desk.cases()}
    assert (await desk.orders.page(Scope(["42"]), CaseFilter(), None, 9)) == ([], None)
    assert len(await desk.cases(stage=Stage.VERIFYING, unit="wuye")) == 1
    assert len(await desk.cases(since=NOON, until=NOON + 1, community="411202", ended=False)) == 2
    assert await desk.cases(supervision=1) == []
    links = await desk.database.read(lambda it: it.scalar(sa.select(sa.func.count()).select_from(work_order_alert)))
    assert links == 2
