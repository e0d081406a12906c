"""Joint handling (联动联处): the parts of a case, found and replaced. Pure."""

from msgspec.structs import replace

from ingest.cases.case import Case, Part, Person
from ingest.cases.clock import Clock, Step
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.terms import Terms

MAX_PARTS = 100


def given(parts: tuple[Part, ...], unit: str, task: str, clock: Clock, *, lead: bool) -> tuple[Part, ...]:
    if len(parts) >= MAX_PARTS:
        raise MoveRefused(Why.FULL)
    return (*parts, Part(number=len(parts) + 1, unit=unit, task=task, clock=clock, lead=lead))


def limit_of(case: Case, limit_s: float | None, terms: Terms) -> int:
    """How long a part may take: as it is said, else as the catalogue says of the kind, else by colour."""
    if limit_s is not None:
        return round(limit_s * 1_000_000)
    return case.handle_limit or terms.limit(case.colour, Step.HANDLE)


def with_part(parts: tuple[Part, ...], changed: Part) -> tuple[Part, ...]:
    return tuple(changed if part.number == changed.number else part for part in parts)


def find(case: Case, number: int) -> Part:
    if not 1 <= number <= len(case.parts):
        raise MoveRefused(Why.NO_SUCH_PART)
    return case.parts[number - 1]


def part_of(case: Case, number: int, by: Person) -> Part:
    """A part, if it is of the unit of ``by``."""
    part = find(case, number)
    if part.unit != by.unit:
        raise MoveRefused(Why.NOT_YOUR_UNIT)
    return part


def lead_of(case: Case, by: Person) -> Part:
    """The lead's part, if ``by`` is of the unit that leads."""
    lead = case.lead
    if lead is None or lead.unit != by.unit:
        raise MoveRefused(Why.NOT_YOUR_UNIT)
    return lead


def at_rung(part: Part, rung: int) -> Part:
    return replace(part, clock=replace(part.clock, rung=rung))
