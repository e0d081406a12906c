"""The rooms behind the API over a database and a store of a test's own, joined as the service joins them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ingest.access_log import AccessLog
from ingest.alerts import AlertEngine, Alerts, load_rules
from ingest.alerts.evidence_keeper import EvidenceKeeper
from ingest.alerts.hindsight import Hindsight
from ingest.alerts.past import Past
from ingest.alerts.standing import standing_of
from ingest.api import Parts
from ingest.auditor import Auditor
from ingest.cases import Terms, WorkOrders
from ingest.cases.hours import AroundTheClock
from ingest.database import Database
from ingest.letterbox import Letterbox
from ingest.metrics import Stats
from ingest.notify import Notifications, Notifier, Notify
from ingest.registry import Registry
from ingest.replay import Replays
from ingest.store import PointStore
from ingest.tokens import Tokens
from telemetry.identity import GatewayRef
from telemetry.reading import Micros

KEY = b"k" * 32
"""Every gateway's."""

NOBODY = Notify()
"""Is told anything."""


class Rooms(NamedTuple):
    """``commands`` are those that would go out to gateways."""

    parts: Parts
    engine: AlertEngine
    notifier: Notifier
    commands: "asyncio.Queue[tuple[GatewayRef, bytes]]"


def rooms(
    folder: Path,
    database: Database,
    store: PointStore,
    registry: Registry,
    tokens: Tokens,
    clock: Callable[[], Micros],
    notify: Notify = NOBODY,
    rules_text: str = "rules: []",
) -> Rooms:
    """Nothing is opened yet."""
    (folder / "rules.yaml").write_text(rules_text, encoding="utf-8")
    rules = load_rules([folder / "rules.yaml"])
    notifier = Notifier(notify, folder.joinpath, database, clock)
    engine = AlertEngine(rules, database, registry, notifier.wake, notifier.told)
    commands: asyncio.Queue[tuple[GatewayRef, bytes]] = asyncio.Queue(100)
    stats = Stats()
    parts = Parts(
        Alerts(database, notifier.told),
        registry,
        store,
        Auditor(database, store, registry, engine.watermarks, settle_s=0.2),
        Replays(store, database, commands, lambda ref: KEY, registry.is_online, stats, clock),
        Letterbox(database, store, clock),
        WorkOrders(database, Terms(AroundTheClock())),
        Notifications(database, notify.targets, notifier.standing, notifier.wake),
        standing_of(database, notifier.told),
        Hindsight(rules, database, registry, Past(store, lambda kind: 0)),
        EvidenceKeeper(database, store, registry, clock),
        AccessLog(database, clock, kept_days=200),
        tokens,
        clock,
        stats,
    )
    return Rooms(parts, engine, notifier, commands)
