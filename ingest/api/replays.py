"""``/api/v1/replays``: have gateways send again what a store lost."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ingest.api.audit import NOT_HERE, check_span
from ingest.api.auth import Admin
from ingest.api.fields import Asked, Community, Instant, Name, Said, said
from ingest.api.parts import Wired
from ingest.api.preconditions import Key
from ingest.api.problems import RESPONSES, not_there
from ingest.api.readings import narrowed
from ingest.replay import Part, Replay, Stage
from telemetry.identity import Scope
from telemetry.presence import Words

router = APIRouter(tags=["replays"], responses=RESPONSES)

UNKNOWN = Words(
    "在该令牌的范围内没有这次补传；中心端重启后不再记得。",
    "There is no such replay in the token's scope; the centre forgets them when it restarts.",
)


class ReplayAsked(Asked):
    """Batches sealed from one instant on and before another; of one gateway, or of all that the token sees."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from": "2026-11-23T08:00:00Z", "to": "2026-11-23T09:00:00Z"}]})

    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]
    community: Community | None = None
    gateway: Name | None = None


class PartView(BaseModel):
    """One gateway. ``sent``: batches it says it sent; ``came``: those that are here; ``written``: those in the store, with
    ``readings`` that are there now; of ``refused`` the store does not take some reading; ``dropped`` found no room."""

    community: str
    gateway: str
    stage: Stage
    sent: int
    came: int
    written: int
    readings: int
    refused: int
    dropped: int
    problem: str


class ReplayView(BaseModel):
    """`done` when no gateway has more to send; `well` when each has sent all that it keeps and it is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "9f86d081884c7d65",
                    "from": "2026-11-23T08:00:00.000000Z",
                    "to": "2026-11-23T09:00:00.000000Z",
                    "done": True,
                    "well": True,
                    "gateways": [
                        {
                            "community": "411202002001",
                            "gateway": "gw-jianye-1",
                            "stage": "done",
                            "sent": 361,
                            "came": 361,
                            "written": 361,
                            "readings": 4_120,
                            "refused": 0,
                            "dropped": 0,
                            "problem": "",
                        }
                    ],
                }
            ]
        }
    )

    id: str
    since: Said = Field(serialization_alias="from")
    until: Said = Field(serialization_alias="to")
    done: bool
    well: bool
    gateways: list[PartView]


@router.post("/api/v1/replays", status_code=202)
async def open_replay(parts: Wired, grant: Admin, body: ReplayAsked, once: Key, _asked: Annotated[Asked, Query()]) -> ReplayView:
    """Asks gateways to send again what they keep of this time. It goes to the telemetry store, never to the rules."""
    check_span(body.start, body.end, "body")
    scope = Scope(narrowed(grant.scope, body.community))
    refs = [seen.ref for seen in parts.registry.gateways(scope) if body.gateway in (None, seen.ref.gateway)]
    if not refs:
        raise not_there(NOT_HERE)
    return _view(await parts.replays.open_once(refs, body.start, body.end, grant.name, once), grant.scope)


@router.get("/api/v1/replays/{id}")
async def replay(id: str, parts: Wired, grant: Admin, _asked: Annotated[Asked, Query()]) -> ReplayView:
    """How far a replay is; 404 also when no gateway of it is in the token's scope."""
    found = parts.replays.find(id)
    if found is None or not any(grant.scope.covers(ref.community) for ref in found.parts):
        raise not_there(UNKNOWN)
    return _view(found, grant.scope)


def _view(replay: Replay, scope: Scope) -> ReplayView:
    seen = [part for ref, part in replay.parts.items() if scope.covers(ref.community)]
    return ReplayView(
        id=replay.id,
        since=said(replay.start) or "",
        until=said(replay.end) or "",
        done=all(part.over for part in seen),
        well=all(part.stage is Stage.DONE for part in seen),
        gateways=[_part(part) for part in seen],
    )


def _part(part: Part) -> PartView:
    return PartView(
        community=part.ref.community,
        gateway=part.ref.gateway,
        stage=part.stage,
        sent=part.sent,
        came=part.came,
        written=part.written,
        readings=part.readings,
        refused=part.refused,
        dropped=part.dropped,
        problem=part.problem,
    )
