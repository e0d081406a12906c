"""What the API stands on, handed to it whole, and how a route reaches it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from ingest.access_log import AccessLog
from ingest.alerts import Alerts
from ingest.alerts.evidence_keeper import EvidenceKeeper
from ingest.alerts.hindsight import Hindsight
from ingest.alerts.standing import Standing
from ingest.api.feed import Feed
from ingest.api.limits import Limits
from ingest.auditor import Auditor
from ingest.cases import WorkOrders
from ingest.letterbox import Letterbox
from ingest.metrics import Stats
from ingest.notify import Notifications
from ingest.regions import Regions
from ingest.registry import Registry
from ingest.replay import Replays
from ingest.store import Level, PointStore
from ingest.tokens import Tokens
from telemetry.metric import Kind


@dataclass(frozen=True)
class Parts:
    """``clock`` is UTC microseconds. ``failing`` names the parts of the centre that do not work now.

    ``kept_from`` is the first instant that the store still keeps of a kind at a level.
    ``open_metrics``: ``/metrics`` needs no token, because the API is bound to loopback alone.
    """

    alerts: Alerts
    registry: Registry
    store: PointStore
    auditor: Auditor
    replays: Replays
    letterbox: Letterbox
    work_orders: WorkOrders
    notifications: Notifications
    standing: Standing
    hindsight: Hindsight
    evidence: EvidenceKeeper
    access_log: AccessLog
    tokens: Tokens
    clock: Callable[[], int]
    stats: Stats = field(default_factory=Stats)
    feed: Feed = field(default_factory=Feed)
    failing: Callable[[], Collection[str]] = tuple
    kept_from: Callable[[Level, Kind], int] = lambda _level, _kind: 0
    open_metrics: bool = False
    regions: Regions = field(default_factory=Regions)
    limits: Limits | None = None


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Wired = Annotated[Parts, Depends(_parts)]
