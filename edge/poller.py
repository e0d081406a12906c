"""One bus, polled: each unit in its slots, through one master, with what came of it in the logbook.

1. One poll of a unit at a time; units take turns by their slots (see ``schedule``).
2. What was read is kept: a request that fails spoils its own points and no others.
3. A silent unit costs its probes and nothing more (see ``liveness``); its readings say so.
4. Addresses that a unit refuses are learned and read around; after an hour or a silence they are tried again.
5. Urgent readings are durable before the next poll.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from device_profiles import Answer, Profile, Request, Table, decode, plan
from edge.drivers.modbus import Bus
from edge.health import Tally
from edge.liveness import ALIVE, Liveness, may_ask, unanswered
from edge.logbook import Logbook
from edge.schedule import Timetable, Turn
from telemetry.errors import BusUnavailable, DeviceRefused, DeviceTimeout

BLAMES_AN_ADDRESS = (2, 3)
"""Exceptions "illegal address" and "illegal value": what devices say to a request that touches a register they lack."""

FORGET_REFUSALS_S = 3600.0
BUS_UNAVAILABLE = "bus unavailable"
TIMEOUT = "timeout"
IDLE_S = 60.0

log = structlog.get_logger()


class Unit(NamedTuple):
    """A device on the bus. ``interval_s`` overrides what the profile says of every point."""

    device: str
    profile: Profile
    unit_id: int
    interval_s: float | None = None
    bus_timeout_s: float = 1.0

    @property
    def timeout_s(self) -> float:
        modbus = self.profile.modbus
        return (modbus.timeout_s if modbus else None) or self.bus_timeout_s

    @property
    def intervals(self) -> dict[str, float]:
        """Seconds by point, of the points that make readings; what they need besides is read with them."""
        points = [point for point in self.profile.points.values() if point.metric is not None and point.register is not None]
        return {point.name: self.interval_s or point.interval_s for point in points}


class _State:
    """What has been learned of a unit. ``refused`` addresses are read around; ``refusals`` tell why a point has no value."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.liveness: Liveness = ALIVE
        self.refused: frozenset[tuple[Table, int]] = frozenset()
        self.refusals: dict[str, Answer] = {}
        self._forget_at = math.inf
        self._plans: dict[tuple[str, ...], tuple[Request, ...]] = {}

    def requests(self, due: tuple[str, ...]) -> tuple[Request, ...]:
        known = self._plans.get(due)
        if known is None:
            wanted = [point for point in due if point not in self.refusals]
            known = self._plans[due] = plan(self.unit.profile, wanted, self.refused) if wanted else ()
        return known

    def learn(self, request: Request, answers: Sequence[Answer], now: float) -> None:
        """``answers`` tell apart what ``request`` asked for at once: refused points, and holes between the others."""
        there = frozenset[tuple[Table, int]]().union(
            *(addresses(answer.request) for answer in answers if answer.words is not None)
        )
        self.refused |= addresses(request) - there
        for answer in answers:
            if answer.words is None:
                self.refusals |= {point: _of_one_point(answer, point) for point in answer.request.points}
        self._forget_at = now + FORGET_REFUSALS_S
        self._plans.clear()

    def forget(self, now: float = math.inf) -> None:
        """Starts learning anew, if it is time."""
        if now >= self._forget_at:
            self.refused, self._forget_at = frozenset(), math.inf
            self.refusals.clear()
            self._plans.clear()


