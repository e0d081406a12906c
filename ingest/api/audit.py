"""``/api/v1/audit``: whether anything is missing, and why."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ingest.api.auth import Viewer
from ingest.api.faults import malformed
from ingest.api.fields import Asked, Community, Instant, Name, Said, said
from ingest.api.parts import Wired
from ingest.api.problems import RESPONSES, not_there
from ingest.api.readings import narrowed
from ingest.audit import Audit, Cause, Finding, Pending
from ingest.auditor import whole_hours
from ingest.tally import KEEP_US
from telemetry.identity import Scope
from telemetry.presence import Words

router = APIRouter(tags=["audit"], responses=RESPONSES)

MAX_FINDINGS = 1_000
NOT_AFTER = Words("应晚于 'from'", "it is not after 'from'")
NOT_HERE = Words("在该令牌的范围内没有这个网关。", "There is no such gateway in the token's scope.")


class AuditAsked(Asked):
    start: Annotated[Instant, Field(alias="from", description="From the hour of this instant on.")]
    end: Annotated[Instant, Field(alias="to", description="To the end of the hour in which this instant lies.")]
    community: Community | None = None
    gateway: Name | None = None


class FindingView(BaseModel):
    """What is missing of a gateway between two instants. ``readings`` is null where nobody knows how many."""

    community: str
    gateway: str
    since: Said = Field(serialization_alias="from")
    until: Said = Field(serialization_alias="to")
    readings: int | None
    cause: Cause
    device: str
    reason: str


class PendingView(BaseModel):
    """So many batches were at the gateway when it last said so, and are not durable here."""

    community: str
    gateway: str
    batches: int
    said_at: Said


class AuditView(BaseModel):
    """`accepted`: taken from gateways, set aside, or certified as lost. `stored` is null where the store cannot be counted.

    `proved`: everything was compared and nothing is unexplained. `surplus` is stored and was not counted, which is no loss.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-23T08:00:00.000000Z",
                    "to": "2026-11-23T10:00:00.000000Z",
                    "accepted": 12_345,
                    "stored": 12_305,
                    "missing": 40,
                    "surplus": 0,
                    "unexplained": 0,
                    "proved": True,
                    "findings": [
                        {
                            "community": "411202002001",
                            "gateway": "gw-jianye-1",
                            "from": "2026-11-23T08:10:00.000000Z",
                            "to": "2026-11-23T08:20:00.000000Z",
                            "readings": 40,
                            "cause": "certificate",
                            "device": "b3-meter",
                            "reason": "outbox full",
                        }
                    ],
                    "more_findings": 0,
                    "pending": [],
                }
            ]
        }
    )

    since: Said = Field(serialization_alias="from")
    until: Said = Field(serialization_alias="to")
    accepted: int
    stored: int | None
    missing: int
    surplus: int
    unexplained: int
    proved: bool
    findings: list[FindingView]
    more_findings: int
    pending: list[PendingView]


@router.get("/api/v1/audit")
async def audit(parts: Wired, grant: Viewer, asked: Annotated[AuditAsked, Query()]) -> AuditView:
    """Compares what gateways gave with what is stored, hour by hour: nothing is missing, or this is, and why.

    Two records that know nothing of each other are compared: the count made when a batch was judged, and the telemetry store.
    """
    check_span(asked.start, asked.end, "query")
    wanted = whole_hours(Scope(narrowed(grant.scope, asked.community)), asked.gateway, asked.start, asked.end)
    if not wanted.scope.prefixes or not await parts.auditor.knows(wanted):
        raise not_there(NOT_HERE)
    return _view(wanted.start, wanted.end, await parts.auditor.audit(wanted))


def check_span(start: int, end: int, where: str) -> None:
    """Raises ``RequestValidationError`` for a time that ends before it begins, or is longer than the tally is kept."""
    if start >= end:
        raise malformed(f"{where}.to", NOT_AFTER)
    if end - start > KEEP_US:
        raise malformed(f"{where}.from", Words("最多查看 400 天", "at most 400 days are looked at"))


def _view(start: int, end: int, found: Audit) -> AuditView:
    return AuditView(
        since=said(start) or "",
        until=said(end) or "",
        accepted=found.accepted,
        stored=found.stored,
        missing=found.missing,
        surplus=sum(one.readings or 0 for one in found.findings if one.cause is Cause.SURPLUS),
        unexplained=found.unexplained,
        proved=found.proved,
        findings=[_finding(one) for one in found.findings[:MAX_FINDINGS]],
        more_findings=max(0, len(found.findings) - MAX_FINDINGS),
        pending=[_pending(one) for one in found.pending],
    )


def _finding(one: Finding) -> FindingView:
    return FindingView(
        community=one.ref.community,
        gateway=one.ref.gateway,
        since=said(one.first) or "",
        until=said(one.end) or "",
        readings=one.readings,
        cause=one.cause,
        device=one.device,
        reason=one.reason,
    )


def _pending(one: Pending) -> PendingView:
    return PendingView(community=one.ref.community, gateway=one.ref.gateway, batches=one.batches, said_at=said(one.said_at) or "")
