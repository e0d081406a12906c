"""What a restart of a gateway looks like to the centre's rules: its own outbox, and the engine that takes what it sends."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from edge.clock import Stamp
from edge.outbox import Outbox
from ingest.alerts import AlertEngine, Alerts, load_rules
from ingest.alerts.alerts import AlertFilter
from ingest.arrival import Arrival
from ingest.database import Database
from telemetry.batch import Lane, decode
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.presence import Device
from telemetry.reading import Micros, Reading

REF = GatewayRef("411202002001", "gw-test-1")
T0 = 1_790_000_000_000_000
RULES = """
rules:
  - id: lost
    kind: device_offline
    family: system
    colour: yellow
    case: ask
    title: {zh: 离线, en: Offline}
    text: {zh: 离线, en: Offline}
    applies_to: {kinds: [energy]}
    when: {type: absence, after_s: 60}
"""


class Inventory:
    """Two meters that are asked every ten seconds."""

    def find(self, ref: GatewayRef, device: str) -> Device | None:
        return Device(id=device, kind=Kind.ENERGY, profile="test", interval_s=10.0)

    def zone_of(self, ref: GatewayRef, device: str) -> str:
        return ""

    def edition(self, ref: GatewayRef) -> object:
        return self


def at(seconds: float) -> Micros:
    return Micros(T0 + round(seconds * 1e6))


def opened(folder: Path, seconds: float) -> Outbox:
    return Outbox.open(folder / "outbox.db", gateway=REF.gateway, now=at(seconds))


def spoken(outbox: Outbox, seconds: Iterable[float], *names: str) -> None:
    for second in seconds:
        for place, name in enumerate(names):
            reading = Reading(device=name, kind=Kind.ENERGY, at=at(second + place / 10), values={"voltage": 230.0})
            outbox.append([reading], Lane.BULK, at(second))


def sent(outbox: Outbox) -> Iterator[Arrival]:
    """What waits, in the order in which an undisturbed gateway sends it; and the centre's word that it has it."""
    for span in outbox.spans():
        stream = Stream(*REF, span.epoch, span.lane)
        for sealed in outbox.batches(span.epoch, span.lane, span.first - 1, 1_000):
            readings = tuple(decode(sealed.message(at(0), False)).batch.readings)
            yield Arrival(stream, sealed.seq, readings, Micros(readings[-1].at + 100_000))
        outbox.acknowledge(span.epoch, span.lane, span.last, at(0))


class Centre:
    def __init__(self, folder: Path) -> None:
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        self._database = Database(folder / "centre.db")
        self._engine = AlertEngine(load_rules([folder / "rules.yaml"]), self._database, Inventory(), lambda: None)

    async def missed(self, *runs: list[Arrival]) -> list[str]:
        """The devices that were told to be gone."""
        try:
            await self._engine.open()
            for arrivals in runs:
                for arrival in arrivals:
                    await self._engine.take([arrival], arrival.received_at)
            found, _ = await Alerts(self._database).page(Scope(["41"]), AlertFilter(), None, 100)
            return [one.device for one in found]
        finally:
            self._database.close()


@pytest.mark.parametrize("politely", [True, False])
async def test_devices_are_not_missed_over_a_stop_of_their_gateway_beyond_their_limit(tmp_path: Path, politely: bool) -> None:
    outbox = opened(tmp_path, 0)
    spoken(outbox, range(0, 65, 10), "meter-1", "meter-2")
    if politely:
        outbox.seal(at(65), force=True)
    before = list(sent(outbox))
    spoken(outbox, [66], "meter-1")  # committed, and its batch not sealed yet
    if politely:
        outbox.seal(at(66), force=True)
    again = opened(tmp_path, 190)  # the first is never told of its end
    spoken(again, range(190, 241, 10), "meter-1", "meter-2")
    again.seal(at(241), force=True)
    assert await Centre(tmp_path).missed(before, list(sent(again))) == []


async def test_a_device_that_stays_away_after_the_stop_is_missed(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 0)
    spoken(outbox, [0, 5], "meter-1", "meter-2")
    again = opened(tmp_path, 125)
    spoken(again, range(125, 196, 10), "meter-1")
    again.seal(at(196), force=True)
    assert await Centre(tmp_path).missed(list(sent(again))) == ["meter-2"]


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
async def test_what_a_gateway_held_before_a_stop_until_its_clock_was_known_makes_no_device_missed(
    tmp_path: Path, boot: str
) -> None:
    outbox = opened(tmp_path, 0)
    for second in range(0, 61, 10):
        for place, name in enumerate(("meter-1", "meter-2")):
            reading = Reading(device=name, kind=Kind.ENERGY, at=at(second + place / 10), values={"voltage": 230.0})
            outbox.hold([reading], Lane.BULK, Stamp("boot-1", 0, known=False), at(second))
    again = opened(tmp_path, 190)  # the first is never told of its end
    again.date(Stamp(boot, 0, known=True), at(190))
    spoken(again, range(190, 241, 10), "meter-1", "meter-2")
    again.seal(at(241), force=True)
    assert await Centre(tmp_path).missed(list(sent(again))) == []
