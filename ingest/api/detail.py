"""``/api/v1/devices/{community}/{gateway}/{device}`` and ``/api/v1/gateways/{community}/{gateway}``: all that the desk needs of
one: how it is, what it said last, what is wrong there, what was lost."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ingest import store
from ingest.alerts.rules import Watcher
from ingest.alerts.severity import Colour
from ingest.api.alerts import AlertView
from ingest.api.alerts import view as alert_view
from ingest.api.auth import Viewer
from ingest.api.fields import Asked, Community, Name, Said, WordsView, said
from ingest.api.parts import Parts, Wired
from ingest.api.preconditions import unless_known
from ingest.api.presence import DeviceView, GatewayView, device_view, gateway_view
from ingest.api.problems import RESPONSES, not_there
from ingest.api.standing import WordView
from ingest.history.retention import PERSONAL
from ingest.registry import DeviceSeen
from ingest.store import Row
from ingest.tally import Certificate
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import Value
from telemetry.presence import Words

router = APIRouter(tags=["devices"], responses=RESPONSES)

NO_DEVICE = Words("在该令牌的范围内没有这个设备。", "There is no such device in the token's scope.")
NO_GATEWAY = Words("在该令牌的范围内没有这个网关。", "There is no such gateway in the token's scope.")
HOUR_US = 3_600_000_000
BACK_US = 24 * HOUR_US
"""How far the last words are looked for of a device that has said nothing since the centre started."""

MOST_WORDS, MOST_ALERTS, MOST_LOSSES = 500, 100, 20

UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "It is what `If-None-Match` names."}}
Known = Annotated[str | None, Header(alias="If-None-Match", max_length=200, description="The `ETag` of what is known already.")]


def _example(view: type[BaseModel]) -> dict[str, Any]:
    shown: dict[str, Any] = view.model_json_schema()["examples"][0]
    return shown


class LossView(BaseModel):
    """`readings` of `device` (`*`: of any) in that time are lost: the gateway gave them up and said so."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "device": "b3-pump-level",
                    "from": "2026-11-23T07:00:00.000000Z",
                    "to": "2026-11-23T07:10:00.000000Z",
                    "readings": 40,
                    "reason": "outbox full",
                    "certified_at": "2026-11-23T07:10:02.000000Z",
                }
            ]
        },
        populate_by_name=True,
    )

    device: str
    since: Annotated[Said, Field(alias="from")]
    to: Said
    readings: int
    reason: str
    certified_at: Said


class WatchView(BaseModel):
    """A rule that watches the device, and its text as it counts here: `rule_version` names it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rule": "sump_high",
                    "kind": "sump_high",
                    "colour": "yellow",
                    "title": {"zh": "集水井水位高", "en": "High water in the sump"},
                    "rule_version": "9f86d081884c",
                }
            ]
        }
    )

    rule: str
    kind: str
    colour: Colour
    title: WordsView
    rule_version: str


class DeviceWhole(DeviceView):
    """A device with what it said last (`readings`, each metric once), the alerts whose condition holds there, the rules that
    watch it, and what is certified as lost of it, the latest 20."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_example(DeviceView),
                    "gateway_online": True,
                    "readings": [
                        {"at": "2026-11-23T08:00:00.123456Z", "metric": "level", "value": 1.62, "quality": "good", "reason": ""}
                    ],
                    "alerts": [_example(AlertView)],
                    "rules": [_example(WatchView)],
                    "losses": [_example(LossView)],
                }
            ]
        }
    )

    gateway_online: bool
    readings: list[WordView]
    alerts: list[AlertView]
    rules: list[WatchView]
    losses: list[LossView]


