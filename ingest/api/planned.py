"""``/api/v1/works`` and ``/api/v1/drills``: what people announce beforehand."""

from typing import Annotated, Self

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.alerts.planned import LONGEST_US, Planned, Purpose, plan_id
from ingest.alerts.plans import TooMany
from ingest.api.auth import Supervisor, Viewer
from ingest.api.faults import Unfit
from ingest.api.fields import LINE, Asked, Instant, KindName, Name, Person, Prefix, Said, SignedBy, said
from ingest.api.parts import Wired
from ingest.api.preconditions import Key
from ingest.api.problems import RESPONSES, Refused, not_there
from ingest.api.standing import Reason
from ingest.cases.drill import Exercised
from ingest.once import Once
from ingest.tokens import Grant
from telemetry.presence import Words

router = APIRouter(tags=["works and drills"], responses=RESPONSES)

NOT_HERE = Words("在该令牌的范围内没有这个编号。", "There is nothing of that id in the token's scope.")
MANY = Words("该社区的计划过多。", "So many are planned for this community already: end some first.")

Kinds = Annotated[list[KindName], Field(default_factory=list, max_length=32)]


class PlanAsked(Asked):
    """From when until when, where, and of which kinds of alert. `community` is a division code or the start of one; what is left
    out is no restriction."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "community": "411202002001",
                    "zone": "b3-pump-room",
                    "kinds": ["sump_high"],
                    "from": "2026-11-24T09:00:00+08:00",
                    "to": "2026-11-24T17:00:00+08:00",
                    "reason": "更换水泵 / new pump",
                    "by": "刘工",
                }
            ]
        },
        populate_by_name=True,
    )

    community: Prefix
    gateway: Name | None = None
    zone: Annotated[str, Field(min_length=1, max_length=64, pattern=LINE)] | None = None
    device: Name | None = None
    kinds: Kinds
    start: Annotated[Instant, Field(alias="from")]
    to: Instant
    reason: Reason
    by: Person | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.to <= self.start:
            raise Unfit("'to' 应晚于 'from'", "'to' is not after 'from'")
        return self


class PlansAsked(Asked):
    current: Annotated[bool, Field(description="Those alone that are not over.")] = True
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class PlanView(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "works-9f86d081884c7d65",
                    "community": "411202002001",
                    "gateway": "",
                    "zone": "b3-pump-room",
                    "device": "",
                    "kinds": ["sump_high"],
                    "from": "2026-11-24T01:00:00.000000Z",
                    "to": "2026-11-24T09:00:00.000000Z",
                    "reason": "更换水泵 / new pump",
                    "by": "刘工",
                    "made_at": "2026-11-23T08:00:00.000000Z",
                    "ended_at": None,
                    "ended_by": "",
                }
            ]
        },
        populate_by_name=True,
    )

    id: str
    community: str
    gateway: str
    zone: str
    device: str
    kinds: list[str]
    start: Annotated[Said, Field(alias="from")]
    to: Said
    reason: str
    by: str
    made_at: Said
    ended_at: Said | None
    ended_by: str


class PlansView(BaseModel):
    """Newest first."""

    items: list[PlanView]


class ExercisedView(BaseModel):
    """Seconds from the alert's instant: until the centre knew (`detection_s`), somebody acknowledged (`ack_s`), started on the
    work order (`arrival_s`), and it was closed (`close_s`); null: not yet."""

    alert: str
    kind: str
    device: str
    opened_at: Said
    detection_s: float
    ack_s: float | None
    arrival_s: float | None
    close_s: float | None


class DrillReport(BaseModel):
    """`missing`: of these kinds, which the drill named, no alert was raised."""

    drill: PlanView
    alerts: list[ExercisedView]
    missing: list[str]


@router.get("/api/v1/works")
async def works(parts: Wired, grant: Viewer, asked: Annotated[PlansAsked, Query()]) -> PlansView:
    """Planned works that touch the token's scope. Alerts that they bring about are listed and told to nobody."""
    return await _all(parts, grant, Purpose.WORKS, asked)


@router.post("/api/v1/works", status_code=201)
async def announce_works(
    parts: Wired, grant: Supervisor, once: Key, _asked: Annotated[Asked, Query()], body: Annotated[PlanAsked, Body()]
) -> PlanView:
    """Announces works, for 31 days at most. Those that name no `kinds` hold no red alert back. Asked again it is there once."""
    return await _announce(parts, grant, Purpose.WORKS, body, once)


@router.post("/api/v1/works/{id}/end")
async def end_works(
    id: str,
    parts: Wired,
    grant: Supervisor,
    once: Key,
    _asked: Annotated[Asked, Query()],
    body: Annotated[SignedBy | None, Body()] = None,
) -> PlanView:
    """Over from now on; alerts that still stand are told."""
    return await _end(parts, grant, Purpose.WORKS, id, body, once)


