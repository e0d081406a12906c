"""``/api/v1/notifications``: who was told of what, and what could not be delivered; sent again, switched on again."""

import re
from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field

from ingest.alerts import Colour
from ingest.api import cursor as cursors
from ingest.api.auth import Admin, WholeAdmin
from ingest.api.faults import malformed
from ingest.api.fields import Asked, Instant, Said, said
from ingest.api.parts import Wired
from ingest.api.preconditions import Key
from ingest.api.problems import RESPONSES, not_there
from ingest.notify import Notification, NotificationFilter, State, TargetSeen
from telemetry.presence import Words

router = APIRouter(tags=["notifications"], responses=RESPONSES)

LIST = "notifications"
_NUMBER = re.compile("[0-9]{1,18}")
SAY_WHICH = Words(
    "请说明是哪些: target、state、alert、work_order、since 或 until",
    "say which: target, state, alert, work_order, since or until",
)

TargetName = Annotated[str, Field(pattern="^[a-z0-9-]{1,64}$")]
AlertId = Annotated[str, Field(pattern="^[0-9a-f]{1,20}$")]


class NotificationsAsked(Asked):
    target: TargetName | None = None
    state: State | None = None
    alert: AlertId | None = None
    work_order: AlertId | None = None
    since: Annotated[Instant | None, Field(description="Known at this instant or later.")] = None
    until: Annotated[Instant | None, Field(description="Known before this instant.")] = None
    cursor: Annotated[str | None, Field(min_length=1, description="The `next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class NotificationView(BaseModel):
    """One change of an alert or of a work order, or digest of what was over before anybody knew, for one target.
    `alert` or `work_order` is empty, of a digest both.

    `message` is the CloudEvent's `id` and `webhook-id`, the same at every try.

    `next_at` is when a waiting one is tried next; `reason` says why the last try failed.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 41,
                    "target": "platform",
                    "message": "5f1c9b2e7a3d4c6b8e90.118",
                    "alert": "5f1c9b2e7a3d4c6b8e90",
                    "work_order": "",
                    "community": "411202002001",
                    "kind": "door_forced",
                    "colour": "red",
                    "change": "opened",
                    "known_at": "2026-11-23T08:00:00.123456Z",
                    "state": "waiting",
                    "tries": 2,
                    "next_at": "2026-11-23T08:00:07.500000Z",
                    "settled_at": None,
                    "reason": "the receiver answered 503",
                }
            ]
        }
    )

    id: int
    target: str
    message: str
    alert: str
    work_order: str
    community: str
    kind: str
    colour: Colour
    change: str
    known_at: Said
    state: State
    tries: int
    next_at: Said | None
    settled_at: Said | None
    reason: str


class NotificationsPage(BaseModel):
    """Newest first. ``next`` is the ``cursor`` of the page after; null when this was the last."""

    items: list[NotificationView]
    next: str | None


class ReplayAsked(BaseModel):
    """Which notifications to send again: those of a target, a state, an alert, a work order or a time; at least one is given."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"target": "platform", "state": "given_up", "since": "2026-11-23T08:00:00Z"}]},
    )

    target: TargetName | None = None
    state: State | None = None
    alert: AlertId | None = None
    work_order: AlertId | None = None
    since: Instant | None = None
    until: Instant | None = None


class ReplayedView(BaseModel):
    """How many wait again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replayed": 3}]})

    replayed: int


class TargetView(BaseModel):
    """A target of the configuration. `off` says why it is sent nothing; `sent` and `failed` count tries since the start.

    `reason` is of the last failure, empty after a success. `waiting` and `given_up` are of the token's communities.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "platform",
                    "type": "webhook",
                    "off": "",
                    "sent": 412,
                    "failed": 1,
                    "last_sent_at": "2026-11-23T08:00:00.123456Z",
                    "reason": "",
                    "waiting": 0,
                    "oldest_waiting_at": None,
                    "given_up": 0,
                }
            ]
        }
    )

    name: str
    type: str
    off: str
    sent: int
    failed: int
    last_sent_at: Said | None
    reason: str
    waiting: int
    oldest_waiting_at: Said | None
    given_up: int


class TargetsView(BaseModel):
    items: list[TargetView]


@router.get("/api/v1/notifications")
async def notifications(parts: Wired, grant: Admin, asked: Annotated[NotificationsAsked, Query()]) -> NotificationsPage:
    """What was sent, waits or was given up, of the token's communities."""
    wanted = NotificationFilter(asked.target, asked.state, asked.alert, asked.work_order, asked.since, asked.until)
    begin = cursors.read(asked.cursor, LIST, grant.digest)
    if begin is not None and not _NUMBER.fullmatch(begin.id):
        raise malformed("query.cursor", cursors.NOT_OURS)
    found, after = await parts.notifications.page(grant.scope, wanted, begin, asked.limit)
    return NotificationsPage(
        items=[_view(one) for one in found], next=cursors.write(after, LIST, grant.digest) if after else None
    )


@router.post("/api/v1/notifications/replay")
async def replay(
    parts: Wired, grant: Admin, once: Key, _asked: Annotated[Asked, Query()], body: Annotated[ReplayAsked, Body()]
) -> ReplayedView:
    """Sends again what was sent or given up, oldest first, at most 10,000 at once; by the id a receiver knows what it had."""
    wanted = NotificationFilter(body.target, body.state, body.alert, body.work_order, body.since, body.until)
    if wanted == NotificationFilter():
        raise malformed("body", SAY_WHICH)
    return ReplayedView(replayed=await parts.notifications.replay(grant.scope, wanted, parts.clock(), once))


@router.get("/api/v1/notifications/targets")
async def targets(parts: Wired, grant: Admin, _asked: Annotated[Asked, Query()]) -> TargetsView:
    """How each target does."""
    return TargetsView(items=[_target(seen) for seen in await parts.notifications.targets(grant.scope)])


@router.post("/api/v1/notifications/targets/{name}/on", status_code=204)
async def switch_on(name: str, parts: Wired, _grant: WholeAdmin, _asked: Annotated[Asked, Query()]) -> None:
    """Sends again to a target that was switched off because it answered 410."""
    if not await parts.notifications.switch_on(name):
        raise not_there(Words("没有这个通知目标。", "There is no such target."))


def _view(one: Notification) -> NotificationView:
    waits = one.state is State.WAITING
    return NotificationView(
        id=one.id,
        target=one.target,
        message=one.message,
        alert=one.alert,
        work_order=one.work_order,
        community=one.community,
        kind=one.kind,
        colour=Colour(one.colour),
        change=one.transition,
        known_at=said(one.known_at) or "",
        state=one.state,
        tries=one.tries,
        next_at=said(one.next_at) if waits else None,
        settled_at=said(one.settled_at),
        reason=one.reason,
    )


def _target(seen: TargetSeen) -> TargetView:
    return TargetView(
        name=seen.name,
        type=seen.type,
        off=seen.off,
        sent=seen.tries.sent,
        failed=seen.tries.failed,
        last_sent_at=said(seen.tries.last_sent_at),
        reason=seen.tries.reason,
        waiting=seen.waiting,
        oldest_waiting_at=said(seen.oldest_waiting_at),
        given_up=seen.given_up,
    )
