"""A small community for tests of alerts: readings in seconds, batches as a gateway would seal them, a real database."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ingest.alerts import AlertEngine, Alerts, Rules, load_rules
from ingest.alerts.alerts import AlertFilter
from ingest.alerts.episode import Alert
from ingest.arrival import Arrival
from ingest.database import Database
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.presence import Device, Words
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

COMMUNITY = "411202002001"
GATEWAY = "gw-test-1"
REF = GatewayRef(COMMUNITY, GATEWAY)
BASE = 1_790_000_000_000_000
DELAY_US = 100_000
KEY = b"k" * 32


def instant(seconds: float) -> int:
    return BASE + round(seconds * 1_000_000)


def seconds(at: int | None) -> float | None:
    return None if at is None else (at - BASE) / 1_000_000


def device(id: str, kind: Kind, zone: str = "", **more: Any) -> Device:
    return Device(id=id, kind=kind, profile=more.pop("profile", "test"), zone=zone, place=Words(f"{id}处", f"the {id}"), **more)


class Inventory:
    """A ``Directory`` of fixed devices."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self.devices = {one.id: one for one in devices}

    def find(self, ref: GatewayRef, device: str) -> Device | None:
        return self.devices.get(device) if ref == REF else None

    def zone_of(self, ref: GatewayRef, device: str) -> str:
        found = self.find(ref, device)
        return found.zone if found else ""

    def edition(self, ref: GatewayRef) -> object:
        return self.devices


class Feed:
    """Numbers batches as a gateway does: one sequence for each epoch and lane."""

    def __init__(self) -> None:
        self._seqs: dict[Stream, int] = {}
        self.epoch = 1

    def batch(self, *readings: Reading, lane: str | None = None, delay_us: int = DELAY_US) -> Arrival:
        urgent = any(one.kind in (Kind.ACCESS, Kind.SAFETY) or "event" in one.values for one in readings)
        stream = Stream(COMMUNITY, GATEWAY, f"{self.epoch:016x}", lane or ("urgent" if urgent else "bulk"))
        self._seqs[stream] = self._seqs.get(stream, 0) + 1
        newest = max((one.at for one in readings), default=BASE)
        return Arrival(stream, self._seqs[stream], readings, Micros(newest + delay_us))


def reading(at_s: float, device: str, kind: Kind, values: Mapping[str, Any], said: str = "") -> Reading:
    quality = {"silent": Quality.BAD, "stale": Quality.STALE}.get(said, Quality.GOOD)
    faults = {"*": "no answer"} if said == "silent" else None
    return Reading(device=device, kind=kind, at=instant(at_s), values=dict(values), quality=quality, faults=faults)


def rules_of(folder: Path, text: str, keys: Mapping[str, bytes] | None = None) -> Rules:
    file = folder / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    return load_rules([file], keys or {})


class Centre:
    """An engine over a database; ``restart`` makes a new one from what was committed."""

    def __init__(self, folder: Path, rules: Rules, devices: Iterable[Device]) -> None:
        self.database = Database(folder / "centre.db")
        self.alerts = Alerts(self.database)
        self.inventory = Inventory(devices)
        self.changes = 0
        self.rules = rules
        self.engine = self._engine()

    def _engine(self) -> AlertEngine:
        return AlertEngine(self.rules, self.database, self.inventory, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def restart(self) -> None:
        self.engine = self._engine()
        await self.engine.open()

    async def take(self, *arrivals: Arrival) -> None:
        await self.engine.take(arrivals, max(arrival.received_at for arrival in arrivals))

    async def tick(self, at_s: float) -> None:
        await self.engine.tick(instant(at_s))

    async def all(self) -> list[Alert]:
        found, _ = await self.alerts.page(Scope(["41"]), AlertFilter(), None, 500)
        return found

    def close(self) -> None:
        self.database.close()
