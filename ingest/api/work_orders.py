"""``/api/v1/work-orders``: from 受理 to 督办. Read, report, move on, export, check."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field, model_validator

from ingest.alerts import Colour
from ingest.api import cursor as cursors
from ingest.api.auth import Handler, Viewer, WholeAdmin
from ingest.api.checks import CheckView, check_view
from ingest.api.faults import Unfit, malformed
from ingest.api.fields import LINE, Asked, Community, Id, Instant, KindName, instant_of, named
from ingest.api.fields import Person as Signer
from ingest.api.parts import Parts, Wired
from ingest.api.preconditions import Key, Version, etag, stale
from ingest.api.problems import RESPONSES, Refused, not_there
from ingest.api.work_order_moves import MOVE, Moved
from ingest.api.work_order_views import ChangesView, JournalView, WorkOrdersPage, WorkOrderView, change_view, line_view, view
from ingest.cases import (
    Answer,
    Case,
    CaseFilter,
    Changed,
    MoveRefused,
    NotThere,
    Person,
    Source,
    Stage,
    Why,
    export,
    from_report,
)
from ingest.once import Once
from ingest.paging import Cursor
from ingest.tokens import Grant
from telemetry.presence import Words

router = APIRouter(tags=["work orders"], responses=RESPONSES)

LIST = "work-orders"
NOT_YET = Words("时间尚未到来", "it is not over yet")
NOT_HERE = Words("在该令牌的范围内没有这个案件或告警。", "There is no such work order or alert in the token's scope.")
TEXT = r"^[^\x00-\x09\x0b-\x1f\x7f]*$"
EXPORT_PAGE = 200


class WorkOrdersAsked(Asked):
    stage: Stage | None = None
    colour: Colour | None = None
    kind: KindName | None = None
    unit: Annotated[str, Field(max_length=64, pattern=LINE, description="The unit that leads.")] | None = None
    community: Community | None = None
    supervision: Annotated[int, Field(ge=1, le=3, description="Under this grade of supervision or a higher one.")] | None = None
    ended: Annotated[bool | None, Field(description="Closed, rejected, merged or cancelled; or none of these.")] = None
    since: Annotated[Instant | None, Field(description="Reported at this instant or later.")] = None
    until: Annotated[Instant | None, Field(description="Reported before this instant.")] = None

    def filter(self) -> CaseFilter:
        return CaseFilter(**{name: getattr(self, name) for name in CaseFilter._fields})


class WorkOrdersPageAsked(WorkOrdersAsked):
    cursor: Annotated[str | None, Field(min_length=1, description="The `next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ChangesAsked(Asked):
    after: Annotated[int, Field(ge=0, lt=2**63, description="The `next` of the answer before; 0 for all.")] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class ExportAsked(WorkOrdersAsked):
    format: Literal["csv", "json"] = "csv"
    drills: Annotated[bool, Field(description="Those of drills too; else they are left out: nothing was wrong.")] = False


class ReportAsked(Asked):
    """A work order of an alert, or of what a person has seen: then with `community` and `title`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"alert": "6f0e5a41c2b7d9a08e13", "by": "王师傅"},
                {
                    "community": "411202002001",
                    "title": "3号楼楼道积水",
                    "source": "patrol",
                    "colour": "yellow",
                    "by": "网格员小李",
                },
            ]
        }
    )

    alert: Id | None = None
    community: Community | None = None
    title: Annotated[str, Field(min_length=1, max_length=128, pattern=LINE)] | None = None
    place: Annotated[str, Field(max_length=128, pattern=LINE)] = ""
    description: Annotated[str, Field(max_length=2000, pattern=TEXT)] = ""
    source: Source = Source.PATROL
    colour: Colour = Colour.BLUE
    happened_at: Instant | None = None
    by: Signer | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        own = self.model_fields_set - {"alert", "by"}
        if self.alert is not None and own:
            raise Unfit("告警自带这些内容: 只给 'alert' 和 'by'", "an alert says all of this itself: give 'alert' and 'by' alone")
        if self.alert is None and (self.community is None or self.title is None):
            raise Unfit("请给 'alert'，或 'community' 与 'title'", "give 'alert', or 'community' and 'title'")
        return self


@router.get("/api/v1/work-orders")
async def work_orders(parts: Wired, grant: Viewer, asked: Annotated[WorkOrdersPageAsked, Query()]) -> WorkOrdersPage:
    """Work orders, newest first, those of the token's communities alone."""
    begin = cursors.read(asked.cursor, LIST, grant.digest)
    found, after = await parts.work_orders.page(grant.scope, asked.filter(), begin, asked.limit)
    return WorkOrdersPage(
        items=[_view(parts, case) for case in found], next=cursors.write(after, LIST, grant.digest) if after else None
    )


@router.post(
    "/api/v1/work-orders", status_code=201, responses={200: {"description": "The alert has it already.", "model": WorkOrderView}}
)
async def report(
    parts: Wired, grant: Handler, body: ReportAsked, once: Key, response: Response, _asked: Annotated[Asked, Query()]
) -> WorkOrderView:
    """Reports a work order (受理). An alert has one: asked again while it is open, the answer is 200 and the same work order."""
    by = _person(grant, body.by or "")
    answer = await _reported(parts, grant, body, by, once)
    response.status_code = 201 if answer.made else 200
    response.headers["Location"] = f"/api/v1/work-orders/{answer.case.id}"
    return _tagged(parts, answer.case, response)