class Poller:
    """Polls until cancelled; ``replace`` may be called at any time."""

    def __init__(self, bus: Bus, logbook: Logbook, tally: Tally) -> None:
        self._bus = bus
        self._logbook = logbook
        self._tally = tally
        self._timetable = Timetable()
        self._states: dict[str, _State] = {}
        self._changed = asyncio.Event()

    def replace(self, units: Sequence[Unit]) -> None:
        """Polls these units from now on. A unit that stays as it was keeps its slots and what is known of it."""
        wanted = {unit.device: unit for unit in units}
        for device in [device for device, state in self._states.items() if wanted.get(device) != state.unit]:
            del self._states[device]
            self._timetable.remove(device)
        for unit in units:
            if unit.device not in self._states:
                self._states[unit.device] = _State(unit)
                self._timetable.add(unit.device, unit.intervals, self._logbook.monotonic())
        self._changed.set()

    async def run(self) -> None:
        while True:
            turn = self._timetable.take(self._logbook.monotonic())
            if turn is None:
                await self._rest()
                continue
            self._tally.polls_missed += turn.missed
            self._tally.late(turn.lateness_s)
            await self._poll(self._states[turn.device], turn)

    async def _rest(self) -> None:
        """Until the next slot, or until the units change."""
        self._changed.clear()
        next_at = self._timetable.next_at()
        pause_s = IDLE_S if next_at is None else next_at - self._logbook.monotonic()
        if pause_s > 0:
            try:
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _poll(self, state: _State, turn: Turn) -> None:
        if may_ask(state.liveness, self._logbook.monotonic()):
            accepted = await self._ask_unit(state, turn)
        else:
            accepted = self._silent(state, TIMEOUT)
        if accepted is not None:
            await self._logbook.settled(accepted)

    async def _ask_unit(self, state: _State, turn: Turn) -> asyncio.Future[None] | None:
        device, began = turn.device, self._logbook.utc()
        state.forget(self._logbook.monotonic())
        self._tally.polls += 1
        answers = [state.refusals[point] for point in turn.points if point in state.refusals]
        try:
            heard = await self._ask_all(state, turn.points, answers)
        except BusUnavailable:
            return self._silent(state, BUS_UNAVAILABLE)
        if not heard:
            return self._unanswered(state)
        if state.liveness is not ALIVE:
            self._answers_again(state)
        if self._states.get(device) is not state:
            return None
        at = began + (self._logbook.utc() - began) // 2
        return self._logbook.polled(device, decode(state.unit.profile, answers), at)

    async def _ask_all(self, state: _State, due: tuple[str, ...], answers: list[Answer]) -> bool:
        """Adds an answer for each request to ``answers``; whether the unit said anything. A time-out ends the poll."""
        requests = state.requests(due)
        heard = not requests
        for number, request in enumerate(requests):
            try:
                answers.append(Answer(request, await self._read(state.unit, request)))
            except DeviceTimeout:
                self._tally.timeouts += 1
                answers += (Answer(left, None, TIMEOUT) for left in requests[number:])
                return heard
            except DeviceRefused as error:
                self._tally.refused += 1
                answers += await self._refused(state, request, error.code)
            heard = True
        return heard

    async def _read(self, unit: Unit, request: Request) -> tuple[int, ...]:
        modbus = unit.profile.modbus
        if modbus is not None and modbus.gap_ms:
            await asyncio.sleep(modbus.gap_ms / 1000)
        return await self._bus.read(unit.unit_id, request.table, request.address, request.count, unit.timeout_s)

    async def _refused(self, state: _State, request: Request, code: int) -> list[Answer]:
        """A refused request: when one address of several may be to blame, asks point by point and learns which."""
        if code not in BLAMES_AN_ADDRESS:
            return [Answer(request, None, f"exception {code}")]
        answers: list[Answer] = []
        for part in apart(state.unit.profile, request):
            try:
                words = None if part == request else await self._read(state.unit, part)
                answers.append(Answer(part, words, "" if words is not None else f"exception {code}"))
            except DeviceTimeout:
                self._tally.timeouts += 1
                return [Answer(request, None, TIMEOUT)]
            except DeviceRefused as refusal:
                answers.append(Answer(part, None, f"exception {refusal.code}"))
        state.learn(request, answers, self._logbook.monotonic())
        refused = sorted(point for answer in answers if answer.words is None for point in answer.request.points)
        log.warning("addresses refused; read around from now on", device=state.unit.device, at=request.address, points=refused)
        return answers

    def _unanswered(self, state: _State) -> asyncio.Future[None] | None:
        before = state.liveness
        state.liveness = unanswered(before, self._logbook.monotonic(), state.unit.timeout_s)
        if state.liveness.is_silent and not before.is_silent:
            log.warning("device silent", device=state.unit.device, bus=self._bus.id, unit=state.unit.unit_id)
        return self._silent(state, TIMEOUT)

    def _answers_again(self, state: _State) -> None:
        if state.liveness.is_silent:
            log.info("device answers again", device=state.unit.device, bus=self._bus.id, unit=state.unit.unit_id)
            state.forget()
        state.liveness = ALIVE

    def _silent(self, state: _State, reason: str) -> asyncio.Future[None] | None:
        if self._states.get(state.unit.device) is not state:
            return None
        return self._logbook.silent(state.unit.device, reason)


def _of_one_point(answer: Answer, point: str) -> Answer:
    return answer._replace(request=answer.request._replace(points=(point,)))


def apart(profile: Profile, request: Request) -> tuple[Request, ...]:
    """The requests that read the points of ``request`` one by one, each with the helpers it needs."""
    return tuple(dict.fromkeys(part for point in request.points for part in plan(profile, (point,))))


def addresses(request: Request) -> frozenset[tuple[Table, int]]:
    return frozenset((request.table, request.address + offset) for offset in range(request.count))
