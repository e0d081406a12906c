"""Gateways that come back after an outage: each drains its backlog as the centre's credit allows, and goes on living meanwhile.

    python -m bench.delivery.backlog PORT GATEWAYS HOURS

A gateway is 50 devices that say two values each, five times a minute: live, a bulk batch every ten seconds and an urgent event
every five. Its backlog of ``HOURS`` stands in an epoch of its own, in batches of 500 readings, in a window of 64. Protocol as of
``bench.delivery.fleet``; it ends when the backlog is acknowledged, and tells how late what was live was durable in both stores.
"""

import asyncio
import json
import sys
import time
import zlib
from typing import NamedTuple

import msgspec

from bench.delivery.fleet import EPOCH, WINDOW, refs
from edge.window import CREDIT
from ingest.mqtt import Address, Link, connected
from telemetry import batch, topic
from telemetry.ack import Ack
from telemetry.batch import Batch, Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Reading

DEVICES, INTERVAL_S, BATCH = 50, 12.0, 500
BULK_S, EVENT_S = 10.0, 5.0
LIVE = "fedcba9876543210"
STEP_S = 0.02

Key = tuple[str, Lane]
acknowledgement = msgspec.json.Decoder(Ack)


def now_us() -> int:
    return time.time_ns() // 1_000


def meter(number: int, at: int) -> Reading:
    values = {"voltage": round(230 + at * 7919 % 100 / 10, 1), "current": round(at * 104729 % 160 / 10, 1)}
    return Reading(device=f"meter-{number % DEVICES:02}", kind=Kind.ENERGY, at=at, values=dict(values))


def history(ref: GatewayRef, hours: float) -> list[bytes]:
    """The JSON of the backlog's batches, oldest first; it ends an hour ago, and no device says two things at once."""
    spacing = int(INTERVAL_S * 1e6 / DEVICES)
    end = now_us() - 3_600_000_000
    instants = range(end - int(hours * 3.6e9), end, spacing)
    parts = [instants[start : start + BATCH] for start in range(0, len(instants), BATCH)]
    return [
        batch.unpack(sealed(ref, EPOCH, Lane.BULK, seq, [meter(n, at) for n, at in enumerate(part)]))
        for seq, part in enumerate(parts, 1)
    ]


def sealed(ref: GatewayRef, epoch: str, lane: Lane, seq: int, readings: list[Reading]) -> bytes:
    last = readings[-1].at
    head = Batch(gateway=ref.gateway, epoch=epoch, lane=lane, seq=seq, sealed_at=last, sent_at=last, readings=readings)
    return batch.encode(head)


class Due(NamedTuple):
    """When the next batch of a live lane is sealed, and then every ``every_s``."""

    at: float
    every_s: float


