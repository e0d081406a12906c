"""A move's turn: who makes it, what is known around it, when; and what many moves share. Pure."""

from typing import NamedTuple

from msgspec.structs import replace

from ingest.cases.case import MAX_RETURNS, Case, PartState, Person, Stage, Times
from ingest.cases.clock import Step, begun, ended
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.terms import Terms
from ingest.tokens import Role


class Facts(NamedTuple):
    """What stands outside the case. ``holds``: the condition of one of its alerts is true now; ``raised``: how often they
    have been raised in all. ``target``: the case to merge into can take it."""

    holds: bool = False
    raised: int = 0
    target: bool = False


class Turn(NamedTuple):
    by: Person
    facts: Facts
    at: int
    terms: Terms


def enter(case: Case, stage: Stage, step: Step | None, turn: Turn) -> Case:
    """At ``stage``, with the clock of the step before ended and that of ``step`` begun."""
    hours = turn.terms.hours(case.colour)
    past = (*case.past_clocks, ended(case.clock, turn.at, hours)) if case.clock else case.past_clocks
    clock = begun(step, turn.terms.limit(case.colour, step), turn.at) if step else None
    return replace(case, stage=stage, clock=clock, past_clocks=past)


def may_end(override: bool, turn: Turn) -> None:
    by = turn.by
    overridden = override and by.role is not None and by.role.includes(Role.SUPERVISOR)
    if turn.facts.holds and not overridden:
        raise MoveRefused(Why.CONDITION_HOLDS)


def cancelled(case: Case, turn: Turn) -> Case:
    return replace(case, times=replace(case.times, cancelled=turn.at))


def had_a_hand(case: Case, turn: Turn) -> Case:
    return case if turn.by in case.hands else replace(case, hands=(*case.hands, turn.by))


def had_no_hand(case: Case, turn: Turn) -> None:
    if turn.by.role is not None and turn.by.is_one_of(case.hands):
        raise MoveRefused(Why.OWN_WORK)


def undecided(case: Case) -> None:
    if case.extension is not None:
        raise MoveRefused(Why.EXTENSION_PENDING)


def taken_back(case: Case, lead_state: PartState, turn: Turn) -> Case:
    """Back on the desk: nobody owes anything, and what the lead did does not bind the next one."""
    hours = turn.terms.hours(case.colour)
    parts = tuple(
        replace(
            part,
            state=lead_state if part.lead else PartState.WAIVED if part.owed else part.state,
            clock=ended(part.clock, turn.at, hours) if part.clock.ended_at is None else part.clock,
        )
        for part in case.parts
    )
    return enter(replace(case, parts=parts, extension=None), Stage.FILED, Step.DISPATCH, turn)


def passed_on(case: Case) -> Case:
    """One unit more said that it is not its own; at the second time the street hears of it."""
    counts = replace(case.counts, shuffle=case.counts.shuffle + 1)
    grade = 2 if counts.shuffle >= MAX_RETURNS else 0
    return replace(case, counts=counts, supervision=max(case.supervision, grade))


def first_time(case: Case, name: str, at: int) -> Times:
    return case.times if getattr(case.times, name) is not None else replace(case.times, **{name: at})
