"""Modbus units whose every answer holds a number that occurs once, so that each stored value tells which answer it was.

1. A unit's n-th answer holds n, and ``answered`` knows when that was; numbers go on over any restart of the gateway.
2. A second register rises and falls with n: alerts follow from the numbers alone.
3. ``quiet`` units hear and say nothing.
"""

import asyncio
import threading
import time
from collections import defaultdict
from concurrent.futures import Future
from typing import NamedTuple

from device_profiles import Table
from simulators.ends import TcpEnd
from simulators.slave import Silent
from tests.servers import HOST, free_port

RAISED, LOW = 50, 0
WAVE = 20
"""Answers after which the second register changes, unless a run names another number."""
RARE = 60
"""So many that no alert flaps within a minute or so: what flaps is not reviewed."""


class Device(NamedTuple):
    """``number`` and ``level`` are the metrics of its two registers."""

    id: str
    profile: str
    number: str
    level: str


def devices(meters: int, alarms: int) -> list[Device]:
    """Meters speak in the bulk lane, alarms in the urgent one. A device's place in the list is its unit id less one."""
    bulk = [Device(f"meter-{n:03d}", "fault-meter", "energy_total", "voltage") for n in range(1, meters + 1)]
    return bulk + [Device(f"alarm-{n:03d}", "fault-alarm", "counter_1", "gas") for n in range(1, alarms + 1)]


PROFILES = {
    "fault-meter": """id: fault-meter
kind: energy
vendor: none
model: fault-meter
name: {zh: 测试电表, en: Meter of the fault tests}
confidence: single
sources: [none]
modbus: {interval_s: 0.2, max_registers: 3}
points:
  energy_total: {unit: kWh, modbus: {table: holding, address: 0, type: uint32}}
  voltage: {unit: V, modbus: {table: holding, address: 2}}
examples:
  vectors: [{origin: computed, point: voltage, words: [50], gives: 50.0}]
""",
    "fault-alarm": """id: fault-alarm
kind: safety
vendor: none
model: fault-alarm
name: {zh: 测试报警器, en: Alarm of the fault tests}
confidence: single
sources: [none]
modbus: {interval_s: 0.2, max_registers: 3}
points:
  counter_1: {unit: count, modbus: {table: holding, address: 0, type: uint32}}
  gas: {unit: "%LEL", modbus: {table: holding, address: 2}}
examples:
  vectors: [{origin: computed, point: gas, words: [50], gives: 50.0}]
""",
}
RULES = """rules:
  - id: gas_high
    kind: gas_high
    family: environment
    colour: red
    title: {zh: 燃气, en: Gas}
    text: {zh: "{place} {value}", en: "{place} {value}"}
    applies_to: {kinds: [safety]}
    when: {type: threshold, metric: gas, unit: "%LEL", direction: above, raise_at: 25, clear_at: 20}
  - id: voltage_high
    kind: voltage_high
    family: system
    colour: yellow
    title: {zh: 电压, en: Voltage}
    text: {zh: "{place} {value}", en: "{place} {value}"}
    applies_to: {kinds: [energy]}
    when: {type: threshold, metric: voltage, unit: V, direction: above, raise_at: 25, clear_at: 20}
"""


class _Unit:
    def __init__(self, bank: "Units", unit_id: int) -> None:
        self._bank = bank
        self._id = unit_id

    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        if self._bank.quiet:
            raise Silent
        n = self._bank.answer(self._id)
        level = RAISED if (n // self._bank.wave + self._id) % 2 else LOW
        return (n >> 16, n & 0xFFFF, level)[address : address + count]


class Units:
    """The units of one community behind one TCP port, served by a thread."""

    def __init__(self, count: int, wave: int = WAVE) -> None:
        self.quiet = False
        self.wave = wave
        self.port = free_port()
        self._times: dict[int, list[int]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="units", daemon=True)
        self._end = TcpEnd(HOST, self.port, {unit_id: _Unit(self, unit_id) for unit_id in range(1, count + 1)})

    def answer(self, unit_id: int) -> int:
        """The next number of a unit."""
        self._times[unit_id].append(time.time_ns() // 1000)
        return len(self._times[unit_id])

    def answered(self, unit_id: int, n: int) -> int | None:
        """When a unit gave its n-th answer, UTC microseconds; ``None`` when it never did."""
        times = self._times[unit_id]
        return times[n - 1] if 1 <= n <= len(times) else None

    def answers(self, unit_id: int) -> list[tuple[int, int]]:
        """All answers of a unit, each with its instant."""
        return list(enumerate(self._times[unit_id], 1))

    def start(self) -> None:
        self._thread.start()
        self._run(self._end.open())

    def close(self) -> None:
        """Nothing when it was not started."""
        if not self._thread.is_alive():
            return
        self._run(self._end.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, coroutine: object) -> None:
        waiting: Future[None] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)  # type: ignore[arg-type]
        waiting.result(10)
