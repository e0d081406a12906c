"""``/api/v1/alerts``: read, acknowledge and follow alerts."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from ingest.alerts import Alert, AlertFilter, AlertState, Colour, Family
from ingest.alerts.deeds import AlertChanged, Deed, Ended, acked
from ingest.alerts.marks import Mark
from ingest.api import cursor as cursors
from ingest.api.auth import Handler, Viewer
from ingest.api.faults import Unfit
from ingest.api.fields import NO_CONTROLS, Asked, Community, Id, Instant, KindName, Name, Person, Said, WordsView
from ingest.api.parts import Wired
from ingest.api.preconditions import Key, Seen, alert_stale, etag
from ingest.api.problems import RESPONSES, Refused, not_there
from ingest.api.stream import AlertStream
from telemetry.metric import Value
from telemetry.presence import Words

router = APIRouter(tags=["alerts"], responses=RESPONSES)


def _only(value: bool | None) -> bool | None:
    if value is False:
        raise Unfit("只能为 true，或不写", "give true, or leave it out")
    return value


Only = Annotated[bool | None, AfterValidator(_only)]
"""What is asked for this way is rare: there is no list of all the others."""

LIST = "alerts"

ENDED = Words("告警已结束。", "The alert is closed or withdrawn.")
NOT_HERE = Words("在该令牌的范围内没有这条告警。", "There is no such alert in the token's scope.")


class AlertView(BaseModel):
    """One episode of one rule at one place.

    `state`: open while its condition holds, cleared when that is over, closed when a person has acknowledged it as well.
    `seq` grows at every change of any alert. `count` is how often the condition came back within this episode.

    What stands between the alert and people: `suppressed_by` an alert or planned works that it follows from, `folded` into the
    flood `collapsed_into`, `flapping`, shelved. `told`: people have heard of it. `drill`: nothing is wrong, people practise.
    `origin` is `backfill` when it was past before it was known; `rule_version` names the text of the rule that counted.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "6f0e5a41c2b7d9a08e13",
                    "seq": 42,
                    "rule": "b3-sump-high",
                    "kind": "sump_high",
                    "family": "environment",
                    "colour": "yellow",
                    "state": "closed",
                    "title": {"zh": "集水井水位高", "en": "High water in the sump"},
                    "text": {"zh": "水位 1.62 m，上限 1.5 m", "en": "Level 1.62 m, limit 1.5 m"},
                    "device": "b3-pump-level",
                    "gateway": "gw-jianye-1",
                    "community": "411202002001",
                    "place": {"zh": "3号楼水泵房", "en": "Building 3 pump room"},
                    "zone": "b3-pump-room",
                    "value": 1.62,
                    "limit": 1.5,
                    "metric": "level",
                    "unit": "m",
                    "opened_at": "2026-11-23T08:00:00.123456Z",
                    "cleared_at": "2026-11-23T08:21:40.000000Z",
                    "closed_at": "2026-11-23T08:21:40.000000Z",
                    "acked_at": "2026-11-23T08:03:12.500000Z",
                    "acked_by": "王师傅",
                    "note": "已到现场 / on my way",
                    "count": 1,
                    "origin": "",
                    "withdrawn_at": None,
                    "clause": "",
                    "rule_version": "9f86d081884c",
                    "drill": False,
                    "told": True,
                    "suppressed_by": "",
                    "collapsed_into": "",
                    "folded": False,
                    "flapping": False,
                    "shelved_until": None,
                    "shelved_until_normal": False,
                    "shelved_by": "",
                    "shelf_reason": "",
                    "assigned_to": "",
                }
            ]
        }
    )

    id: str
    seq: int
    rule: str
    kind: str
    family: Family
    colour: Colour
    state: AlertState
    title: WordsView
    text: WordsView
    device: str
    gateway: str
    community: str
    place: WordsView
    zone: str
    value: Value | None
    limit: Value | None
    metric: str | None
    unit: str
    opened_at: Said
    cleared_at: Said | None
    closed_at: Said | None
    acked_at: Said | None
    acked_by: str | None
    note: str
    count: int
    origin: str
    withdrawn_at: Said | None
    clause: str
    rule_version: str
    drill: bool
    told: bool
    suppressed_by: str
    collapsed_into: str
    folded: bool
    flapping: bool
    shelved_until: Said | None
    shelved_until_normal: bool
    shelved_by: str
    shelf_reason: str
    assigned_to: str


class AlertsPage(BaseModel):
    """Newest first. ``next`` is the ``cursor`` of the page after; null when this was the last."""

    items: list[AlertView]
    next: str | None


class AlertsWanted(Asked):
    """Which alerts; what is left out is no restriction."""

    state: AlertState | None = None
    colour: Colour | None = None
    family: Family | None = None
    kind: KindName | None = None
    device: Name | None = None
    community: Community | None = None
    since: Annotated[Instant | None, Field(description="Opened at this instant or later.")] = None
    until: Annotated[Instant | None, Field(description="Opened before this instant.")] = None
    shelved: Annotated[Only, Field(description="Those that somebody has shelved.")] = None
    suppressed: Annotated[Only, Field(description="Those that stand and follow from something else.")] = None
    folded: Annotated[Only, Field(description="Those that people hear of only by a flood.")] = None
    flapping: Annotated[Only, Field(description="Those that come and go.")] = None
    drill: bool | None = None
    collapsed_into: Annotated[Id | None, Field(description="Those of a flood: its id.")] = None

    @property
    def marks(self) -> frozenset[Mark]:
        return frozenset(mark for mark in Mark if getattr(self, mark.value))

    def filter(self) -> AlertFilter:
        return AlertFilter(**{name: getattr(self, name) for name in AlertFilter._fields})


