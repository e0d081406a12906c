"""Finds the units on a bus. Reads only: one register by function 03, then by 04 from those that kept silent.

An exception is an answer: it says that somebody is there. What a unit may be is guessed by reading it as each profile would.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec

from device_profiles import Answer, Library, Profile, Table, decode, plan
from edge.bus_config import BusConfig, RtuBus
from edge.drivers.modbus import Bus, open_bus
from edge.provisioning.probe import Reads
from edge.provisioning.site import Site, bus_config
from telemetry.errors import ConfigInvalid, DeviceRefused, DeviceTimeout, Problem
from telemetry.quality import Quality

FUNCTIONS = {"03": Table.HOLDING, "04": Table.INPUT}
MAX_GUESSES = 5
MAX_SILENCES = 3
"""Reads that a unit may leave unanswered while it is guessed at, before it is left alone."""

UnitId = Annotated[int, msgspec.Meta(ge=1, le=247)]
_SETTING = re.compile(r"([0-9]{3,7})(?:[-/ ]?8?([NEO])([12]))?")


class Scan(msgspec.Struct, frozen=True, kw_only=True, tag="scan", tag_field="verb", forbid_unknown_fields=True):
    """``settings``: serial settings to try, as ``9600`` or ``19200-8E1``; none for the bus as it is configured."""

    bus: str
    first: UnitId = 1
    last: UnitId = 247
    settings: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.3
    guess: bool = True


class Guess(msgspec.Struct, frozen=True):
    """A profile whose every point reads plausibly. Points with a range tell most: any bit is a plausible relay."""

    profile: str
    points: int
    ranged: int


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that answered. ``functions`` maps 03 and 04 to what came; ``device`` is the id configured at this address.

    ``guesses``: the most telling of the ``fitting`` profiles.
    """

    unit_id: int
    setting: str
    functions: dict[str, str]
    latency_ms: float
    device: str = ""
    guesses: tuple[Guess, ...] = ()
    fitting: int = 0


class Scanned(msgspec.Struct, frozen=True, tag="scanned", tag_field="answer"):
    bus: str
    units: tuple[Unit, ...]


class Step(msgspec.Struct, frozen=True, tag="step", tag_field="answer"):
    """How far a verb is."""

    done: int
    total: int
    words: str = ""


class Setting(NamedTuple):
    """Serial line settings."""

    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baud}-8{self.parity}{self.stop_bits}"


Progress = Callable[[Step], None]


def parse_setting(text: str) -> Setting:
    """``9600`` (8N1) or ``19200-8E1``. Raises ``ConfigInvalid``."""
    match = _SETTING.fullmatch(text.strip().upper())
    if match is None or not 300 <= int(match[1]) <= 1_000_000:
        raise ConfigInvalid(
            [Problem("linli bus scan", "--baud", f"{text!r} is not a serial setting", "for example 9600 or 19200-8E1")]
        )
    return Setting(int(match[1]), match[2] or "N", int(match[3] or 1))


async def scan(site: Site, asked: Scan, progress: Progress, clock: Callable[[], float] = time.monotonic) -> Scanned:
    """Raises ``ConfigInvalid`` or ``BusUnavailable``."""
    config = bus_config(site.config, asked.bus)
    settings = _settings(site, config, asked)
    span = range(asked.first, asked.last + 1)
    if not span:
        raise ConfigInvalid([Problem("linli bus scan", "--from, --to", f"{asked.first} comes after {asked.last}")])
    if asked.settings:
        await site.bus(asked.bus).close()  # it would keep the port; it opens again at its next read
    units: list[Unit] = []
    for number, setting in enumerate(settings):
        bus = _tuned(config, setting) if asked.settings and setting else site.bus(asked.bus)
        sweep = _Sweep(bus, asked.timeout_s, clock, _report(progress, number, len(settings), len(span), setting))
        try:
            for unit_id, functions in (await sweep.run(span)).items():
                guesses = await guess(bus, unit_id, site.library, asked.timeout_s) if asked.guess else ()
                units.append(
                    Unit(
                        unit_id=unit_id,
                        setting=str(setting or ""),
                        functions=functions,
                        latency_ms=sweep.latency_ms[unit_id],
                        device=_configured(site, asked.bus, unit_id),
                        guesses=guesses[:MAX_GUESSES],
                        fitting=len(guesses),
                    )
                )
        finally:
            if asked.settings:
                await bus.close()
    return Scanned(asked.bus, tuple(units))


async def guess(bus: Reads, unit_id: int, library: Library, timeout_s: float) -> tuple[Guess, ...]:
    """Profiles whose every point reads plausibly from this unit, the most telling first."""
    memory = _Memory(bus)
    profiles = await asyncio.to_thread(lambda: tuple(library.profiles.values()))  # reads files the first time
    fitting = [
        Guess(profile.id, len(profile.points), sum(point.range is not None for point in profile.points.values()))
        for profile in profiles
        if profile.modbus and await _fits(memory, unit_id, profile, timeout_s)
    ]
    return tuple(sorted(fitting, key=lambda one: (-one.ranged, -one.points, one.profile)))


