"""Many gateways in one process, as a broker sees them: sealed batches made beforehand, sent within each gateway's window.

    python -m bench.delivery.fleet PORT GATEWAYS BATCHES READINGS VALUES RATE [LANE]

Sends ``BATCHES`` batches of each gateway, ``RATE`` batches a second in all (0: as fast as they are acknowledged), and ends when
the centre has acknowledged the last. Prints one JSON line when it is ready, waits for a line on its standard input, and prints
one when all is done: seconds, its own processor time, and percentiles of the time from sending to the acknowledgement.

Sent as fast as they are acknowledged, readings are ``CLOSE_US`` apart. Sent at a rate they are as far apart as in life, and begin
with the five minutes of now: so all of them fall into windows as a city's do, and after five minutes and a half the first whole
window is summarised.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import yaml

from ingest.mqtt import Address, Link, connected
from ingest.store import Level
from telemetry import batch, topic
from telemetry.batch import Batch, Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Reading

COMMUNITY, KEY, EPOCH = "411202002001", "11" * 32, "0123456789abcdef"
WINDOW = {Lane.BULK: 64, Lane.URGENT: 1_000}
FLOATS = ("voltage", "current", "active_power", "frequency", "energy_import")
PUMPS = 8
RESEND_S = 30.0
START = time.time_ns() // 1_000
"""Readings are of now: those of months ago would be history that comes late, and thinned anew."""
CLOSE_US = 10_007


def refs(count: int) -> list[GatewayRef]:
    return [GatewayRef(COMMUNITY, f"gw-{number:04}") for number in range(count)]


def gateways_file(count: int) -> str:
    entries = [{"community": ref.community, "id": ref.gateway, "key": KEY, "site_key": KEY} for ref in refs(count)]
    return yaml.safe_dump({"gateways": entries})


def messages(
    ref: GatewayRef, batches: int, readings: int, values: int, lane: Lane, start: int = START, apart_us: int = CLOSE_US
) -> Iterator[bytes]:
    """Meters whose values wander within what a net may do, one batch after the other."""
    at = start
    for seq in range(1, batches + 1):
        content = []
        for n in range(readings):
            at += apart_us
            wander = (at * 2654435761) % 1_000
            said = {name: round(205 + wander / 40 + place, 1) for place, name in enumerate(FLOATS[:values])}
            content.append(Reading(device=f"meter-{n % 30}", kind=Kind.ENERGY, at=at, values=dict(said)))
        yield batch.encode(
            Batch(gateway=ref.gateway, epoch=EPOCH, lane=lane, seq=seq, sealed_at=at, sent_at=at, readings=content)
        )


class Fleet:
    """``rate`` 0: as fast as the windows allow."""

    def __init__(self, packed: dict[GatewayRef, list[bytes]], rate: float, lane: Lane) -> None:
        self._packed = packed
        self._rate = rate
        self._lane = lane
        self._sent = dict.fromkeys(packed, 0)
        self._acked = dict.fromkeys(packed, 0)
        self._when: dict[GatewayRef, deque[tuple[int, float]]] = {ref: deque() for ref in packed}
        self._topics = {ref: topic.build(topic.DEFAULT_ROOT, ref, topic.Leaf.UP) for ref in packed}
        self._names = {topic.build(topic.DEFAULT_ROOT, ref, topic.Leaf.ACK).encode(): ref for ref in packed}
        self._left = sum(map(len, packed.values()))
        self._news = asyncio.Event()
        self.delays: list[float] = []
        self.resent = 0
        self.done = asyncio.Event()

    def hear(self, name: bytes, payload: bytes, retained: bool = False) -> None:
        ref = self._names.get(name)
        if ref is None:
            return
        said: dict[str, Any] = json.loads(payload)
        mark = max((mark["seq"] for mark in said["marks"] if mark["lane"] == self._lane), default=0)
        now = time.monotonic()
        while self._when[ref] and self._when[ref][0][0] <= mark:
            self.delays.append(now - self._when[ref].popleft()[1])
            self._left -= 1
        self._acked[ref] = max(mark, self._acked[ref])
        self._news.set()
        if not self._left:
            self.done.set()

    async def send(self, link: Link) -> None:
        if self._rate:
            await self._send_paced(link)
        else:
            async with asyncio.TaskGroup() as group:
                refs = list(self._packed)
                for pump in range(PUMPS):
                    group.create_task(self._send_all(link, refs[pump::PUMPS]))

    async def _send_all(self, link: Link, refs: list[GatewayRef]) -> None:
        while refs:
            moved = False
            for ref in list(refs):
                if self._sent[ref] == len(self._packed[ref]):
                    refs.remove(ref)
                elif self._sent[ref] - self._acked[ref] < WINDOW[self._lane]:
                    await self._send_one(link, ref)
                    moved = True
            if not moved:
                await self._wait(refs)

    async def _wait(self, refs: list[GatewayRef]) -> None:
        """For news; without any, what is not acknowledged is sent again."""
        self._news.clear()
        try:
            async with asyncio.timeout(RESEND_S):
                await self._news.wait()
        except TimeoutError:
            self.resent += sum(self._sent[ref] - self._acked[ref] for ref in refs)
            self._sent |= {ref: self._acked[ref] for ref in refs}

    async def _send_paced(self, link: Link) -> None:
        begun = time.monotonic()
        number = 0
        for place in range(max(map(len, self._packed.values()))):
            for ref, packed in self._packed.items():
                if place < len(packed):
                    number += 1
                    if (early := begun + number / self._rate - time.monotonic()) > 0:
                        await asyncio.sleep(early)
                    await self._send_one(link, ref)

    async def _send_one(self, link: Link, ref: GatewayRef) -> None:
        seq = self._sent[ref] = self._sent[ref] + 1
        self._when[ref].append((seq, time.monotonic()))
        await link.publish(self._topics[ref], self._packed[ref][seq - 1], retain=False)


async def run(port: int, fleet: Fleet) -> dict[str, float]:
    address = Address("127.0.0.1", port, "bench-fleet", "", None, 60, False, None)
    async with connected(address, fleet.hear, lambda: False, rest_s=0) as link, asyncio.TaskGroup() as group:
        keeping = group.create_task(link.keep())
        await link.subscribe([topic.everyone(topic.DEFAULT_ROOT, topic.Leaf.ACK)], 1)
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        begun, cpu_begun_s = time.monotonic(), time.process_time()
        await fleet.send(link)
        await fleet.done.wait()
        took, cpu_s = time.monotonic() - begun, time.process_time() - cpu_begun_s
        keeping.cancel()
    delays = sorted(fleet.delays)
    p50_s, p99_s = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    return {"seconds": took, "cpu_s": cpu_s, "p50_s": p50_s, "p99_s": p99_s, "resent": fleet.resent}


def main(port: int, gateways: int, batches: int, readings: int, values: int, rate: float, lane: Lane) -> None:
    first, *others = refs(gateways)
    start, apart_us = (Level.FIVE_MINUTES.start(START), round(1e6 * gateways / rate / readings)) if rate else (START, CLOSE_US)
    packed = {first: list(messages(first, batches, readings, values, lane, start, apart_us))}
    named = f'"{first.gateway}"'.encode()
    bodies = [batch.unpack(message) for message in packed[first]]
    for ref in others:  # the same readings of other meters: encoding each would take longer than the work
        packed[ref] = [batch.pack(body.replace(named, f'"{ref.gateway}"'.encode())) for body in bodies]
    print(json.dumps(asyncio.run(run(port, Fleet(packed, rate, lane)))), flush=True)


if __name__ == "__main__":
    port, gateways, batches, readings, values = map(int, sys.argv[1:6])
    main(port, gateways, batches, readings, values, float(sys.argv[6]), Lane(sys.argv[7] if len(sys.argv) > 7 else "bulk"))