class AlertsAsked(AlertsWanted):
    cursor: Annotated[str | None, Field(min_length=1, description="The `next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class ChangesAsked(Asked):
    after: Annotated[int, Field(ge=0, lt=2**63, description="The `next` of the answer before; 0 for all.")] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class ChangesView(BaseModel):
    """By ascending `seq`, each alert as it is now: of several changes of one, the last. ``next`` is the ``after`` to go on with;
    when it is the ``after`` that was asked with, nothing is new. An answer may be empty and not the last."""

    items: list[AlertView]
    next: int


class AckAsked(Asked):
    """Who takes note of an alert, and what they say of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"by": "王师傅", "note": "已到现场 / on my way"}]})

    by: Person | None = None
    note: Annotated[str, Field(max_length=500, pattern=NO_CONTROLS)] = ""


@router.get("/api/v1/alerts")
async def alerts(parts: Wired, grant: Viewer, asked: Annotated[AlertsAsked, Query()]) -> AlertsPage:
    """Alerts, newest first, those of the token's communities alone."""
    begin = cursors.read(asked.cursor, LIST, grant.digest)
    found, after = await parts.alerts.page(grant.scope, asked.filter(), begin, asked.limit)
    return AlertsPage(items=[view(alert) for alert in found], next=cursors.write(after, LIST, grant.digest) if after else None)


@router.get("/api/v1/alerts/changes")
async def changes(parts: Wired, grant: Viewer, asked: Annotated[ChangesAsked, Query()]) -> ChangesView:
    """What changed after the change `after`: for programs that ask now and then. The stream tells the same at once."""
    found = await parts.alerts.changes(grant.scope, asked.after, asked.limit)
    return ChangesView(items=[view(alert) for alert in found.alerts], next=found.reached)


@router.get("/api/v1/alerts/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    parts: Wired,
    grant: Viewer,
    _asked: Annotated[Asked, Query()],
    last_event_id: Annotated[str | None, Header(pattern="^[0-9]{1,18}$")] = None,
) -> Response:
    """Changes of alerts as they come (server-sent events): `id` is the alert's `seq`, `event` is `alert`, `data` the alert.

    Without `Last-Event-ID` it starts with the next change; with it, with the first change after that one. An event `reset`
    says that the id is not of this centre: read `/api/v1/alerts` again. A comment comes at least every 15 s.
    """
    newest = await parts.alerts.newest_seq()
    wanted = newest if last_event_id is None else int(last_event_id)
    return AlertStream(request, parts, grant, after=min(wanted, newest), reset=wanted > newest, view=view)


@router.get("/api/v1/alerts/{id}")
async def alert(id: str, parts: Wired, grant: Viewer, response: Response, _asked: Annotated[Asked, Query()]) -> AlertView:
    """One alert; its `ETag` is what a change may name as `If-Match`. 404 also when it is outside the token's scope."""
    return tagged(await parts.alerts.get(grant.scope, id), response)


class _OneAlert:
    """An alert that a person does something to: the version that was ``seen``, and the key under which it is done once.

    ``now`` is UTC microseconds.
    """

    def __init__(
        self,
        id: str,
        parts: Wired,
        grant: Handler,
        response: Response,
        seen: Seen,
        once: Key,
        _asked: Annotated[Asked, Query()],
    ) -> None:
        self.grant = grant
        self.now = parts.clock()
        self._id = id
        self._parts = parts
        self._response = response
        self._seen = seen
        self._once = once

    async def take(self, deed: Deed) -> AlertView:
        """The alert after what was done with it."""
        try:
            found = await self._parts.standing.deeds.do(self.grant.scope, self._id, deed, self.now, self._seen, self._once)
        except AlertChanged as error:
            raise alert_stale(error.version) from error
        except Ended as error:
            raise Refused(409, "alert-ended", ENDED) from error
        self._parts.feed.beat()
        return tagged(found, self._response)


OneAlert = Annotated[_OneAlert, Depends()]


@router.post("/api/v1/alerts/{id}/ack")
async def acknowledge(one: OneAlert, body: Annotated[AckAsked | None, Body()] = None) -> AlertView:
    """A person takes note of the alert. Once is enough: the first acknowledgement stands, another one changes nothing.

    `by` is the token's name unless given. An acknowledged alert is closed as soon as its condition is over.
    """
    asked = body or AckAsked()
    return await one.take(acked(asked.by or one.grant.name, asked.note, one.now))


def tagged(found: Alert | None, response: Response) -> AlertView:
    """The alert with its version as ``ETag``; 404 when it is not there."""
    told = _there(found)
    response.headers["ETag"] = etag(told.seq)
    return told


def view(alert: Alert) -> AlertView:
    return AlertView.model_validate(alert, from_attributes=True)


def _there(found: Alert | None) -> AlertView:
    if found is None:
        raise not_there(NOT_HERE)
    return view(found)
