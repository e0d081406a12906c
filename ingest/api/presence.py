"""``/api/v1/devices`` and ``/api/v1/gateways``: what exists and whether it is heard."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from ingest.api.auth import Viewer
from ingest.api.fields import Asked, Community, Name, Said, WordsView, said
from ingest.api.parts import Wired
from ingest.api.problems import RESPONSES
from ingest.registry import DeviceSeen, GatewaySeen
from telemetry.metric import Kind, Value

router = APIRouter(tags=["devices"], responses=RESPONSES)


class DevicesAsked(Asked):
    community: Community | None = None
    gateway: Name | None = None
    kind: Kind | None = None
    online: bool | None = None


class DeviceView(BaseModel):
    """A place and the hardware now there. ``online`` is null while nothing was heard since the centre started.

    ``metrics`` maps each metric that the device can say to its unit.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "b3-pump-level",
                    "kind": "environment",
                    "community": "411202002001",
                    "gateway": "gw-jianye-1",
                    "profile": "level-qdy30a",
                    "profile_version": 1,
                    "unit": "QDY-2024-0117",
                    "place": {"zh": "3号楼水泵房", "en": "Building 3 pump room"},
                    "zone": "b3-pump-room",
                    "metrics": {"level": "m"},
                    "online": True,
                    "last_seen": "2026-11-23T08:00:00.123456Z",
                }
            ]
        }
    )

    id: str
    kind: str
    community: str
    gateway: str
    profile: str
    profile_version: int
    unit: str
    place: WordsView
    zone: str
    metrics: dict[str, str]
    online: bool | None
    last_seen: Said | None


class Devices(BaseModel):
    items: list[DeviceView]


class GatewaysAsked(Asked):
    community: Community | None = None
    online: bool | None = None


class GatewayView(BaseModel):
    """A gateway. ``since``: it has been online, or offline, since then. ``oldest_unsent_s``: age of its oldest reading not
    yet acknowledged; ``clock_offset_s``: the centre's clock minus its own; both as it said last, null until it does."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "gw-jianye-1",
                    "community": "411202002001",
                    "online": True,
                    "since": "2026-11-23T07:12:00.000000Z",
                    "last_seen": "2026-11-23T08:00:00.123456Z",
                    "software": "0.1.0",
                    "devices": 10,
                    "oldest_unsent_s": 1.4,
                    "clock_offset_s": 0.003,
                }
            ]
        }
    )

    id: str
    community: str
    online: bool
    since: Said | None
    last_seen: Said | None
    software: str
    devices: int
    oldest_unsent_s: Value | None
    clock_offset_s: Value | None


class Gateways(BaseModel):
    items: list[GatewayView]


@router.get("/api/v1/devices")
async def devices(parts: Wired, grant: Viewer, asked: Annotated[DevicesAsked, Query()]) -> Devices:
    """The devices of the token's communities, by community, gateway and id."""
    return Devices(
        items=[
            device_view(seen)
            for seen in parts.registry.devices(grant.scope)
            if asked.community in (None, seen.ref.community)
            and asked.gateway in (None, seen.ref.gateway)
            and asked.kind in (None, seen.device.kind)
            and asked.online in (None, seen.online)
        ]
    )


@router.get("/api/v1/gateways")
async def gateways(parts: Wired, grant: Viewer, asked: Annotated[GatewaysAsked, Query()]) -> Gateways:
    """The gateways of the token's communities."""
    return Gateways(
        items=[
            gateway_view(seen)
            for seen in parts.registry.gateways(grant.scope)
            if asked.community in (None, seen.ref.community) and asked.online in (None, seen.online)
        ]
    )


def device_view(seen: DeviceSeen) -> DeviceView:
    device = seen.device
    return DeviceView(
        id=device.id,
        kind=device.kind,
        community=seen.ref.community,
        gateway=seen.ref.gateway,
        profile=device.profile,
        profile_version=device.profile_version,
        unit=device.unit,
        place=WordsView.of(device.place),
        zone=device.zone,
        metrics=device.metrics,
        online=seen.online,
        last_seen=said(seen.last_seen),
    )


def gateway_view(seen: GatewaySeen) -> GatewayView:
    return GatewayView(
        id=seen.ref.gateway,
        community=seen.ref.community,
        online=seen.online,
        since=said(seen.since) if seen.since else None,
        last_seen=said(seen.last_seen),
        software=seen.software,
        devices=seen.devices,
        oldest_unsent_s=seen.health.get("oldest_unsent"),
        clock_offset_s=seen.health.get("clock_offset"),
    )
