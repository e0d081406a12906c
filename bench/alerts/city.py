"""A city on paper, as its gateways would tell it: one gateway a community, 196 devices each, five readings a minute.

Nothing is wrong in it but what ``trouble`` makes: doors open after a grant, water and air stay within their limits.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from ingest.arrival import Arrival, gist_of
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind, Value
from telemetry.presence import Device, Inventory, Words, inventory_hash
from telemetry.reading import Micros, Reading

START = 1_790_000_000_000_000
ROUND_US = 12_000_000
"""How often a device that measures speaks."""
HEARTBEAT_ROUNDS = 25
"""After how many rounds a device that has nothing to say does."""
JOURNEY_US = 10_000_000
URGENT = (Kind.ACCESS, Kind.SAFETY)


class Model(NamedTuple):
    """So many devices a gateway of one kind in so many zones, and what their numbers are: usual value, and how it wanders."""

    name: str
    kind: Kind
    devices: int
    zones: int
    says: dict[str, tuple[float, float] | bool]


MODELS = (
    Model("door", Kind.ACCESS, 30, 30, {"door_open": False, "locked": True}),
    Model("camera", Kind.CAMERA, 40, 20, {"blurred": False, "signal_lost": False}),
    Model("bay", Kind.PARKING, 24, 4, {"occupied": True, "battery": (80, 2)}),
    Model("gate", Kind.PARKING, 4, 4, {"barrier_open": False, "loop": False}),
    Model("air", Kind.ENVIRONMENT, 30, 8, {"temperature": (22, 1), "humidity": (50, 5)}),
    Model("dust", Kind.ENVIRONMENT, 6, 6, {"pm25": (30, 10), "pm10": (50, 10)}),
    Model("garage", Kind.ENVIRONMENT, 6, 3, {"co": (5, 3), "humidity": (60, 5)}),
    Model("noise", Kind.ENVIRONMENT, 4, 4, {"noise": (45, 8), "battery": (80, 2)}),
    Model("sump", Kind.ENVIRONMENT, 2, 2, {"level": (0.4, 0.05), "battery": (80, 2)}),
    Model("meter", Kind.ENERGY, 30, 5, {"voltage": (225, 3), "active_power": (500, 300)}),
    Model("smoke", Kind.SAFETY, 16, 8, {"smoke": False, "battery": (80, 2)}),
    Model("leak", Kind.SAFETY, 4, 4, {"water_leak": False, "battery": (80, 2)}),
)
DEVICES = sum(model.devices for model in MODELS)


class Told(NamedTuple):
    device: str
    model: Model


def ref_of(number: int) -> GatewayRef:
    return GatewayRef(f"41120{number // 1000 % 10}{number % 1000:03}001", f"gw-{number:05}")


PLACES = tuple(Told(f"{model.name}-{n:02}", model) for model in MODELS for n in range(model.devices))


def inventory(number: int) -> Inventory:
    """Of one gateway: as it would come, every name its own text."""
    devices = [
        Device(
            id=f"b{number}-{place.device}"[:64],
            kind=place.model.kind,
            profile=f"maker/{place.model.name}",
            place=Words(f"{n}号楼{place.device}", f"building {n}, {place.device}"),
            zone=f"{place.model.name}-zone-{n % place.model.zones}",
            unit=f"SN{number:05}{n:04}",
            metrics=dict.fromkeys(place.model.says, ""),
            interval_s=60.0,
        )
        for n, place in enumerate(PLACES)
    ]
    return Inventory(at=START, hash=inventory_hash(devices), devices=devices)


class City:
    """``gateways`` of them; what each says in a round is a bulk batch of all that measures, and urgent ones of one or two
    readings each. The same ``seed``, the same city."""

    def __init__(self, gateways: int, seed: int = 1) -> None:
        self.gateways = gateways
        self._chance = random.Random(seed)
        self._seqs: dict[Stream, int] = {}

    def round(self, number: int, gateways: Iterator[int] | range) -> Iterator[Arrival]:
        """What ``gateways`` say in a round, in the order in which it comes."""
        for gateway in gateways:
            start = START + number * ROUND_US + gateway * ROUND_US // self.gateways
            yield from self._urgent(gateway, number, start)
            yield self._sealed(gateway, Lane.BULK, list(self._bulk(gateway, start)), start + ROUND_US)

    def _bulk(self, gateway: int, start: int) -> Iterator[Reading]:
        step = ROUND_US // DEVICES
        for n, place in enumerate(PLACES):
            if place.model.kind not in URGENT:
                yield self._reading(gateway, place, start + n * step)
                if place.model.kind is Kind.ENERGY:
                    yield self._reading(gateway, place, start + n * step + ROUND_US // 3)

    def _urgent(self, gateway: int, number: int, start: int) -> Iterator[Arrival]:
        """Heartbeats in their turn, and now and then a door that opens after a grant and closes again."""
        for n, place in enumerate(PLACES):
            at = start + n * 1_001
            if place.model.kind in URGENT and (number + n) % HEARTBEAT_ROUNDS == 0:
                yield self._sealed(gateway, Lane.URGENT, [self._reading(gateway, place, at)], at + 50_000)
        if self._chance.random() < 0.1:
            place = PLACES[self._chance.randrange(MODELS[0].devices)]
            for after, said in (
                (0, {"event": "granted", "direction": "in"}),
                (1, {"door_open": True}),
                (6, {"door_open": False}),
            ):
                at = start + 1_000_000 + after * 1_000_000
                reading = Reading(device=f"b{gateway}-{place.device}", kind=Kind.ACCESS, at=at, values=dict(said))
                yield self._sealed(gateway, Lane.URGENT, [reading], at + 50_000)

    def _reading(self, gateway: int, place: Told, at: int) -> Reading:
        values: dict[str, Value] = {
            name: said if isinstance(said, bool) else round(said[0] + self._chance.uniform(-said[1], said[1]), 2)
            for name, said in place.model.says.items()
        }
        return Reading(device=f"b{gateway}-{place.device}", kind=place.model.kind, at=at, values=values)

    def _sealed(self, gateway: int, lane: Lane, readings: list[Reading], received_at: int) -> Arrival:
        stream = Stream(*ref_of(gateway), f"{1:016x}", lane.value)
        self._seqs[stream] = self._seqs.get(stream, 0) + 1
        return Arrival(stream, self._seqs[stream], readings, Micros(received_at), checked=True, looked=gist_of(readings))
