"""A world at play: its Modbus ends, its MQTT products, its story and its truth log, in one task group.

1. Registers change on the grid of the virtual clock, and the truth log in the same step.
2. A cue is said once: how far the story was played is kept before anything is sent. What a stopped world missed stays
   unsaid, except the end of what had begun before.
"""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from simulators import scenario
from simulators.clock import Anchor, Journal, Wall, wall_clock
from simulators.ends import End, SerialEnd, TcpEnd
from simulators.products import EspRfid, Frigate, Moment, Product, Sensor, Speaker, Vzenith, Zigbee2Mqtt
from simulators.publisher import Publisher, broker_at
from simulators.registers import RegisterUnit
from simulators.scenario import Cue
from simulators.truth import Ailing, Held, Started, TruthLog
from simulators.world import EspRfidEnd, FrigateEnd, ModbusEnd, MqttEnd, SerialBus, Stage, VzenithEnd, Zigbee2MqttEnd

STEP_S = 0.05
KEEP_S = 1.0
JOURNAL = "world.json"

log = structlog.get_logger()


async def run(
    stage: Stage,
    broker: str,
    run_dir: Path,
    truth: Path | None,
    stop: asyncio.Event,
    *,
    speed: float | None = None,
    seed: int | None = None,
    ports: Mapping[str, int] | None = None,
) -> None:
    """Plays the world until ``stop``. ``ports`` overrides the TCP ports of its buses.

    Serial lines appear in ``run_dir``, where the clock is kept too. Raises ``BusUnavailable`` when a port is in use and
    ``ConfigInvalid`` for a bad broker address; an absent broker is waited for.
    """
    there = broker_at(broker)
    with TruthLog(truth) as ledger:
        play = Play(
            stage, stage.world.seed if seed is None else seed, speed or stage.world.speed, Journal(run_dir / JOURNAL), ledger
        )
        ends = play.ends(run_dir, ports or {})
        publishers = {
            product.name: Publisher(product, there, ledger, play.moment, random.Random(f"{play.seed}/{product.name}"))
            for product in play.products.values()
        }
        try:
            for end in ends:
                await end.open()
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(each.run(), name=name) for name, each in publishers.items()]
                running.append(tasks.create_task(play.run(publishers), name="play"))
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            for end in ends:
                await end.close()


class Play:
    """The state of a world at play; everything but ``run`` is free of waiting. ``wall`` tells UTC microseconds."""

    def __init__(self, stage: Stage, seed: int, speed: float, journal: Journal, truth: TruthLog, wall: Wall = wall_clock) -> None:
        self.seed = seed
        self._stage = stage
        self._journal = journal
        self._truth = truth
        self._wall = wall
        self._anchor: Anchor = journal.open(speed, self._wall())
        self.units = {
            device.id: RegisterUnit(device.id, stage.library.profiles[device.profile], device.end.points, stage.story, seed)
            for device in stage.world.devices
            if isinstance(device.end, ModbusEnd)
        }
        self.products = _products(stage)
        self._refreshed = self._kept = -1.0
        truth.write(Started(self._wall(), self.moment().virtual, seed, speed))
        self.refresh()

    def moment(self) -> Moment:
        wall = self._wall()
        return Moment(self._anchor.virtual_at(wall), wall, self._anchor.born)

    def ends(self, run_dir: Path, ports: Mapping[str, int]) -> list[End]:
        """The Modbus ends of the world, not yet open."""
        found: list[End] = []
        for bus in self._stage.world.buses:
            units = {end.unit_id: self.units[device.id] for device, end in self._stage.modbus(bus.id)}
            if isinstance(bus, SerialBus):
                found.append(SerialEnd(run_dir / bus.link, units))
            else:
                found.append(TcpEnd(bus.host, ports.get(bus.id, bus.port), units))
        return found

    def refresh(self) -> None:
        """Brings the registers and faults to this moment; the truth log tells what changed."""
        moment = self.moment()
        grid = self._stage.world.grid_s
        at = moment.virtual // grid * grid
        for device, unit in self.units.items():
            fault = scenario.fault(self._stage.story, device, moment.virtual)
            if fault != unit.fault:
                unit.fault = fault
                self._truth.write(Ailing(moment.wall, moment.virtual, device, str(fault or "")))
            if at != self._refreshed:
                self._truth.write(*(Held(moment.wall, at, device, *change) for change in unit.refresh(at)))
        self._refreshed = at

    def due(self) -> tuple[float, Moment, list[Cue]]:
        """What has become due since the last call: from when, until when, and the cues, kept as said."""
        after, moment = self._anchor.played, self.moment()
        found = scenario.cues(self._stage.story, after, moment.virtual)
        self._anchor = msgspec.structs.replace(self._anchor, played=moment.virtual)
        if found or moment.virtual - self._kept >= KEEP_S:
            self._journal.keep(self._anchor)
            self._kept = moment.virtual
        return after, moment, found

    async def run(self, publishers: Mapping[str, Publisher]) -> None:
        """Until cancelled."""
        if self._anchor.played >= 0:
            self._settle(publishers)
        while True:
            self.refresh()
            self._say(publishers)
            await asyncio.sleep(STEP_S)

    def _settle(self, publishers: Mapping[str, Publisher]) -> None:
        """After a restart: ends what had begun before the stop and leaves the rest of what was missed."""
        after, moment, missed = self.due()
        for cue in missed:
            if cue.settles and cue.began <= after:
                self._cue(publishers, cue, moment)

    def _say(self, publishers: Mapping[str, Publisher]) -> None:
        after, moment, due = self.due()
        for cue in due:
            self._cue(publishers, cue, moment)
        for name, product in {product.name: product for product in self.products.values()}.items():
            publishers[name].say(*product.beat(after, moment))

    def _cue(self, publishers: Mapping[str, Publisher], cue: Cue, moment: Moment) -> None:
        product = self.products[cue.step.device]
        publishers[product.name].say(*product.say(cue, moment))


def _products(stage: Stage) -> dict[str, Product]:
    """The product that speaks for each device; sensors of one bridge and cameras of one recorder share theirs."""
    sensors: dict[str, dict[str, Sensor]] = {}
    cameras: dict[str, dict[str, str]] = {}
    found: dict[str, Product] = {}
    for device in stage.world.devices:
        match device.end:
            case Zigbee2MqttEnd() as end:
                sensors.setdefault(end.base, {})[device.id] = Sensor(device.id, end.name, end.fields, end.report_every_s)
            case FrigateEnd() as end:
                cameras.setdefault(end.prefix, {})[device.id] = end.camera
            case EspRfidEnd() as end:
                found[device.id] = EspRfid(device.id, end.topic)
            case VzenithEnd() as end:
                found[device.id] = Vzenith(device.id, end.serial)
            case MqttEnd() as end:
                found[device.id] = Speaker(device.id, end.topic)
    for base, members in sensors.items():
        bridge = Zigbee2Mqtt(base, members, stage.story)
        found |= dict.fromkeys(members, bridge)
    for prefix, names in cameras.items():
        recorder = Frigate(prefix, names)
        found |= dict.fromkeys(names, recorder)
    return found
