"""From what devices said to readings that are accepted: sampled, stamped, sent down the right lane.

1. Nothing reaches the outbox but through here, so an instant is never used twice.
2. Urgent is what the profile or the kind says: access, safety and every event.
3. One reading a poll or message: its metrics stay together.
4. A counter says how far it has counted, over its wraps (see ``counters``).
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from device_profiles import Decoded, Observation, Profile, sampling
from edge.accept import Acceptance
from edge.clock import Stamp, wall_clock
from edge.counters import Counters, Followed
from edge.sampling import Passed, Sampler, is_event
from edge.stamps import Repeats, Stamps
from telemetry.batch import Lane
from telemetry.metric import Kind, Value
from telemetry.quality import Quality, worst
from telemetry.reading import EARLIEST, Micros, Reading

PLAUSIBLE_FROM = 1_704_067_200_000_000
"""2024-01-01: a clock before this has not been set since the board was powered."""

log = structlog.get_logger()

URGENT_KINDS = frozenset({Kind.ACCESS, Kind.SAFETY})


class _Opened(NamedTuple):
    """A device that readings are taken of."""

    kind: Kind
    sampler: Sampler
    counters: Followed | None


class Logbook:
    """``recent``: what an earlier run accepted last, the newest first. ``stamp`` says what ``utc`` is read from now."""

    def __init__(
        self,
        acceptance: Acceptance,
        recent: Iterable[Reading] = (),
        counters: Counters | None = None,
        *,
        utc: Callable[[], Micros] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
        stamp: Callable[[], Stamp | None] = lambda: None,
    ) -> None:
        self.utc = utc
        self.monotonic = monotonic
        self._acceptance = acceptance
        self._stamp = stamp
        self._stamps = Stamps()
        self._repeats = Repeats()
        self._counters = counters or Counters()
        for reading in recent:
            self._stamps.recall(reading.device, reading.at)
            self._counters.recall(reading)
            if reading.event_id is not None:
                self._repeats.recall(reading.device, reading.event_id, reading.values)
        self._devices: dict[str, _Opened] = {}
        self._refusing = False

    @property
    def full(self) -> bool:
        return self._acceptance.full

    def hurry(self) -> None:
        """Somebody waits for what was put: commit it now."""
        self._acceptance.hurry()

    def open(self, device: str, profile: Profile) -> None:
        """Begins, or begins anew, with a device."""
        self._devices[device] = _Opened(profile.kind, Sampler(sampling(profile)), self._counters.of(device, profile))

    def close(self, device: str) -> None:
        self._devices.pop(device, None)

    def polled(self, device: str, decoded: Iterable[Decoded], at: int) -> asyncio.Future[None] | None:
        """One poll. What it returns is to be awaited before the next: urgent readings, or a full acceptance."""
        kind, sampler, counters = self._devices[device]
        counted = decoded if counters is None else counters.follow(decoded, at)
        return self._pressing(device, kind, sampler.poll(counted, self.monotonic()), at)

    def silent(self, device: str, reason: str) -> asyncio.Future[None] | None:
        """A device that did not answer or could not be asked. Returns as ``polled`` does."""
        kind, sampler, _ = self._devices[device]
        return self._pressing(device, kind, sampler.silence(reason, self.monotonic()), self.utc())

    def observed(self, device: str, observation: Observation, arrived_at: int) -> asyncio.Future[None] | None:
        """One observation of a message. Done once durable; ``None`` when there is nothing to keep."""
        kind, sampler, _ = self._devices[device]
        event_id = observation.event_id
        if event_id is not None and self._repeats.is_repeat(device, event_id, observation.values):
            return None
        passed = sampler.observe(observation, self.monotonic())
        if passed is None:
            return None
        at, stamp = (arrived_at, self._stamp()) if observation.at is None else (observation.at, None)
        return self._put(device, kind, passed, at, stamp, event_id, event=is_event(observation))

    async def settled(self, accepted: asyncio.Future[None]) -> bool:
        """Waits until a reading is durable; false when it was refused, because the card takes nothing any more.

        Cancelling the caller leaves the reading alone.
        """
        await asyncio.wait((accepted,))
        error = accepted.exception()
        if error is not None and not self._refusing:
            log.error("readings are lost: nothing more can wait for the card", reason=str(error))
        self._refusing = error is not None
        return error is None

    def own(self, gateway: str, values: dict[str, Value]) -> None:
        """The gateway's word about itself."""
        self._put(gateway, Kind.GATEWAY, Passed(values, Quality.GOOD, None, False), self.utc(), self._stamp())

    def _pressing(self, device: str, kind: Kind, passed: Passed | None, at: int) -> asyncio.Future[None] | None:
        if passed is None:
            return None
        accepted = self._put(device, kind, passed, at, self._stamp())
        return accepted if passed.urgent or kind in URGENT_KINDS or self._acceptance.full else None

    def _put(
        self,
        device: str,
        kind: Kind,
        passed: Passed,
        at: int,
        stamp: Stamp | None,
        event_id: str | None = None,
        *,
        event: bool = False,
    ) -> asyncio.Future[None]:
        quality = passed.quality
        if at < PLAUSIBLE_FROM and (stamp is None or stamp.known):
            at, quality = max(at, EARLIEST), worst(quality, Quality.UNCERTAIN)
        reading = Reading(
            device=device,
            kind=kind,
            at=self._stamps.stamp(device, at),
            values=passed.values,
            quality=quality,
            faults=passed.faults,
            event_id=event_id,
        )
        urgent = event or passed.urgent or kind in URGENT_KINDS
        return self._acceptance.put((reading,), Lane.URGENT if urgent else Lane.BULK, stamp)