class GatewayWhole(GatewayView):
    """A gateway with what it said last of itself (`health`), how many of its devices do not answer, how many sealed batches it
    still held by its last word, the alerts whose condition holds there or behind it (the newest 100), and what it certified as
    lost, the latest 20."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_example(GatewayView),
                    "config_hash": "9f86d081884c7d65",
                    "health": {"oldest_unsent": 1.4, "clock_offset": 0.003},
                    "devices_offline": 1,
                    "unsent_batches": 0,
                    "alerts": [_example(AlertView)],
                    "losses": [_example(LossView)],
                }
            ]
        }
    )

    config_hash: str
    health: dict[str, Value]
    devices_offline: int
    unsent_batches: int
    alerts: list[AlertView]
    losses: list[LossView]


@router.get("/api/v1/devices/{community}/{gateway}/{device}", response_model=DeviceWhole, responses=UNCHANGED)
async def one_device(
    community: Community,
    gateway: Name,
    device: Name,
    request: Request,
    parts: Wired,
    grant: Viewer,
    response: Response,
    _asked: Annotated[Asked, Query()],
    _known: Known = None,
) -> BaseModel | Response:
    """One device and all that is known of it; `ETag` and `If-None-Match` as usual. 404 also when it is outside the scope."""
    ref = GatewayRef(community, gateway)
    seen = parts.registry.device(ref, device) if grant.scope.covers(community) else None
    if seen is None:
        raise not_there(NO_DEVICE)
    rows = await _last_words(parts, seen)
    request.state.personal = bool(rows) and seen.device.kind in PERSONAL
    whole = DeviceWhole(
        **device_view(seen).model_dump(),
        gateway_online=parts.registry.is_online(ref),
        readings=[WordView.model_validate(row, from_attributes=True) for row in rows],
        alerts=[alert_view(one) for one in await parts.alerts.standing(ref, device, MOST_ALERTS)],
        rules=[_watch(one) for one in _watching(parts, seen)],
        losses=_losses(await parts.auditor.losses(ref, device, MOST_LOSSES)),
    )
    return unless_known(request, response, whole)


@router.get("/api/v1/gateways/{community}/{gateway}", response_model=GatewayWhole, responses=UNCHANGED)
async def one_gateway(
    community: Community,
    gateway: Name,
    request: Request,
    parts: Wired,
    grant: Viewer,
    response: Response,
    _asked: Annotated[Asked, Query()],
    _known: Known = None,
) -> BaseModel | Response:
    """One gateway and all that is known of it; `ETag` and `If-None-Match` as usual. 404 also when it is outside the scope."""
    ref = GatewayRef(community, gateway)
    seen = parts.registry.gateway(ref) if grant.scope.covers(community) else None
    if seen is None:
        raise not_there(NO_GATEWAY)
    state, behind = parts.registry.state(ref), parts.registry.devices(Scope([community]))
    pending = await parts.auditor.pending(Scope([community]), gateway)
    whole = GatewayWhole(
        **gateway_view(seen).model_dump(),
        config_hash=state.config_hash if state else "",
        health=dict(sorted(seen.health.items())),
        devices_offline=sum(one.ref == ref and one.online is False for one in behind),
        unsent_batches=sum(one.batches for one in pending if one.ref == ref),
        alerts=[alert_view(one) for one in await parts.alerts.standing(ref, None, MOST_ALERTS)],
        losses=_losses(await parts.auditor.losses(ref, None, MOST_LOSSES)),
    )
    return unless_known(request, response, whole)


async def _last_words(parts: Parts, seen: DeviceSeen) -> list[Row]:
    """The newest row of each metric, by its name: what has not changed is said again well within an hour."""
    start = parts.clock() - BACK_US if seen.last_seen is None else seen.last_seen - HOUR_US
    ref = seen.ref
    asked = store.Query((ref.community,), seen.device.id, seen.device.kind, start=start, limit=MOST_WORDS, gateway=ref.gateway)
    rows = await parts.store.read(asked)
    newest = {row.metric: row for row in reversed(rows)}
    return [newest[metric] for metric in sorted(newest)]


def _watching(parts: Parts, seen: DeviceSeen) -> Iterable[Watcher]:
    rules, community, device = parts.hindsight.rules, seen.ref.community, seen.device
    yield from rules.watching(device.kind, community, device.id, device, device.zone)
    yield from rules.missing(community, device)


def _watch(watcher: Watcher) -> WatchView:
    rule = watcher.rule
    title = WordsView.of(rule.title)
    return WatchView(rule=rule.id, kind=rule.kind, colour=rule.colour, title=title, rule_version=watcher.version)


def _losses(certificates: Iterable[Certificate]) -> list[LossView]:
    return [
        LossView(
            device=one.device,
            since=said(one.first) or "",
            to=said(one.last) or "",
            readings=one.readings,
            reason=one.reason,
            certified_at=said(one.at) or "",
        )
        for one in certificates
    ]
