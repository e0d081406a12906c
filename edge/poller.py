"""One bus, polled: each unit in its slots, through one master, with what came of it in the logbook.

1. One poll of a unit at a time; units take turns by their slots (see ``schedule``).
2. What was read is kept: a request that fails spoils its own points and no others.
3. A silent unit costs its probes and nothing more (see ``liveness``); its readings say so.
4. Addresses that a unit refuses are learned and read around (see ``unit``), also after a restart (see ``refusals``). What
   stands in another place too is read there, in the same poll.
5. A unit that is busy is asked again a little later, with others in between, but never in the place of its next slot.
6. Urgent readings are durable before the next poll.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from device_profiles import Answer, Request, decode
from edge.drivers.modbus import Bus
from edge.liveness import ALIVE, may_ask, roused, unanswered
from edge.logbook import Logbook
from edge.refusals import Refusals
from edge.schedule import Timetable, Turn
from edge.tally import Tally
from edge.unit import BLAMES_AN_ADDRESS, ILLEGAL_FUNCTION, Known, Unit, apart, postponed
from telemetry.errors import BusUnavailable, DeviceRefused, DeviceTimeout

BUSY = (5, 6)
"""Exceptions "accepted, still working" and "busy"."""

BUSY_PAUSES_S = (0.1, 0.2, 0.4)
BUS_UNAVAILABLE = "bus unavailable"
TIMEOUT = "timeout"
DAMAGED = "damaged answer"
IDLE_S = 60.0

log = structlog.get_logger()


class _Outcome(NamedTuple):
    """What came of asking: an answer for each request, why none came, or what to ask again because the unit was busy."""

    answers: list[Answer]
    heard: bool = True
    silence: str = ""
    busy: Sequence[Request] = ()


class Poller:
    """Polls until cancelled; ``replace`` may be called at any time."""

    def __init__(self, bus: Bus, logbook: Logbook, tally: Tally, refusals: Refusals | None = None) -> None:
        self._bus = bus
        self._logbook = logbook
        self._tally = tally
        self._refusals = refusals or Refusals()
        self._timetable = Timetable()
        self._units: dict[str, Known] = {}
        self._changed = asyncio.Event()

    def replace(self, units: Sequence[Unit]) -> None:
        """Polls these units from now on. A unit that stays as it was keeps its slots and what is known of it."""
        wanted, now = {unit.device: unit for unit in units}, self._logbook.monotonic()
        for device in [device for device, known in self._units.items() if wanted.get(device) != known.unit]:
            del self._units[device]
            self._timetable.remove(device)
            self._tally.units.pop(device, None)
        for unit in units:
            if unit.device not in self._units:
                self._units[unit.device] = Known(unit, self._refusals.of(unit), now)
                self._timetable.add(unit.device, unit.intervals, now)
        self._changed.set()

    async def run(self) -> None:
        while True:
            turn = self._timetable.take(self._logbook.monotonic())
            if turn is None:
                await self._rest()
                continue
            self._tally.polls_missed += turn.missed
            self._tally.late(turn.lateness_s)
            await self._poll(self._units[turn.device], turn)

    async def _rest(self) -> None:
        """Until the next slot, or until the units change."""
        self._changed.clear()
        next_at = self._timetable.next_at()
        pause_s = IDLE_S if next_at is None else next_at - self._logbook.monotonic()
        if pause_s > 0:
            timer = asyncio.get_running_loop().call_later(pause_s, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                timer.cancel()

    async def _poll(self, known: Known, turn: Turn) -> None:
        now = self._logbook.monotonic()
        if not may_ask(known.liveness, now):
            accepted = self._silent(known, TIMEOUT)
        elif self._bus.ready_at(known.unit.unit_id) > now:  # a late answer may still come; nobody else waits for it
            self._tally.polls_missed += 1
            return
        else:
            accepted = await self._ask_unit(known, turn)
        if accepted is not None:
            await self._logbook.settled(accepted)

    async def _ask_unit(self, known: Known, turn: Turn) -> asyncio.Future[None] | None:
        device, began = turn.device, self._logbook.utc()
        known.forget(self._logbook.monotonic())
        self._tally.polls += not turn.tries
        try:
            outcome = await self._ask_all(known, turn.points)
        except BusUnavailable:
            return self._silent(known, BUS_UNAVAILABLE)
        if not outcome.heard:
            return self._unanswered(known, outcome.silence)
        if known.liveness is not ALIVE:
            self._answers_again(known)
        if self._units.get(device) is not known:
            return None
        later = self._put_off(known, turn, outcome)
        at = began + (self._logbook.utc() - began) // 2
        decoded = decode(known.unit.profile, outcome.answers)
        return self._logbook.polled(device, [point for point in decoded if point.point not in later] if later else decoded, at)

    async def _ask_all(self, known: Known, due: tuple[str, ...]) -> _Outcome:
        """A time-out ends the poll, and so does a unit that is busy."""
        requests, answers = known.requests(due), known.refusals(due)
        count = self._tally.unit(known.unit.device)
        heard = not requests
        for number, request in enumerate(requests):
            left = requests[number:]
            count.requests += 1
            try:
                answers.append(Answer(request, await self._read(known.unit, request)))
            except DeviceTimeout as error:
                reason = self._count_silence(known, error)
                return _Outcome(answers + [Answer(one, None, reason) for one in left], heard, reason)
            except DeviceRefused as error:
                self._tally.refused += 1
                count.refused += 1
                if error.code in BUSY:
                    return _Outcome(answers + [Answer(one, None, f"exception {error.code}") for one in left], busy=left)
                answers += await self._refused(known, request, error.code)
            heard = True
        return _Outcome(answers, heard)

    async def _read(self, unit: Unit, request: Request) -> tuple[int, ...]:
        modbus = unit.profile.modbus
        if modbus is not None and modbus.gap_ms:
            await asyncio.sleep(modbus.gap_ms / 1000)
        return await self._bus.read(unit.unit_id, request.table, request.address, request.count, unit.timeout_s)

    def _count_silence(self, known: Known, error: DeviceTimeout) -> str:
        count = self._tally.unit(known.unit.device)
        self._tally.timeouts += 1
        self._tally.damaged += error.damaged
        count.timeouts += not error.damaged
        count.damaged += error.damaged
        return DAMAGED if error.damaged else TIMEOUT

    def _put_off(self, known: Known, turn: Turn, outcome: _Outcome) -> frozenset[str]:
        """The points that are asked again because the unit was busy; none when its patience or its slot is used up."""
        if not outcome.busy or turn.tries >= len(BUSY_PAUSES_S):
            return frozenset()
        points = postponed(known.unit.profile, turn.points, outcome.busy)
        at = self._logbook.monotonic() + BUSY_PAUSES_S[turn.tries]
        if not self._timetable.put_off(turn, [point for point in turn.points if point in points], at):
            return frozenset()
        return points | {point for request in outcome.busy for point in request.points}

    async def _refused(self, known: Known, request: Request, code: int) -> list[Answer]:
        """A refused request: when one address of several may be to blame, asks point by point and learns which."""
        if not known.blames(request, code):
            return [Answer(request, None, f"exception {code}")]
        answers: list[Answer] = []
        codes: dict[str, int] = {}
        for part in apart(known.unit.profile, request, known.refused.addresses):
            try:
                words = None if part == request else await self._read(known.unit, part)
            except DeviceTimeout as error:
                return [Answer(request, None, self._count_silence(known, error))]
            except DeviceRefused as refusal:
                if refusal.code not in (*BLAMES_AN_ADDRESS, ILLEGAL_FUNCTION):
                    return [Answer(request, None, f"exception {refusal.code}")]
                words, code = None, refusal.code
            if words is None:
                codes |= dict.fromkeys(part.points, code)
            answers.append(Answer(part, words, "" if words is not None else f"exception {code}"))
        known.learn(request, codes, [one.request for one in answers if one.words is not None], self._logbook.monotonic())
        log.warning(
            "addresses refused; read around from now on", device=known.unit.device, at=request.address, points=sorted(codes)
        )
        answers += await self._elsewhere(known, codes)
        await self._refusals.note(known.unit, known.refused)
        return answers

    async def _elsewhere(self, known: Known, points: Iterable[str]) -> list[Answer]:
        """Reads points that were refused at another place of theirs; ends, for each refusal leaves fewer places."""
        answers: list[Answer] = []
        for request in known.elsewhere(points):
            try:
                answers.append(Answer(request, await self._read(known.unit, request)))
            except DeviceTimeout as error:
                return [*answers, Answer(request, None, self._count_silence(known, error))]
            except DeviceRefused as error:
                answers += await self._refused(known, request, error.code)
        return answers

    def _unanswered(self, known: Known, reason: str) -> asyncio.Future[None] | None:
        before, unit = known.liveness, known.unit
        silent = 1 + sum(other.liveness.is_silent for other in self._units.values() if other is not known)
        known.liveness = unanswered(before, self._logbook.monotonic(), unit.timeout_s, silent)
        if known.liveness.is_silent and not before.is_silent:
            log.warning("device silent", device=unit.device, bus=self._bus.id, unit=unit.unit_id)
        return self._silent(known, reason)

    def _answers_again(self, known: Known) -> None:
        if known.liveness.is_silent:
            log.info("device answers again", device=known.unit.device, bus=self._bus.id, unit=known.unit.unit_id)
            known.forget()
            now = self._logbook.monotonic()
            for other in self._units.values():
                other.liveness = roused(other.liveness, now)
        known.liveness = ALIVE

    def _silent(self, known: Known, reason: str) -> asyncio.Future[None] | None:
        if self._units.get(known.unit.device) is not known:
            return None
        return self._logbook.silent(known.unit.device, reason)