@router.get("/api/v1/drills")
async def drills(parts: Wired, grant: Viewer, asked: Annotated[PlansAsked, Query()]) -> PlansView:
    """Drills that touch the token's scope. Every alert raised in one says so, and so does everything that is told of it."""
    return await _all(parts, grant, Purpose.DRILL, asked)


@router.post("/api/v1/drills", status_code=201)
async def announce_drill(
    parts: Wired, grant: Supervisor, once: Key, _asked: Annotated[Asked, Query()], body: Annotated[PlanAsked, Body()]
) -> PlanView:
    """Announces a drill, for 24 hours at most. Asked again it is there once."""
    return await _announce(parts, grant, Purpose.DRILL, body, once)


@router.post("/api/v1/drills/{id}/end")
async def end_drill(
    id: str,
    parts: Wired,
    grant: Supervisor,
    once: Key,
    _asked: Annotated[Asked, Query()],
    body: Annotated[SignedBy | None, Body()] = None,
) -> PlanView:
    """Over from now on: what is raised afterwards is real."""
    return await _end(parts, grant, Purpose.DRILL, id, body, once)


@router.get("/api/v1/drills/{id}/report")
async def drill_report(id: str, parts: Wired, grant: Viewer, _asked: Annotated[Asked, Query()]) -> DrillReport:
    """How a drill went, alert by alert. Those outside the token's scope are left out."""
    drill = await parts.standing.plans.get(grant.scope, Purpose.DRILL, id)
    if drill is None:
        raise not_there(NOT_HERE)
    found = [one for one in await parts.work_orders.exercised(drill) if grant.scope.covers(one.alert.community)]
    missing = sorted(set(drill.kinds) - {one.alert.kind for one in found})
    return DrillReport(drill=plan_view(drill), alerts=[_exercised(one) for one in found], missing=missing)


def _exercised(one: Exercised) -> ExercisedView:
    at = one.alert.opened_at
    acked, arrived, closed = (
        None if then is None else (then - at) / 1e6 for then in (one.alert.acked_at, one.arrived_at, one.closed_at)
    )
    return ExercisedView(
        alert=one.alert.id,
        kind=one.alert.kind,
        device=one.alert.device,
        opened_at=said(at) or "",
        detection_s=(one.known_at - at) / 1e6,
        ack_s=acked,
        arrival_s=arrived,
        close_s=closed,
    )


async def _all(parts: Wired, grant: Grant, purpose: Purpose, asked: PlansAsked) -> PlansView:
    found = await parts.standing.plans.all(grant.scope, purpose, parts.clock() if asked.current else None, asked.limit)
    return PlansView(items=[plan_view(one) for one in found])


async def _announce(parts: Wired, grant: Grant, purpose: Purpose, body: PlanAsked, once: Once | None) -> PlanView:
    if not grant.scope.covers(body.community):
        raise not_there(NOT_HERE)
    if body.to - body.start > LONGEST_US[purpose]:
        days = LONGEST_US[purpose] // 86_400_000_000
        raise Refused(409, "plan-too-long", Words(f"时间过长，最多 {days} 天。", f"That is too long: {days} days at most."))
    place = (body.community, body.gateway or "", body.zone or "", body.device or "")
    what = (*place, tuple(body.kinds), body.start, body.to, body.by or grant.name, body.reason)
    planned = Planned(
        id=plan_id(purpose, *what),
        purpose=purpose,
        community=body.community,
        gateway=body.gateway or "",
        zone=body.zone or "",
        device=body.device or "",
        kinds=tuple(body.kinds),
        starts_at=body.start,
        ends_at=body.to,
        by=body.by or grant.name,
        reason=body.reason,
        made_at=parts.clock(),
    )
    try:
        return plan_view(await parts.standing.plans.announce(planned, once))
    except TooMany as error:
        raise Refused(409, "too-many-plans", MANY) from error


async def _end(parts: Wired, grant: Grant, purpose: Purpose, id: str, body: SignedBy | None, once: Once | None) -> PlanView:
    by = (body.by if body else None) or grant.name
    found = await parts.standing.plans.end(grant.scope, purpose, id, by, parts.clock(), once)
    if found is None:
        raise not_there(NOT_HERE)
    return plan_view(found)


def plan_view(planned: Planned) -> PlanView:
    return PlanView(
        id=planned.id,
        community=planned.community,
        gateway=planned.gateway,
        zone=planned.zone,
        device=planned.device,
        kinds=list(planned.kinds),
        start=said(planned.starts_at) or "",
        to=said(planned.ends_at) or "",
        reason=planned.reason,
        by=planned.by,
        made_at=said(planned.made_at) or "",
        ended_at=said(planned.ended_at),
        ended_by=planned.ended_by,
    )
