"""A case and the people around it, for tests of work orders. Noon in Shanghai on a Tuesday that is worked."""

from typing import Any

from msgspec.structs import replace

from ingest.alerts import Colour
from ingest.calendar import PLAIN
from ingest.cases import move as moves
from ingest.cases.case import Case, Person, Source, Stage
from ingest.cases.hours import AroundTheClock, DutyHours, Shift
from ingest.cases.lifecycle import advance
from ingest.cases.move import Move
from ingest.cases.opening import from_report
from ingest.cases.terms import MINUTE, Terms
from ingest.cases.turn import Facts, Turn
from ingest.tokens import Role
from telemetry.presence import Words

NOON = 1_795_492_800_000_000
HERE = "411202002001"
ROUND = Terms(AroundTheClock())
DUTY = Terms(DutyHours(PLAIN, (Shift(8 * 60, 12 * 60), Shift(14 * 60, 18 * 60))))

DESK = Person("zhihui", "刘指挥", Role.DISPATCHER, "zhihui")
BOSS = Person("ducha", "陈督查", Role.SUPERVISOR, "ducha")
WUYE = Person("wuye", "王师傅", Role.HANDLER, "wuye")
PUMPS = Person("weibao", "李师傅", Role.HANDLER, "weibao")
STREET = Person("jiedao", "赵主任", Role.HANDLER, "jiedao")
VIEWER = Person("viewer", "看客", Role.VIEWER, "viewer")

QUIET = Facts()
HOLDS = Facts(holds=True, raised=1)

UNTIL = "2026-11-26T18:00:00+08:00"


def reported(colour: Colour = Colour.YELLOW, at: int = NOON, terms: Terms = ROUND) -> Case:
    words = Words("积水", "Water on the floor")
    return replace(from_report(HERE, Source.PATROL, colour, words, Words(), "", at, at, terms), id="case", no="no")


def after(case: Case, *said: tuple[Move, Person], at: int = NOON, terms: Terms = ROUND, facts: Facts = QUIET) -> Case:
    """The case after what people did, each a minute after the other."""
    for number, (move, by) in enumerate(said):
        case = advance(case, move, Turn(by, facts, at + number * MINUTE, terms))
    return case


def dispatched(unit: str = "wuye", *assistants: str) -> Move:
    return moves.Dispatch(unit=unit, assistants=tuple(moves.Assistant(one) for one in assistants))


TO_FILED = ((moves.Accept(), DESK), (moves.File(), DESK))
TO_SIGNED = (*TO_FILED, (dispatched(), DESK), (moves.Sign(), WUYE))
TO_WORK = (*TO_SIGNED, (moves.Start(), WUYE))
TO_CHECK = (*TO_WORK, (moves.HandIn(result="水泵已更换"), WUYE))


def at_stage(stage: Stage, **facts: Any) -> Case:
    """A case that came to ``stage`` the ordinary way."""
    ways: dict[Stage, tuple[tuple[Move, Person], ...]] = {
        Stage.REPORTED: (),
        Stage.ACCEPTED: TO_FILED[:1],
        Stage.FILED: TO_FILED,
        Stage.DISPATCHED: TO_SIGNED[:3],
        Stage.SIGNED: TO_SIGNED,
        Stage.IN_PROGRESS: TO_WORK,
        Stage.SUSPENDED: (*TO_WORK, (moves.Suspend(reason="等配件"), DESK)),
        Stage.VERIFYING: TO_CHECK,
        Stage.REWORK: (*TO_CHECK, (moves.Fail(reason="还在漏"), DESK)),
        Stage.CLOSED: (*TO_CHECK, (moves.Close(), DESK)),
        Stage.REJECTED: ((moves.Reject(reason="误报"), DESK),),
        Stage.CANCELLED: (TO_FILED[0], (moves.Cancel(reason="误报"), DESK)),
    }
    if stage is Stage.MERGED:
        return after(reported(), (moves.Merge(into="other"), DESK), facts=Facts(target=True))
    return after(reported(), *ways[stage])
