"""``/api/v1/readings``: what devices said, one row a metric, or what it came to in each window of time."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ingest import store
from ingest.api.auth import Viewer
from ingest.api.fields import Asked, Community, Instant, Name, Said, said
from ingest.api.parts import Wired
from ingest.api.problems import RESPONSES
from ingest.api.resolution import Resolution, level_of
from ingest.history.retention import PERSONAL
from ingest.store import Level, Row, Summary
from telemetry.identity import Scope
from telemetry.metric import Kind, Value
from telemetry.quality import Quality

router = APIRouter(tags=["readings"], responses=RESPONSES)


class ReadingsAsked(Asked):
    community: Community | None = None
    gateway: Name | None = None
    device: Name | None = None
    kind: Kind | None = None
    metric: Annotated[str, Field(pattern="^[a-z0-9_*]{1,64}$")] | None = None
    start: Annotated[Instant | None, Field(alias="from", description="This instant and later.")] = None
    end: Annotated[Instant | None, Field(alias="to", description="Before this instant.")] = None
    limit: Annotated[int, Field(ge=1, le=5_000)] = 500
    resolution: Annotated[
        Resolution,
        Field(
            description="`raw` readings as they came; `5m` and `1h` numbers of measurements, summarised by windows of that"
            " width; `auto` the finest of these that fits the time from `from` to `to` and is still kept."
        ),
    ] = Resolution.RAW


class SummaryView(BaseModel):
    """The good and uncertain values of one metric in a window that begins at ``at``; ``last`` is the newest of them."""

    count: int
    minimum: float
    maximum: float
    mean: float
    last: float


class ReadingView(BaseModel):
    """One metric of one reading. ``value`` is null when only the fault is known; ``reason`` then says which.

    Of a window ``value`` is the mean, and ``summary`` says the rest; of a reading ``summary`` is null.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "community": "411202002001",
                    "gateway": "gw-jianye-1",
                    "device": "b3-lobby-reader",
                    "kind": "access",
                    "metric": "event",
                    "at": "2026-11-23T08:00:00.123456Z",
                    "value": "granted",
                    "quality": "good",
                    "reason": "",
                    "event_id": "b3-lobby-reader:1795420800",
                    "summary": None,
                }
            ]
        }
    )

    community: str
    gateway: str
    device: str
    kind: str
    metric: str
    at: Said
    value: Value | None
    quality: str
    reason: str
    event_id: str | None
    summary: SummaryView | None


class ReadingsPage(BaseModel):
    """Newest first. ``next`` is the ``to`` of the page before; null when this was the last.

    ``resolution`` is what the items are: ask for the following pages with it, for ``auto`` may mean another there.
    """

    resolution: str
    items: list[ReadingView]
    next: Said | None


@router.get("/api/v1/readings")
async def readings(request: Request, parts: Wired, grant: Viewer, asked: Annotated[ReadingsAsked, Query()]) -> ReadingsPage:
    """What devices said, newest first. An instant is never split between pages, so a page may be a little longer than `limit`."""
    query = store.Query(
        communities=narrowed(grant.scope, asked.community),
        gateway=asked.gateway,
        device=asked.device,
        kind=asked.kind,
        metric=asked.metric,
        start=asked.start,
        end=asked.end,
        limit=asked.limit,
        newest_first=True,
    )
    level = level_of(asked.resolution, query, parts.clock(), parts.kept_from)
    rows: Sequence[Row | Summary] = []
    if query.communities:
        rows = await (parts.store.read(query) if level is Level.RAW else parts.store.summaries(level, query))
    request.state.personal = any(row.kind in PERSONAL for row in rows if isinstance(row, Row))
    more = len(rows) >= asked.limit
    return ReadingsPage(resolution=level, items=[_view(row) for row in rows], next=said(rows[-1].at) if more else None)


def narrowed(scope: Scope, community: str | None) -> tuple[str, ...]:
    """The prefixes of ``scope``, or the one community asked for, if it is inside."""
    if community is None:
        return scope.prefixes
    return (community,) if scope.covers(community) else ()


def _view(row: Row | Summary) -> ReadingView:
    if isinstance(row, Summary):
        summary = SummaryView(count=row.samples, minimum=row.minimum, maximum=row.maximum, mean=row.mean, last=row.last)
        mean = Row(*row[:6], row.mean, Quality.GOOD)
        return _view(mean).model_copy(update={"summary": summary})
    return ReadingView(
        community=row.community,
        gateway=row.gateway,
        device=row.device,
        kind=row.kind,
        metric=row.metric,
        at=said(row.at) or "",
        value=row.value,
        quality=row.quality,
        reason=row.reason,
        event_id=row.event_id,
        summary=None,
    )
