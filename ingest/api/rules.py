"""``/api/v1/rules`` and ``/api/v1/alerts/{id}/explanation``: rules tried on the past, and why an alert was raised or was not."""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from ingest.alerts.draft import drafted, replayable
from ingest.alerts.explain import Limit, Traced
from ingest.alerts.hindsight import MOST_US, Busy, Where
from ingest.alerts.rehearsal import Compared, Part, Rehearsal, part
from ingest.alerts.rules import Rules
from ingest.alerts.severity import Colour
from ingest.api import cursor as cursors
from ingest.api.alerts import NOT_HERE as NO_ALERT
from ingest.api.audit import NOT_AFTER
from ingest.api.auth import Supervisor, Viewer
from ingest.api.detail import NO_DEVICE
from ingest.api.faults import malformed
from ingest.api.fields import Asked, Community, Instant, Name, Said, WordsView, said
from ingest.api.parts import Parts, Wired
from ingest.api.problems import RESPONSES, Refused, not_there
from ingest.api.readings import narrowed
from ingest.history.retention import PERSONAL
from ingest.tokens import Grant
from telemetry.errors import ConfigInvalid, TooMuch
from telemetry.identity import GatewayRef
from telemetry.metric import Value
from telemetry.presence import Words

router = APIRouter(tags=["rules"], responses=RESPONSES)

LIST = "rules/replay"
NO_RULE = Words("没有这条规则。", "There is no such rule.")
NO_COMMUNITY = Words("在该令牌的范围内没有这个小区。", "There is no such community in the token's scope.")
ABSENCE = Words(
    "失联类规则按网关批次的到达时间判断，无法回放。",
    "An absence is judged by when its gateway's batches came; it cannot be replayed.",
)
BUSY = Words("另一次规则回放正在进行，请稍后再试。", "Another replay of rules is under way; ask again when it is done.")
SEVERAL = Words("多个设备用此编号，请同时给出小区和网关", "several devices have this id; name the community and the gateway")
RuleName = Annotated[str, Field(pattern=r"^[a-z0-9_]{3,64}$")]