class _Sweep:
    """One pass over the units of a bus at one setting."""

    def __init__(self, bus: Reads, timeout_s: float, clock: Callable[[], float], tick: Callable[[int, int], None]) -> None:
        self.latency_ms: dict[int, float] = {}
        self._bus = bus
        self._timeout_s = timeout_s
        self._clock = clock
        self._tick = tick

    async def run(self, span: range) -> dict[int, dict[str, str]]:
        """What came by each function from each unit that answered. A silent unit gets its second chance a round later,
        when a late answer to the first can no longer be taken for it."""
        found: dict[int, dict[str, str]] = {}
        for function in FUNCTIONS:
            for unit_id in [unit_id for unit_id in span if unit_id not in found]:
                answer = await self._knock(unit_id, function)
                if answer:
                    found[unit_id] = {function: answer}
                self._tick(unit_id, 2 if function == "03" and answer else 1)
        for unit_id, functions in sorted(found.items()):
            for function in FUNCTIONS.keys() - functions:
                functions[function] = await self._knock(unit_id, function) or "silent"
        return dict(sorted(found.items()))

    async def _knock(self, unit_id: int, function: str) -> str:
        """What came, or nothing."""
        begun = self._clock()
        try:
            await self._bus.read(unit_id, FUNCTIONS[function], 0, 1, self._timeout_s)
            words = "answered"
        except DeviceRefused as error:
            words = f"exception {error.code}"
        except DeviceTimeout:
            return ""
        self.latency_ms.setdefault(unit_id, round((self._clock() - begun) * 1000, 1))
        return words


class _Memory:
    """Reads of one unit that are asked once, however many profiles want them."""

    def __init__(self, bus: Reads) -> None:
        self._bus = bus
        self._known: dict[tuple[Table, int, int], tuple[int, ...] | DeviceRefused | DeviceTimeout] = {}
        self._silences = 0

    async def read(self, unit_id: int, table: Table, address: int, count: int, timeout_s: float | None = None) -> tuple[int, ...]:
        key = (table, address, count)
        if key not in self._known:
            if self._silences >= MAX_SILENCES:
                raise DeviceTimeout(f"unit {unit_id} keeps silent too often")
            try:
                self._known[key] = await self._bus.read(unit_id, table, address, count, timeout_s)
            except (DeviceRefused, DeviceTimeout) as error:
                self._silences += isinstance(error, DeviceTimeout)
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, tuple):
            return known
        raise known


async def _fits(bus: Reads, unit_id: int, profile: Profile, timeout_s: float) -> bool:
    answers = []
    for request in plan(profile):
        try:
            words = await bus.read(unit_id, request.table, request.address, request.count, timeout_s)
        except (DeviceRefused, DeviceTimeout):
            return False
        answers.append(Answer(request, words))
    emitted = [row for row in decode(profile, answers) if row.metric]
    return bool(emitted) and all(row.quality is Quality.GOOD and row.value is not None for row in emitted)


def _settings(site: Site, config: BusConfig, asked: Scan) -> tuple[Setting | None, ...]:
    if not asked.settings:
        return (Setting(config.baud, config.parity, config.stop_bits) if isinstance(config, RtuBus) else None,)
    settings = tuple(map(parse_setting, asked.settings))
    if not isinstance(config, RtuBus):
        raise ConfigInvalid([Problem("linli bus scan", "--baud", f"{config.id} is no serial bus", "leave it out")])
    polled = [device.id for device in site.config.devices if device.address.bus == config.id]
    if polled:
        cure = "its setting is known: scan without --baud"
        raise ConfigInvalid([Problem("linli bus scan", "--baud", f"{config.id} is in use by {', '.join(polled)}", cure)])
    return settings


def _tuned(config: BusConfig, setting: Setting) -> Bus:
    assert isinstance(config, RtuBus)
    return open_bus(msgspec.structs.replace(config, **setting._asdict()))


def _report(progress: Progress, number: int, of: int, units: int, setting: Setting | None) -> Callable[[int, int], None]:
    """Counts reads: each unit is worth two, over every setting."""
    done = number * units * 2

    def tick(unit_id: int, reads: int) -> None:
        nonlocal done
        done += reads
        progress(Step(done, of * units * 2, f"unit {unit_id}" + (f" at {setting}" if setting else "")))

    return tick


def _configured(site: Site, bus: str, unit_id: int) -> str:
    places = (device for device in site.config.devices if device.address.bus == bus and device.address.unit_id == unit_id)
    return next((device.id for device in places), "")