@router.get("/api/v1/work-orders/export", response_class=StreamingResponse)
async def exported(request: Request, parts: Wired, grant: Viewer, asked: Annotated[ExportAsked, Query()]) -> StreamingResponse:
    """Work orders with the field names of 数字城管, times of Beijing; CSV for spreadsheets, or JSON. Newest first, all but
    those of drills. `linli_personal` is 1 where a row may tell of somebody; every export is noted in the access log."""
    request.state.personal = True
    pages = _pages(parts, grant, asked)
    written, kind = (export.csv_of, "text/csv; charset=utf-8") if asked.format == "csv" else (export.json_of, "application/json")
    name = {"Content-Disposition": f'attachment; filename="work-orders.{asked.format}"'}
    return StreamingResponse(written(pages, parts.clock(), parts.work_orders.terms), media_type=kind, headers=name)


@router.get("/api/v1/work-orders/changes")
async def changes(parts: Wired, grant: Viewer, asked: Annotated[ChangesAsked, Query()]) -> ChangesView:
    """Everything that was done with any work order, by people, clocks and sensors, in order: ask again with `after`."""
    lines, reached = await parts.work_orders.changes(grant.scope, asked.after, asked.limit)
    return ChangesView(items=[change_view(line) for line in lines], next=reached)


@router.get("/api/v1/work-orders/check")
async def check(parts: Wired, _grant: WholeAdmin, _asked: Annotated[Asked, Query()]) -> CheckView:
    """Whether the journal of all work orders is what was written: nothing changed, put in, taken out. It reads all of it."""
    return check_view(await parts.work_orders.check())


@router.get("/api/v1/work-orders/{id}")
async def work_order(
    id: str, parts: Wired, grant: Viewer, response: Response, _asked: Annotated[Asked, Query()]
) -> WorkOrderView:
    """One work order; its `ETag` is what a transition names as `If-Match`. 404 also when it is outside the token's scope."""
    case = await parts.work_orders.get(grant.scope, id)
    if case is None:
        raise not_there(NOT_HERE)
    return _tagged(parts, case, response)


@router.get("/api/v1/work-orders/{id}/journal")
async def journal(id: str, parts: Wired, grant: Viewer, _asked: Annotated[Asked, Query()]) -> JournalView:
    """Everything that was done with it, in order: by whom, when, why."""
    lines = await parts.work_orders.journal(grant.scope, id)
    if lines is None:
        raise not_there(NOT_HERE)
    return JournalView(items=[line_view(line) for line in lines])


@router.post("/api/v1/work-orders/{id}/transitions", openapi_extra=MOVE)
async def move(
    id: str,
    parts: Wired,
    grant: Viewer,
    version: Version,
    moved: Moved,
    once: Key,
    response: Response,
    _asked: Annotated[Asked, Query()],
) -> WorkOrderView:
    """Moves a work order on: accept, file, dispatch, sign, start, hand_in, close and so on.

    `If-Match` is needed: without it 428, with another version than the one it is at 412. What may not be done now is 409, with a
    `type` that says why; what the role or the unit may not do is 403.
    """
    now = parts.clock()
    by = _person(grant, _signed(moved.by))
    event_at = _happened(moved.happened_at, now)
    try:
        case = await parts.work_orders.move(grant.scope, id, version, moved, by, event_at, now, once)
    except NotThere as error:
        raise not_there(NOT_HERE) from error
    except Changed as error:
        raise stale(error.version) from error
    except MoveRefused as error:
        status = 403 if error.why in (Why.WRONG_ROLE, Why.NOT_YOUR_UNIT) else 409
        raise Refused(status, error.why.value, error.words) from error
    return _tagged(parts, case, response)


async def _reported(parts: Parts, grant: Grant, body: ReportAsked, by: Person, once: Once | None) -> Answer:
    now = parts.clock()
    try:
        if body.alert is not None:
            return await parts.work_orders.open_for(grant.scope, body.alert, by, now, once=once)
        community, title = body.community or "", body.title or ""
        if not grant.scope.covers(community):
            raise NotThere(community)
        opened_at = now if body.happened_at is None else body.happened_at
        if opened_at > now:
            raise malformed("body.happened_at", NOT_YET)
        words, place = Words(title, title), Words(body.place, body.place)
        terms = parts.work_orders.terms
        case = from_report(community, body.source, body.colour, words, place, body.description, opened_at, now, terms)
        return await parts.work_orders.open(case, by, opened_at, now, once)
    except NotThere as error:
        raise not_there(NOT_HERE) from error


async def _pages(parts: Parts, grant: Grant, asked: ExportAsked) -> AsyncIterator[list[Case]]:
    after: Cursor | None = None
    while True:
        found, after = await parts.work_orders.page(grant.scope, asked.filter(), after, EXPORT_PAGE)
        yield [case for case in found if asked.drills or not case.drill]
        if after is None:
            return


def _person(grant: Grant, name: str) -> Person:
    return Person(grant.name, name.strip() or grant.name, grant.role, grant.unit)


def _signed(by: str) -> str:
    try:
        return named(by) if by.strip() else ""
    except Unfit as error:
        raise malformed("body.by", error.words) from error


def _happened(text: str, now: int) -> int:
    if not text:
        return now
    try:
        at = instant_of(text)
    except Unfit as error:
        raise malformed("body.happened_at", error.words) from error
    if at > now:
        raise malformed("body.happened_at", NOT_YET)
    return at


def _view(parts: Parts, case: Case) -> WorkOrderView:
    return view(case, parts.clock(), parts.work_orders.terms)


def _tagged(parts: Parts, case: Case, response: Response) -> WorkOrderView:
    response.headers["ETag"] = etag(case.version)
    return _view(parts, case)
