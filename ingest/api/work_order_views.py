"""Work orders as JSON."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from ingest.alerts import Colour
from ingest.api.fields import Said, WordsView, said
from ingest.cases import (
    Case,
    Clock,
    CloseKind,
    Court,
    Hours,
    Line,
    Part,
    PartState,
    Source,
    Stage,
    Step,
    Terms,
    case_then,
    court,
    deadline,
    used,
)

SECOND_US = 1_000_000


class ClockView(BaseModel):
    """Working time in seconds. `deadline` is null while the clock stands still or has ended."""

    step: Step
    limit_s: float
    used_s: float
    overtime_ratio: float
    deadline: Said | None


class PartView(BaseModel):
    """What one unit has to do, by its own clock."""

    number: int
    unit: str
    lead: bool
    task: str
    state: PartState
    note: str
    clock: ClockView


class CountsView(BaseModel):
    """返工, 挂账, 延期, 推诿, 错派, 提醒, 催办, 重开."""

    rework: int
    hang: int
    postpone: int
    shuffle: int
    wrong_dispatch: int
    reminded: int
    urged: int
    reopened: int


class ExtensionView(BaseModel):
    until: Said
    reason: str
    by: str


class TimesView(BaseModel):
    reported: Said
    accepted: Said | None
    filed: Said | None
    dispatched: Said | None
    redispatched: Said | None
    signed: Said | None
    started: Said | None
    handed_in: Said | None
    closed: Said | None
    cancelled: Said | None


class WorkOrderView(BaseModel):
    """One work order. `stage` says how far it is, `court` whose move it is; `version` is its ETag.

    `supervision` is 0 to 3: under none, the yellow card, the street, the red card. `clock` is of the step that it is at; while
    units work on it, their `parts` have clocks of their own.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2c26b46b68ffc68ff99b",
                    "no": "411202002001-20261123-0001",
                    "version": 5,
                    "stage": "in_progress",
                    "court": "lead",
                    "community": "411202002001",
                    "source": "sensor",
                    "colour": "yellow",
                    "kind": "sump_high",
                    "title": {"zh": "集水井水位高", "en": "High water in the sump"},
                    "place": {"zh": "3号楼水泵房", "en": "Building 3 pump room"},
                    "description": "水位 1.62 m，上限 1.5 m",
                    "file_when": {"zh": "水位达到上限", "en": "The water is at its limit"},
                    "close_when": {"zh": "水位恢复正常", "en": "The water is back to normal"},
                    "device": "b3-pump-level",
                    "zone": "b3-pump-room",
                    "alerts": ["6f0e5a41c2b7d9a08e13"],
                    "unit": "wuye-jianye",
                    "opened_at": "2026-11-23T08:00:00.123456Z",
                    "times": {
                        "reported": "2026-11-23T08:10:00.000000Z",
                        "accepted": "2026-11-23T08:10:00.000000Z",
                        "filed": "2026-11-23T08:10:00.000000Z",
                        "dispatched": "2026-11-23T08:14:00.000000Z",
                        "redispatched": None,
                        "signed": "2026-11-23T08:20:00.000000Z",
                        "started": "2026-11-23T08:31:00.000000Z",
                        "handed_in": None,
                        "closed": None,
                        "cancelled": None,
                    },
                    "clock": None,
                    "parts": [
                        {
                            "number": 1,
                            "unit": "wuye-jianye",
                            "lead": True,
                            "task": "",
                            "state": "working",
                            "note": "",
                            "clock": {
                                "step": "handle",
                                "limit_s": 28800.0,
                                "used_s": 2400.0,
                                "overtime_ratio": 0.083,
                                "deadline": "2026-11-24T08:20:00.000000Z",
                            },
                        }
                    ],
                    "extension": None,
                    "supervision": 0,
                    "report_due": False,
                    "counts": {
                        "rework": 0,
                        "hang": 0,
                        "postpone": 0,
                        "shuffle": 0,
                        "wrong_dispatch": 0,
                        "reminded": 0,
                        "urged": 0,
                        "reopened": 0,
                    },
                    "result": "",
                    "close_kind": None,
                    "score": None,
                    "drill": False,
                    "merged_into": None,
                    "merged": [],
                }
            ]
        }
    )

    id: str
    no: str
    version: int
    stage: Stage
    court: Court
    community: str
    source: Source
    colour: Colour
    kind: str
    title: WordsView
    place: WordsView
    description: str
    file_when: WordsView
    close_when: WordsView
    device: str
    zone: str
    alerts: list[str]
    unit: str
    opened_at: Said
    times: TimesView
    clock: ClockView | None
    parts: list[PartView]
    extension: ExtensionView | None
    supervision: int
    report_due: bool
    counts: CountsView
    result: str
    close_kind: CloseKind | None
    score: int | None
    drill: bool
    merged_into: str | None
    merged: list[str]


