"""A durable sink: takes batches, puts them in order, writes them in groups, and knows what is durable.

1. ``durable`` only says what the sink confirmed; it never runs ahead.
2. Bounded, and fair between gateways (``ingest.waiting``): what finds no room comes again, because it is not acknowledged.
3. A sink that is down holds up nobody but itself.
4. A gap is settled in its turn, after what came before it: noted, and then passed over.
5. While a group is written the next is told beforehand, if it is known by then.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import structlog

from ingest.arrival import Arrival
from ingest.sequencer import Gap, Sequencer, Verdict
from ingest.waiting import CAPACITY, Waiting
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import Span

log = structlog.get_logger()

GROUP = 20_000
GAPS_TOLD = 1_000
STUCK_S = 5.0
_BACKOFF_S = (0.5, 30.0)


class Sink:
    """``write`` makes arrivals durable and ``settle`` a gap, or they raise ``StoreUnavailable``.

    ``confirmed`` is called with the streams of what became durable. ``gather_s`` is how long bulk data may wait for more;
    ``group`` is how many readings are written together. ``foresee`` hears of a group before its turn, and owes nothing.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Arrival]], Awaitable[None]],
        settle: Callable[[Gap], Awaitable[None]],
        watermarks: Mapping[Stream, int],
        confirmed: Callable[[Sequence[Stream]], None],
        gather_s: float = 0.0,
        group: int = GROUP,
        foresee: Callable[[Sequence[Arrival]], None] | None = None,
    ) -> None:
        self.name = name
        self.durable = dict(watermarks)
        self.errors = 0
        self.failing = ""
        self._write = write
        self._settle = settle
        self._confirmed = confirmed
        self._gather_s = gather_s
        self._foresee = foresee
        self._sequencer = Sequencer(watermarks)
        self._waiting = Waiting(group)
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._told: set[Gap] = set()
        self._begun: float | None = None

    def push(self, arrival: Arrival) -> Verdict:
        """Takes a batch, in whatever order it comes."""
        if (gap := self._sequencer.concede(arrival)) is not None:
            self._skip(gap)
        verdict, ready = self._sequencer.push(arrival)
        return verdict if self._queue(ready) else Verdict.DROPPED

    def hello(self, ref: GatewayRef, spans: Sequence[Span], *, retained: bool = False) -> list[Gap]:
        """Takes what a gateway says it holds; the gaps that this reveals."""
        gaps, ready = self._sequencer.hello(ref, spans, retained=retained)
        for gap in gaps:
            self._skip(gap)
        self._queue(ready)
        return gaps

    def busy(self, streams: Collection[Stream]) -> set[Stream]:
        """Those of ``streams`` of which something was taken that is not durable yet."""
        waiting = {item.stream for item in self._waiting}
        return {stream for stream in streams if stream in waiting or self._sequencer.holds(stream)}

    def forget(self, streams: Iterable[Stream]) -> None:
        """What was durable of ``streams`` is not known here any more; none of them is ``busy``."""
        for stream in streams:
            self.durable.pop(stream, None)
            self._sequencer.forget(stream)

    @property
    def is_crowded(self) -> bool:
        """Whether it is better to wait for this sink than to give it more; never while it is down or stuck."""
        stuck = self._begun is not None and time.monotonic() - self._begun > STUCK_S
        return self._waiting.is_crowded and not self.failing and not stuck

    @property
    def fullness(self) -> float:
        """The share of its room that is taken; of a sink that is down, nothing: holding gateways back would not help it."""
        return 0.0 if self.failing else self._waiting.load / CAPACITY

    def waiting(self) -> list[Arrival]:
        """What was taken and is not confirmed yet."""
        return [item for item in self._waiting if isinstance(item, Arrival)]

    async def run(self) -> None:
        """Writes until cancelled."""
        backoff = _BACKOFF_S[0]
        while True:
            await self._some.wait()
            await self._gather()
            try:
                await self._step()
            except StoreUnavailable as error:
                self._note(str(error))
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _BACKOFF_S[1])
                continue
            finally:
                self._begun = None
            backoff = _BACKOFF_S[0]
            self._note("")
            self._taken()

    async def _gather(self) -> None:
        """Lets more come together, unless there is enough or it is urgent."""
        if self._gather_s and not self._waiting.hurries:
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._gather_s):
                    await self._hurry.wait()

    async def _step(self) -> None:
        self._begun = time.monotonic()
        step = self._waiting.next()
        if isinstance(step, Gap):
            await self._settle(step)
        else:
            self._look_ahead()
            await self._write(step)

    def _look_ahead(self) -> None:
        if self._foresee and (group := self._waiting.foresee()):
            self._foresee(group)

    def _skip(self, gap: Gap) -> None:
        new = gap not in self._told and len(self._told) < GAPS_TOLD
        if new:
            self._told.add(gap)
            said = gap._asdict() | {"stream": gap.stream.lane}
            log.warning("gap in a stream", store=self.name, gateway=str(gap.stream.ref), **said)
        if new or gap.passes:
            self._waiting.put_gap(gap)
            self._some.set()

    def _queue(self, ready: Sequence[Arrival]) -> bool:
        for arrival in ready:
            lost = self._waiting.put(arrival)
            for one in lost:
                self._sequencer.unpush(one)
            if arrival in lost:
                return False
            self._some.set()
            if self._waiting.hurries:
                self._hurry.set()
        self._look_ahead()
        return True

    def _taken(self) -> None:
        done = self._waiting.done()
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