class Gateway:
    """One of them. ``delays`` are those of live batches, from being sealed to being acknowledged."""

    def __init__(self, ref: GatewayRef, backlog: int, place: float) -> None:
        self.ref = ref
        self.backlog = backlog
        self.credit = CREDIT
        self.marks: dict[Key, int] = {}
        self.sent: dict[Key, int] = {}
        self.delays: dict[Lane, list[float]] = {Lane.BULK: [], Lane.URGENT: []}
        self.due = {Lane.BULK: Due(place * BULK_S, BULK_S), Lane.URGENT: Due(place * EVENT_S, EVENT_S)}
        self._sealed: dict[tuple[Lane, int], float] = {}
        self._allowance, self._filled = 1.0, time.monotonic()

    @property
    def drained(self) -> bool:
        return self.marks.get((EPOCH, Lane.BULK), 0) >= self.backlog

    def hear(self, said: Ack) -> None:
        now = time.monotonic()
        self.credit = said.credit
        for mark in said.marks:
            key = mark.epoch, mark.lane
            for seq in range(self.marks.get(key, 0) + 1, mark.seq + 1) if mark.epoch == LIVE else ():
                self.delays[mark.lane].append(now - self._sealed.pop((mark.lane, seq)))
            self.marks[key] = max(mark.seq, self.marks.get(key, 0))

    def live(self, elapsed: float) -> list[bytes]:
        """What is sealed now."""
        made = []
        for lane, due in self.due.items():
            if elapsed < due.at:
                continue
            self.due[lane] = due._replace(at=due.at + due.every_s)
            seq = self.sent[LIVE, lane] = self.sent.get((LIVE, lane), 0) + 1
            self._sealed[lane, seq] = time.monotonic()
            at = now_us()
            if lane is Lane.BULK:
                readings = [meter(n, at - n) for n in range(int(DEVICES * BULK_S / INTERVAL_S))][::-1]
            else:
                swipe = Reading(device="door-01", kind=Kind.ACCESS, at=at, values={"event": "granted"}, event_id=f"e-{seq}")
                readings = [swipe]
            made.append(sealed(self.ref, LIVE, lane, seq, readings))
        return made

    def backfill(self) -> range:
        """The seqs that window and credit allow now."""
        now = time.monotonic()
        self._allowance = min(max(self.credit, 1.0), self._allowance + (now - self._filled) * self.credit)
        self._filled = now
        key = EPOCH, Lane.BULK
        sent, mark = self.sent.get(key, 0), self.marks.get(key, 0)
        count = max(0, min(int(self._allowance), mark + WINDOW[Lane.BULK] - sent, self.backlog - sent))
        self._allowance -= count
        self.sent[key] = sent + count
        return range(sent + 1, sent + count + 1)


async def play(link: Link, gateways: list[Gateway], bodies: list[bytes], name: bytes) -> None:
    begun = time.monotonic()
    topics = {gateway.ref: topic.build(topic.DEFAULT_ROOT, gateway.ref, topic.Leaf.UP) for gateway in gateways}
    while not all(gateway.drained for gateway in gateways):
        for gateway in gateways:
            for message in gateway.live(time.monotonic() - begun):
                await link.publish(topics[gateway.ref], message, retain=False)
        for gateway in gateways:
            for seq in gateway.backfill():
                body = bodies[seq - 1].replace(name, f'"{gateway.ref.gateway}"'.encode())
                await link.publish(topics[gateway.ref], zlib.compress(body, 1), retain=False)
                for message in gateway.live(time.monotonic() - begun):
                    await link.publish(topics[gateway.ref], message, retain=False)
        await asyncio.sleep(STEP_S)


async def run(port: int, gateways: list[Gateway], bodies: list[bytes]) -> dict[str, float]:
    by_topic = {topic.build(topic.DEFAULT_ROOT, gateway.ref, topic.Leaf.ACK).encode(): gateway for gateway in gateways}

    def hear(name: bytes, payload: bytes, retained: bool) -> None:
        by_topic[name].hear(acknowledgement.decode(payload))

    address = Address("127.0.0.1", port, "bench-backlog", "", None, 60, False, None)
    async with connected(address, hear, lambda: False, rest_s=0) as link, asyncio.TaskGroup() as group:
        keeping = group.create_task(link.keep())
        await link.subscribe([topic.everyone(topic.DEFAULT_ROOT, topic.Leaf.ACK)], 1)
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        begun = time.monotonic()
        await play(link, gateways, bodies, f'"{gateways[0].ref.gateway}"'.encode())
        took = time.monotonic() - begun
        keeping.cancel()
    said = {"seconds": took, "live": sum(gateway.sent[LIVE, Lane.BULK] for gateway in gateways)}
    for lane in Lane:
        delays = sorted(delay for gateway in gateways for delay in gateway.delays[lane])
        said |= {f"{lane}_p50_s": delays[len(delays) // 2], f"{lane}_p99_s": delays[len(delays) * 99 // 100]}
    return said


def main(port: int, count: int, hours: float) -> None:
    first, *_ = everyone = refs(count)
    bodies = history(first, hours)
    gateways = [Gateway(ref, len(bodies), place / count) for place, ref in enumerate(everyone)]
    print(json.dumps(asyncio.run(run(port, gateways, bodies))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
