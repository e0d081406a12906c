"""``/api/v1/alerts/{id}/assign``, ``.../comment``, and ``/api/v1/alerts/bulk``: what people do with alerts, one or many."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.alerts import deeds
from ingest.alerts.deeds import LONGEST_US, Deed
from ingest.api.alerts import AlertsWanted, AlertView, OneAlert
from ingest.api.auth import Handler
from ingest.api.faults import Unfit
from ingest.api.fields import NO_CONTROLS, Asked, Person
from ingest.api.parts import Wired
from ingest.api.preconditions import Key
from ingest.api.problems import RESPONSES
from ingest.tokens import Grant

router = APIRouter(tags=["alerts"], responses=RESPONSES)

MOST = 500

Note = Annotated[str, Field(max_length=500, pattern=NO_CONTROLS)]


class AssignAsked(Asked):
    """Whose the alert is from now on; `to` is empty to take it back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "王师傅", "by": "值班室", "note": "顺路看一下"}]})

    to: Annotated[str, Field(max_length=64, pattern=NO_CONTROLS)]
    by: Person | None = None
    note: Note = ""


class CommentAsked(Asked):
    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "已联系维保，明早到 / maintenance comes tomorrow"}]})

    text: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_CONTROLS)]
    by: Person | None = None


class Action(StrEnum):
    ACK = "ack"
    ASSIGN = "assign"
    COMMENT = "comment"
    SHELVE = "shelve"


class BulkAsked(Asked):
    """The same for many alerts: those with these `ids`, or the newest that fit `filter`; 500 at most.

    `note` is the acknowledgement's, the comment, or the reason for shelving; `to` and `for_s` belong to `assign` and `shelve`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"action": "ack", "ids": ["6f0e5a41c2b7d9a08e13", "0b1c2d3e4f5a69788796"], "by": "值班室", "note": "已知"},
                {"action": "assign", "filter": {"state": "open", "kind": "sump_high"}, "to": "王师傅"},
            ]
        }
    )

    action: Action
    ids: Annotated[list[Annotated[str, Field(pattern="^[0-9a-f]{20}$")]] | None, Field(min_length=1, max_length=MOST)] = None
    filter: AlertsWanted | None = None
    by: Person | None = None
    note: Note = ""
    to: Annotated[str, Field(max_length=64, pattern=NO_CONTROLS)] | None = None
    for_s: Annotated[int, Field(ge=1, le=LONGEST_US // 1_000_000, description="How long it is shelved.")] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise Unfit("请给 'ids' 或 'filter' 之一", "give 'ids' or 'filter'")
        if self.filter is not None and not self.filter.model_fields_set:
            raise Unfit("空的 'filter' 是全部告警，请说明是哪些", "an empty 'filter' is every alert there is; say which")
        if (self.to is not None) != (self.action is Action.ASSIGN):
            raise Unfit("'to' 属于 'assign'，且必须给出", "'to' belongs to 'assign', and must be there")
        if (self.for_s is not None) != (self.action is Action.SHELVE):
            raise Unfit("'for_s' 属于 'shelve'，且必须给出", "'for_s' belongs to 'shelve', and must be there")
        if self.action in (Action.COMMENT, Action.SHELVE) and not self.note:
            raise Unfit(f"'{self.action}' 需要 'note'", f"'{self.action}' needs a 'note'")
        return self


class BulkItem(BaseModel):
    """`missing`: there is no such alert in the token's scope; `ended`: it is closed or withdrawn. `seq` is the alert's now."""

    id: str
    result: Literal["done", "missing", "ended"]
    seq: int | None


class BulkView(BaseModel):
    """In the order asked. `more`: other alerts fit the filter still; ask again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"id": "6f0e5a41c2b7d9a08e13", "result": "done", "seq": 4711}], "more": False}]
        }
    )

    items: list[BulkItem]
    more: bool


@router.post("/api/v1/alerts/{id}/assign")
async def assign(one: OneAlert, body: AssignAsked) -> AlertView:
    """Says whose the alert is. The journal keeps who said so and to whom."""
    return await one.take(deeds.assigned(body.to, body.by or one.grant.name, body.note))


@router.post("/api/v1/alerts/{id}/comment")
async def comment(one: OneAlert, body: CommentAsked) -> AlertView:
    """Adds a remark to the alert's journal."""
    return await one.take(deeds.commented(body.by or one.grant.name, body.text))


@router.post("/api/v1/alerts/bulk")
async def bulk(
    parts: Wired, grant: Handler, once: Key, body: Annotated[BulkAsked, Body()], _asked: Annotated[Asked, Query()]
) -> BulkView:
    """Acknowledges, assigns, comments or shelves many alerts at once: in one transaction, with an answer for each."""
    ids, more = list(dict.fromkeys(body.ids or ())), False
    if body.filter is not None:
        found, after = await parts.alerts.page(grant.scope, body.filter.filter(), None, MOST)
        ids, more = [alert.id for alert in found], after is not None
    now = parts.clock()
    outcomes = await parts.standing.deeds.do_all(grant.scope, ids, _deed(body, grant, now), now, once)
    parts.feed.beat()
    return BulkView(items=[BulkItem(id=one.id, result=one.result, seq=one.seq) for one in outcomes], more=more)


def _deed(body: BulkAsked, grant: Grant, now: int) -> Deed:
    by = body.by or grant.name
    match body.action:
        case Action.ACK:
            return deeds.acked(by, body.note, now)
        case Action.ASSIGN:
            return deeds.assigned(body.to or "", by, body.note)
        case Action.COMMENT:
            return deeds.commented(by, body.note)
        case Action.SHELVE:
            return deeds.shelved(now + (body.for_s or 0) * 1_000_000, False, by, body.note, now)
