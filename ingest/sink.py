"""A durable sink: takes ordered batches, writes them in groups, and knows what is durable.

1. ``durable`` only says what the sink confirmed; it never runs ahead.
2. Bounded: past ``CAPACITY`` readings it takes no more; the gateway sends them again, because they are not acknowledged.
3. A sink that is down holds up nobody but itself.
4. A gap is settled in its turn, after what came before it: noted, and then passed over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from ingest.arrival import Arrival
from ingest.sequencer import Gap, Sequencer, Verdict
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import Span

log = structlog.get_logger()

CAPACITY = 200_000
GROUP = 20_000
GAPS_TOLD = 1_000
_BACKOFF_S = (0.5, 30.0)


class Sink:
    """``write`` makes arrivals durable and ``settle`` a gap, or they raise ``StoreUnavailable``.

    ``confirmed`` is called with the streams of what became durable.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Arrival]], Awaitable[None]],
        settle: Callable[[Gap], Awaitable[None]],
        watermarks: Mapping[Stream, int],
        confirmed: Callable[[Sequence[Stream]], None],
        gather_s: float = 0.0,
    ) -> None:
        self.name = name
        self.durable = dict(watermarks)
        self.errors = 0
        self.failing = ""
        self._write = write
        self._settle = settle
        self._confirmed = confirmed
        self._gather_s = gather_s
        self._sequencer = Sequencer(watermarks)
        self._waiting: list[Arrival | Gap] = []
        self._size = 0
        self._some = asyncio.Event()
        self._told: set[Gap] = set()

    def push(self, arrival: Arrival) -> Verdict:
        """Takes a batch, in whatever order it comes."""
        if (gap := self._sequencer.concede(arrival)) is not None:
            self._skip(gap)
        verdict, ready = self._sequencer.push(arrival)
        return verdict if self._queue(ready) else Verdict.DROPPED

    def hello(self, ref: GatewayRef, spans: Sequence[Span]) -> list[Gap]:
        """Takes what a gateway says it holds; the gaps that this reveals."""
        gaps, ready = self._sequencer.hello(ref, spans)
        for gap in gaps:
            self._skip(gap)
        self._queue(ready)
        return gaps

    def waiting(self) -> list[Arrival]:
        """What was taken and is not confirmed yet."""
        return [item for item in self._waiting if isinstance(item, Arrival)]

    async def run(self) -> None:
        """Writes until cancelled."""
        backoff = _BACKOFF_S[0]
        while True:
            await self._some.wait()
            if self._gather_s:
                await asyncio.sleep(self._gather_s)
            step = self._step()
            try:
                if isinstance(step, Gap):
                    await self._settle(step)
                else:
                    await self._write(step)
            except StoreUnavailable as error:
                self._note(str(error))
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _BACKOFF_S[1])
                continue
            backoff = _BACKOFF_S[0]
            self._note("")
            self._taken([step] if isinstance(step, Gap) else step)

    def _skip(self, gap: Gap) -> None:
        new = gap not in self._told and len(self._told) < GAPS_TOLD
        if new:
            self._told.add(gap)
            said = gap._asdict() | {"stream": gap.stream.lane}
            log.warning("gap in a stream", store=self.name, gateway=str(gap.stream.ref), **said)
        if new or gap.passes:
            self._waiting.append(gap)
            self._some.set()

    def _queue(self, ready: Sequence[Arrival]) -> bool:
        for arrival in ready:
            if self._size > CAPACITY:
                self._sequencer.unpush(arrival)
                return False
            self._waiting.append(arrival)
            self._size += _size(arrival)
            self._some.set()
        return True

    def _step(self) -> list[Arrival] | Gap:
        """What is done next, in order: a group of arrivals, or one gap."""
        size = 0
        group: list[Arrival] = []
        for item in self._waiting:
            if isinstance(item, Gap):
                return group or item
            size += _size(item)
            if group and size > GROUP:
                break
            group.append(item)
        return group

    def _taken(self, done: Sequence[Arrival | Gap]) -> None:
        del self._waiting[: len(done)]
        self._size -= sum(_size(item) for item in done if isinstance(item, Arrival))
        if not self._waiting:
            self._some.clear()
        for item in done:
            if isinstance(item, Arrival) or item.passes:
                seq = item.last if isinstance(item, Gap) else item.seq
                self.durable[item.stream] = max(self.durable.get(item.stream, 0), seq)
        self._confirmed([item.stream for item in done])

    def _note(self, trouble: str) -> None:
        if trouble:
            self.errors += 1
        if trouble and not self.failing:
            log.error("store does not take readings; gateways keep theirs", store=self.name, error=trouble)
        elif self.failing and not trouble:
            log.info("store takes readings again", store=self.name)
        self.failing = trouble


def _size(arrival: Arrival) -> int:
    return len(arrival.readings) + 1