class WorkOrdersPage(BaseModel):
    """Newest first. ``next`` is the ``cursor`` of the page after; null when this was the last."""

    items: list[WorkOrderView]
    next: str | None


class LineView(BaseModel):
    """One thing that was done, and what it led to. `event_at` is when it happened, `known_at` when it was entered.

    The machine has no `role`. `details` is what was said with the action; of `overdue`, a clock that nobody stopped, `rung` 1 is
    a reminder and 2 to 4 bring the grades of supervision. `digest` covers the line and the digest `before` it.
    """

    version: int
    action: str
    stage: Stage
    supervision: int
    details: dict[str, Any]
    event_at: Said
    known_at: Said
    token: str
    by: str
    role: str
    unit: str
    reason: str
    before: str
    digest: str


class JournalView(BaseModel):
    items: list[LineView]


class ChangeView(LineView):
    """A line of the journal, with its place among those of all work orders."""

    seq: int
    work_order: str


class ChangesView(BaseModel):
    """In the order in which it was written; `next` is the `after` of what comes then."""

    items: list[ChangeView]
    next: int


_SAME = (
    *("id", "no", "version", "stage", "community", "source", "colour", "kind", "description", "device", "zone"),
    *("supervision", "report_due", "result", "close_kind", "score", "drill"),
)


def view(case: Case, now: int, terms: Terms) -> WorkOrderView:
    hours = terms.hours(case.colour)
    lead = case.lead
    return WorkOrderView(
        **{name: getattr(case, name) for name in _SAME},
        court=court(case),
        title=WordsView.of(case.title),
        place=WordsView.of(case.place),
        file_when=WordsView.of(case.file_when),
        close_when=WordsView.of(case.close_when),
        alerts=list(case.alerts),
        unit=lead.unit if lead else "",
        opened_at=said(case.opened_at) or "",
        times=TimesView(**{name: said(getattr(case.times, name)) for name in TimesView.model_fields}),  # type: ignore[arg-type]  # reported is never null
        clock=_clock(case.clock, now, hours) if case.clock else None,
        parts=[_part(part, now, hours) for part in case.parts],
        extension=_extension(case),
        counts=CountsView(**{name: getattr(case.counts, name) for name in CountsView.model_fields}),
        merged_into=case.merged_into or None,
        merged=list(case.merged),
    )


def line_view(line: Line) -> LineView:
    same = ("version", "action", "token", "role", "unit", "reason", "before", "digest")
    after = case_then(line)
    return LineView(
        **{name: getattr(line, name) for name in same},
        stage=after.stage,
        supervision=after.supervision,
        details=json.loads(line.details),
        by=line.person,
        event_at=said(line.event_at) or "",
        known_at=said(line.known_at) or "",
    )


def change_view(line: Line) -> ChangeView:
    return ChangeView(**line_view(line).model_dump(), seq=line.seq, work_order=line.case)


def _part(part: Part, now: int, hours: Hours) -> PartView:
    same = ("number", "unit", "lead", "task", "state", "note")
    return PartView(**{name: getattr(part, name) for name in same}, clock=_clock(part.clock, now, hours))


def _clock(clock: Clock, now: int, hours: Hours) -> ClockView:
    spent = used(clock, now, hours)
    return ClockView(
        step=clock.step,
        limit_s=clock.limit / SECOND_US,
        used_s=spent / SECOND_US,
        overtime_ratio=round(spent / clock.limit, 3) if clock.limit else 0.0,
        deadline=said(deadline(clock, hours)),
    )


def _extension(case: Case) -> ExtensionView | None:
    asked = case.extension
    return ExtensionView(until=said(asked.until) or "", reason=asked.reason, by=asked.by.name) if asked else None