class ReplayAsked(Asked):
    start: Annotated[Instant, Field(alias="from", description="From this instant on.")]
    end: Annotated[Instant, Field(alias="to", description="Before this instant; at most 31 days after `from`.")]
    community: Community | None = None
    gateway: Name | None = None
    device: Name | None = None
    cursor: Annotated[
        str | None, Field(min_length=1, description="The `next` of the page before, asked with the rest alike.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 500


class DraftAsked(ReplayAsked):
    """Rules to be tried: a rules file's YAML with `rules` alone; schedules, calendars and lists are those in force, by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-16T00:00:00Z",
                    "to": "2026-11-23T00:00:00Z",
                    "rules": "rules: [{id: sump_high, kind: sump_high, family: environment, colour: yellow, ...}]",
                }
            ]
        }
    )

    rules: Annotated[str, Field(min_length=1, max_length=60_000)]


class WouldView(BaseModel):
    """An alert that would have been raised; `fired` is the id of the one that was, null when there was none."""

    rule: str
    community: str
    gateway: str
    device: str
    subject: str
    discriminator: str
    colour: Colour
    opened_at: Said
    cleared_at: Said | None
    count: int
    value: Value | None
    limit: Value | None
    fired: str | None


class ReplayView(BaseModel):
    """`flood_minutes`: for how long more than ten alerts lay within ten minutes. `top`: the devices with the most, and how many.
    `fired`: how many alerts of these rules were raised then. `items`: those that would have been, oldest first; `missed`: ids of
    those that were and would not have been, of the same time as `items`. All figures are of the whole, whatever the page; `more`
    follow, and `next` is the `cursor` of the page after, null when this was the last."""

    since: Said = Field(serialization_alias="from")
    until: Said = Field(serialization_alias="to")
    readings: int
    alerts: int
    per_day: float
    days: dict[str, int]
    flood_minutes: int
    top: list[tuple[str, int]]
    fired: int
    both: int
    only_replayed: int
    missed: list[str]
    items: list[WouldView]
    more: int
    next: str | None


class LimitView(BaseModel):
    value: float
    clause: str
    valid_from: str | None
    valid_to: str | None


class TracedView(BaseModel):
    """A reading and the rule's phase after it; with an empty `device` the passing of time. `change`: raise, grade or clear."""

    at: Said
    device: str
    values: dict[str, Value]
    phase: str
    change: str


class JournalView(BaseModel):
    transition: str
    event_at: Said
    known_at: Said
    actor: str
    note: str


class HealthView(BaseModel):
    """What the centre knows of the device and its gateway now; null: nothing yet."""

    device_online: bool | None
    device_last_seen: Said | None
    gateway_online: bool


class HeldView(BaseModel):
    """What stood between the alert and people."""

    suppressed_by: str
    collapsed_into: str
    shelved_until: Said | None
    shelf_reason: str
    flapping: bool
    drill: bool


class ExplanationView(BaseModel):
    """Why an alert was raised. `rule` is the rule's text of today, null when it is gone; `rule_version` is the one by which the
    alert was raised and `rule_version_now` today's."""

    alert: str
    sentence: WordsView
    rule: dict[str, Any] | None
    rule_version: str
    rule_version_now: str
    limit: LimitView | None
    trace: list[TracedView]
    held_back: HeldView
    health: HealthView
    journal: list[JournalView]


class ReasonsView(BaseModel):
    """Why a rule had raised nothing at an instant, or that it had. `phase`: clear, pending, firing or easing; `heard_at` is the
    newest reading that it went by."""

    rule: dict[str, Any]
    rule_version: str
    device: str
    at: Said
    phase: str
    heard_at: Said | None
    reasons: list[WordsView]
    limit: LimitView | None
    trace: list[TracedView]
    health: HealthView


class WhyNotAsked(Asked):
    device: Name
    at: Instant
    community: Community | None = None
    gateway: Name | None = None


@router.get("/api/v1/rules/{rule}/replay")
async def replay(rule: RuleName, parts: Wired, grant: Supervisor, asked: Annotated[ReplayAsked, Query()]) -> ReplayView:
    """What one rule in force would have raised over stored readings, beside what it raised then. Nothing is changed by it."""
    watcher = parts.hindsight.rules.watchers.get(rule)
    if watcher is None:
        raise not_there(NO_RULE)
    if not replayable(watcher.rule):
        raise Refused(409, "not-replayable", ABSENCE)
    return await _replayed(parts, grant, asked, Rules([watcher], parts.hindsight.rules.kinds.values()), "query")


@router.post("/api/v1/rules/replay")
async def replay_draft(
    parts: Wired, grant: Supervisor, _asked: Annotated[Asked, Query()], body: Annotated[DraftAsked, Body()]
) -> ReplayView:
    """The same of rules that are not in force: to see what they would do before they are."""
    try:
        rules = await asyncio.to_thread(drafted, body.rules, parts.hindsight.rules)
    except ConfigInvalid as error:
        faults = [{"loc": ("body", one.file, one.path), "msg": one.reason} for one in error.problems]
        raise RequestValidationError(faults) from error
    return await _replayed(parts, grant, body, rules, "body")


@router.get("/api/v1/alerts/{id}/explanation")
async def explanation(
    id: str, request: Request, parts: Wired, grant: Viewer, _asked: Annotated[Asked, Query()]
) -> ExplanationView:
    """Why an alert was raised: the rule, the limit in force, the readings that decided, and what held it back from people."""
    try:
        found = await parts.hindsight.explain(grant.scope, id)
    except TooMuch as error:
        raise _too_much(error) from error
    if found is None:
        raise not_there(NO_ALERT)
    alert = found.alert
    _note(request, parts, alert.rule)
    return ExplanationView(
        alert=alert.id,
        sentence=WordsView.of(found.sentence),
        rule=msgspec.json.decode(found.rule) if found.rule else None,
        rule_version=alert.rule_version,
        rule_version_now=found.version,
        limit=_limit(found.limit),
        trace=[_traced(one) for one in found.trace],
        held_back=HeldView(
            suppressed_by=alert.suppressed_by,
            collapsed_into=alert.collapsed_into,
            shelved_until=said(alert.shelved_until),
            shelf_reason=alert.shelf_reason,
            flapping=alert.flapping,
            drill=alert.drill,
        ),
        health=_health(parts, GatewayRef(alert.community, alert.gateway), alert.device),
        journal=[
            JournalView(
                transition=line.transition,
                event_at=said(line.event_at) or "",
                known_at=said(line.known_at) or "",
                actor=line.actor,
                note=line.note,
            )
            for line in found.journal
        ],
    )


@router.get("/api/v1/rules/{rule}/explanation")
async def why_not(
    rule: RuleName, request: Request, parts: Wired, grant: Viewer, asked: Annotated[WhyNotAsked, Query()]
) -> ReasonsView:
    """Why a rule had raised nothing for a device at an instant, or that it had."""
    ref = _gateway_of(parts, grant, asked)
    try:
        found = await parts.hindsight.explain_silence(rule, ref, asked.device, asked.at)
    except TooMuch as error:
        raise _too_much(error) from error
    if found is None:
        raise not_there(NO_RULE)
    _note(request, parts, rule)
    return ReasonsView(
        rule=msgspec.json.decode(found.rule),
        rule_version=found.version,
        device=asked.device,
        at=said(asked.at) or "",
        phase=found.phase,
        heard_at=said(found.heard),
        reasons=[WordsView(zh=one.zh, en=one.en) for one in found.reasons],
        limit=_limit(found.limit),
        trace=[_traced(one) for one in found.trace],
        health=_health(parts, ref, asked.device),
    )


async def _replayed(parts: Parts, grant: Grant, asked: ReplayAsked, rules: Rules, where: str) -> ReplayView:
    if asked.start >= asked.end:
        raise malformed(f"{where}.to", NOT_AFTER)
    if asked.end - asked.start > MOST_US:
        raise malformed(f"{where}.from", Words("最多回放 31 天", "at most 31 days are replayed"))
    communities = narrowed(grant.scope, asked.community)
    if not communities:
        raise not_there(NO_COMMUNITY)
    after = cursors.read(asked.cursor, LIST, grant.digest, f"{where}.cursor")
    place = Where(communities, asked.gateway, asked.device)
    try:
        found = await parts.hindsight.rehearse(rules, place, asked.start, asked.end, anew=after is None)
    except TooMuch as error:
        cure = Words(f"{error}；请缩短时间，或只选一个网关或设备", f"{error}: ask for a shorter time, or one gateway or device")
        raise malformed(f"{where}.from", cure) from error
    except Busy as error:
        raise Refused(409, "busy", BUSY) from error
    shown = part(found, after, asked.limit)
    return _view(asked, found, shown, cursors.write(shown.after, LIST, grant.digest) if shown.after else None)


def _note(request: Request, parts: Parts, rule: str) -> None:
    """Who reads the readings that a rule judged reads who was where, where they say it: the access log has it."""
    watcher = parts.hindsight.rules.watchers.get(rule)
    request.state.personal = watcher is None or not PERSONAL.isdisjoint(watcher.rule.applies_to.kinds)


def _too_much(error: TooMuch) -> Refused:
    return Refused(409, "too-much", Words(f"无法解释: {error}。", f"It cannot be explained: {error}."))


def _view(asked: ReplayAsked, found: Rehearsal, shown: Part, following: str | None) -> ReplayView:
    return ReplayView(
        since=said(asked.start) or "",
        until=said(asked.end) or "",
        readings=found.readings,
        alerts=found.alerts,
        per_day=found.per_day,
        days=dict(found.days),
        flood_minutes=found.flood_minutes,
        top=list(found.top),
        fired=found.fired,
        both=found.both,
        only_replayed=found.alerts - found.both,
        missed=list(shown.missed),
        items=[_would(one) for one in shown.alerts],
        more=shown.more,
        next=following,
    )


def _would(one: Compared) -> WouldView:
    alert = one.episode.alert
    return WouldView(
        rule=alert.rule,
        community=alert.community,
        gateway=alert.gateway,
        device=alert.device,
        subject=one.key.subject,
        discriminator=one.key.discriminator,
        colour=alert.colour,
        opened_at=said(alert.opened_at) or "",
        cleared_at=said(one.episode.over_at),
        count=alert.count,
        value=alert.value,
        limit=alert.limit,
        fired=one.fired or None,
    )


def _limit(limit: Limit | None) -> LimitView | None:
    return LimitView(**limit._asdict()) if limit else None


def _traced(one: Traced) -> TracedView:
    return TracedView(at=said(one.at) or "", device=one.device, values=dict(one.values), phase=one.phase, change=one.change)


def _health(parts: Parts, ref: GatewayRef, name: str) -> HealthView:
    seen = parts.registry.device(ref, name)
    return HealthView(
        device_online=seen.online if seen else None,
        device_last_seen=said(seen.last_seen) if seen else None,
        gateway_online=parts.registry.is_online(ref),
    )


def _gateway_of(parts: Parts, grant: Grant, asked: WhyNotAsked) -> GatewayRef:
    """The gateway of the device asked about; 404 outside the scope, 400 when it is not the only one of its name."""
    refs = [
        seen.ref
        for seen in parts.registry.devices(grant.scope)
        if seen.device.id == asked.device
        and asked.community in (None, seen.ref.community)
        and asked.gateway in (None, seen.ref.gateway)
    ]
    if not refs:
        raise not_there(NO_DEVICE)
    if len(refs) > 1:
        raise malformed("query.device", SEVERAL)
    return refs[0]
