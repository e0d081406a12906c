"""``/api/v1/alerts/{id}/...``: shelving, journal, evidence."""

import json
from typing import Annotated, Any, Self

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.alerts import deeds
from ingest.alerts.deeds import LONGEST_US
from ingest.alerts.evidence import Evidence
from ingest.alerts.evidence_keeper import Kept
from ingest.api.alerts import NOT_HERE, AlertView, OneAlert
from ingest.api.auth import Viewer, WholeAdmin
from ingest.api.checks import CheckView, check_view
from ingest.api.faults import Unfit
from ingest.api.fields import NO_CONTROLS, Asked, Instant, Person, Said, SignedBy, said
from ingest.api.parts import Wired
from ingest.api.problems import RESPONSES, Refused, not_there
from telemetry.metric import Value
from telemetry.presence import Words

router = APIRouter(tags=["alerts"], responses=RESPONSES)

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_CONTROLS)]

PAST = Words("搁置的截止时间已过。", "`until` is not after now.")


class ShelveAsked(Asked):
    """Until an instant, or with `until_normal` as long as the condition stands; 24 hours at most."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"until_normal": True, "reason": "闭门器待修 / closer on order", "by": "王师傅"}]}
    )

    until: Instant | None = None
    until_normal: bool = False
    reason: Reason
    by: Person | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.until is None and not self.until_normal:
            raise Unfit(
                "请说明何时结束: 'until'，或 'until_normal': true", "say when it ends: give 'until', or 'until_normal': true"
            )
        return self


class LineView(BaseModel):
    """One change of an alert: when it happened, when it was known, by whom and why. `rule_version` names the rule's text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "seq": 42,
                    "transition": "opened",
                    "event_at": "2026-11-23T08:00:00.123456Z",
                    "known_at": "2026-11-23T08:00:00.200000Z",
                    "actor": "machine",
                    "note": "",
                    "colour": "yellow",
                    "state": "open",
                    "rule_version": "9f86d081884c",
                    "digest": "9f86d081…",
                }
            ]
        }
    )

    seq: int
    transition: str
    event_at: Said
    known_at: Said
    actor: str
    note: str
    colour: str
    state: str
    rule_version: str
    digest: str


class JournalAsked(Asked):
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class JournalView(BaseModel):
    """The newest changes, oldest first."""

    items: list[LineView]


class WordView(BaseModel):
    at: Said
    metric: str
    value: Value | None
    quality: str
    reason: str


class EvidenceView(BaseModel):
    """`readings` are those of the device, oldest first; `cut` when there were more than 100 before or after the alert.

    `qualities` counts them by quality; `gateway` is what the gateway had last said of itself; `rule` is the text that counted,
    null when it is not known any more. `forgotten`: its readings said who was where, and their time is over.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "alert": "6f0e5a41c2b7d9a08e13",
                    "due_at": None,
                    "gathered_at": "2026-11-23T08:05:31.000000Z",
                    "rule_version": "9f86d081884c",
                    "rule": {"id": "sump_high", "when": {"type": "threshold", "metric": "level", "raise_at": 1.5}},
                    "clause": "",
                    "value": 1.62,
                    "limit": 1.5,
                    "readings": [
                        {"at": "2026-11-23T08:00:00.123456Z", "metric": "level", "value": 1.62, "quality": "good", "reason": ""}
                    ],
                    "cut": False,
                    "qualities": {"good": 1},
                    "gateway": [],
                    "profile": "level-4-20ma",
                    "profile_version": 1,
                    "unit": "SN-20931",
                    "forgotten": False,
                }
            ]
        }
    )

    alert: str
    due_at: Said | None
    gathered_at: Said | None
    rule_version: str
    rule: dict[str, Any] | None
    clause: str
    value: Value | None
    limit: Value | None
    readings: list[WordView]
    cut: bool
    qualities: dict[str, int]
    gateway: list[WordView]
    profile: str
    profile_version: int
    unit: str
    forgotten: bool


@router.get("/api/v1/alerts/check")
async def check(parts: Wired, _grant: WholeAdmin, _asked: Annotated[Asked, Query()]) -> CheckView:
    """Whether the journal of all alerts is what was written: nothing changed, put in, taken out. It reads all of it."""
    return check_view(await parts.standing.chronicle.check())


@router.get("/api/v1/alerts/{id}/journal")
async def journal(id: str, parts: Wired, grant: Viewer, asked: Annotated[JournalAsked, Query()]) -> JournalView:
    """Everything that became of an alert, by machines and people."""
    lines = await parts.standing.chronicle.of(grant.scope, id, asked.limit)
    if lines is None:
        raise not_there(NOT_HERE)
    return JournalView(items=[LineView.model_validate(line, from_attributes=True) for line in lines])


@router.get("/api/v1/alerts/{id}/evidence")
async def evidence(id: str, request: Request, parts: Wired, grant: Viewer, _asked: Annotated[Asked, Query()]) -> EvidenceView:
    """What an alert stood on: readings of five minutes before and after it, its rule as it then was, how the device was.

    Gathered once, some minutes after the alert, and kept with it; until then `gathered_at` is null.
    """
    kept = await parts.evidence.of(grant.scope, id)
    if kept is None:
        raise not_there(NOT_HERE)
    request.state.personal = kept.evidence is not None and kept.evidence.personal
    return _evidence(kept)


@router.post("/api/v1/alerts/{id}/shelve")
async def shelve(one: OneAlert, body: Annotated[ShelveAsked, Body()]) -> AlertView:
    """Keeps an alert from people for a while. It stays in every list; when the time is over and it still stands, it is told.

    Shelved again it is shelved anew.
    """
    until = one.now + LONGEST_US if body.until is None else body.until
    if until <= one.now:
        raise Refused(409, "shelf-past", PAST)
    return await one.take(deeds.shelved(until, body.until_normal, body.by or one.grant.name, body.reason, one.now))


@router.post("/api/v1/alerts/{id}/unshelve")
async def unshelve(one: OneAlert, body: Annotated[SignedBy | None, Body()] = None) -> AlertView:
    """Ends a shelf before its time. An alert that still stands is told again."""
    return await one.take(deeds.unshelved((body.by if body else None) or one.grant.name))


def _evidence(kept: Kept) -> EvidenceView:
    it, found = kept.alert, kept.evidence or Evidence(gathered_at=0, start=0, end=0)
    return EvidenceView(
        alert=it.id,
        due_at=said(kept.due_at),
        gathered_at=said(found.gathered_at) if kept.evidence else None,
        rule_version=it.rule_version,
        rule=json.loads(kept.rule_text) if kept.rule_text else None,
        clause=it.clause,
        value=it.value,
        limit=it.limit,
        readings=[WordView.model_validate(word, from_attributes=True) for word in found.readings],
        cut=found.cut,
        qualities=dict(found.qualities),
        gateway=[WordView.model_validate(word, from_attributes=True) for word in found.gateway],
        profile=found.profile,
        profile_version=found.profile_version,
        unit=found.unit,
        forgotten=found.forgotten,
    )
