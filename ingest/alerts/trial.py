"""Tests of rules as YAML tables: devices, what they say, and the episodes that must come of it.

Every case runs in each of ``VARIANTS``, on the engine itself with a database of its own: however readings are delivered, the same
episodes come. Cases and variants share one engine; each has a community to itself, so that none sees another's states.
"""

import random
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from device_profiles import read_text
from ingest.alerts.alerts import AlertFilter, Alerts
from ingest.alerts.engine import AlertEngine
from ingest.alerts.episode import Alert, AlertState
from ingest.alerts.loading import load_rules
from ingest.alerts.notation import seconds
from ingest.alerts.rules import Rules
from ingest.alerts.tables import journal
from ingest.alerts.trial_table import KEY, START, Case, Expected, Table, arrivals_of, device_of, instant, micros_of, table_faults
from ingest.arrival import Arrival
from ingest.database import Database, metadata
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import GatewayRef, Scope
from telemetry.presence import Device
from telemetry.reading import Micros

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder without a disk below it; nothing in it outlives a run
_HAS_MEMORY = _IN_MEMORY.is_dir()

VARIANTS = ("plain", "restarts", "twice", "no ticks", "one take", "late", "shuffled")
UNTICKED = ("twice", "no ticks", "one take", "shuffled")
"""Without ticks in between: a tick says what is known by then, and these hold readings back for longer than that allows."""

TOGETHER = 4
"""Batches that come at once where nothing ticks in between."""

MEMORY = ("alert_rule_state", "alert_presence", "alert_trail")
RESTARTS = 12
"""Of the engine in a case, at most; before every batch when there are no more of them."""

LATE_US = 25_000_000
STEPS = 60
"""Ticks over a long case."""


class Outcome(NamedTuple):
    """``faults`` say what came that should not have come, and what did not come; none: the case holds."""

    case: str
    variant: str
    faults: tuple[str, ...]


class Loaded(NamedTuple):
    """A table with its rules, for as many communities as it has cases and variants."""

    file: Path
    table: Table
    rules: Rules
    communities: Mapping[tuple[str, str], str]


def load_table(file: Path) -> Loaded:
    """Raises ``ConfigInvalid`` with everything wrong with the table or its rules."""
    table = read(read_text(file), str(file), Table)
    problems = [Problem(str(file), *fault) for fault in table_faults(table)]
    if problems:
        raise ConfigInvalid(problems)
    pairs = [(case.name, variant) for case in table.cases for variant in VARIANTS]
    communities = {pair: f"4112{number:08}" for number, pair in enumerate(pairs)}
    paths = [(file.parent / name).resolve() for name in table.files]
    keys = dict.fromkeys(communities.values(), KEY)
    with tempfile.TemporaryDirectory() as folder:
        if table.rules is not None or table.more:
            own = Path(folder) / f"{file.stem}-rules.yaml"
            own.write_bytes(msgspec.json.encode({"rules": table.rules or [], **table.more}))
            paths.append(own)
        rules = load_rules(paths, keys, table.lists)
    if unknown := set(table.about) - set(rules.watchers):
        raise ConfigInvalid([Problem(str(file), "about", f"no rule {', '.join(sorted(unknown))}", "name rules of `files`")])
    return Loaded(file, table, rules, communities)


async def run(loaded: Loaded, variants: Iterable[str] = VARIANTS) -> AsyncIterator[Outcome]:
    """Every case in each variant, one after the other."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _HAS_MEMORY else None) as folder:
        trial = _Trial(loaded, Database(Path(folder) / "trial.db"))
        try:
            for case in loaded.table.cases:
                for variant in variants:
                    yield await trial.outcome(case, variant)
        finally:
            trial.close()


class _Trial:
    """The engine under trial; also its directory: every community has the table's devices."""

    def __init__(self, loaded: Loaded, database: Database) -> None:
        self._loaded = loaded
        self._database = database
        places = loaded.table.devices
        self._devices = {one.id: device_of(one) for one in places}
        self._engine = self._new()

    def find(self, ref: GatewayRef, device: str) -> Device | None:
        return self._devices.get(device)

    def zone_of(self, ref: GatewayRef, device: str) -> str:
        found = self.find(ref, device)
        return found.zone if found else ""

    def edition(self, ref: GatewayRef) -> object:
        return self._devices

    def close(self) -> None:
        self._database.close()

    async def outcome(self, case: Case, variant: str) -> Outcome:
        community = self._loaded.communities[case.name, variant]
        start = instant(case.start or START)
        await self._database.write(_forget)  # or every restart would hear again of all cases before
        self._engine = self._new()
        await self._engine.open()
        failures = self._engine.failures
        await self._deliver(
            arrivals_of(self._loaded.table, case, community, start, beats=bool(self._loaded.rules.absences)), case, variant, start
        )
        found, _ = await Alerts(self._database).page(Scope([community]), AlertFilter(), None, 500)
        about = self._loaded.table.about
        graded = await self._database.read(_gradings)
        came = [_shown(one, graded, start) for one in found if not about or one.rule in about]
        came = [one for one in (_by(shown, seconds(case.until)) for shown in came) if one]
        faults = list(_compared(case.expect, came))
        if self._engine.failures != failures:
            faults.append("a rule raised an error")
        return Outcome(case.name, variant, tuple(faults))

    async def _deliver(self, arrivals: list[Arrival], case: Case, variant: str, start: int) -> None:
        until = start + micros_of(case.until)
        step = max(1_000_000, (until - start) // STEPS)
        if variant == "late":
            arrivals = [one._replace(received_at=Micros(one.received_at + LATE_US)) for one in arrivals]
            until += 3 * LATE_US  # as late again as it is, until the engine believes that nothing else is on its way
        now = start
        groups = list(_groups(arrivals, variant, case.name))
        for number, group in enumerate(groups):
            received = max(one.received_at for one in group)
            while variant not in UNTICKED and now < received:
                await self._engine.tick(now)
                now += step
            if variant == "restarts" and number % (len(groups) // RESTARTS + 1) == 0:
                self._engine = self._new()
                await self._engine.open()
            await self._engine.take(group, received)
        for _ in range(4):
            await self._engine.tick(until)

    def _new(self) -> AlertEngine:
        return AlertEngine(self._loaded.rules, self._database, self, lambda: None)


def _groups(arrivals: list[Arrival], variant: str, name: str) -> Iterator[list[Arrival]]:
    """What is taken together, in the order in which it comes."""
    chance = random.Random(name)
    size = len(arrivals) if variant == "one take" else TOGETHER if variant in UNTICKED else 1
    for place in range(0, len(arrivals), max(size, 1)):
        group = arrivals[place : place + size]
        match variant:
            case "twice":
                first = [one._replace(seq=2 * one.seq - 1) for one in group]
                yield from (first, first, [one._replace(seq=2 * one.seq) for one in group])
            case "shuffled":
                yield chance.sample(group, len(group))
            case _:
                yield group


def _forget(connection: sa.Connection) -> None:
    """What the engine remembers, of whichever case; the alerts stay."""
    for name in MEMORY:
        connection.execute(metadata.tables[name].delete())


def _gradings(connection: sa.Connection) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    wanted = sa.select(journal.c.alert, journal.c.event_at).where(journal.c.transition == "graded").order_by(journal.c.seq)
    for alert, at in connection.execute(wanted):
        found.setdefault(alert, []).append(at)
    return found


class _Came(NamedTuple):
    expected: Expected
    texts: tuple[str, str]


def _shown(alert: Alert, graded: Mapping[str, list[int]], start: int) -> _Came:
    def after(at: int | None) -> float:
        return ((at or 0) - start) / 1e6

    cleared = None if alert.state is AlertState.OPEN else after(alert.cleared_at)
    grades = tuple(after(at) for at in graded.get(alert.id, ()))
    shown = Expected(alert.rule, alert.device, after(alert.opened_at), cleared, alert.count, alert.value, alert.colour, grades)
    return _Came(shown, (alert.text.zh, alert.text.en))


def _by(came: _Came, until: float) -> _Came | None:
    """As it was at the end of the case: a variant that runs on for longer sees more."""
    it = came.expected
    if seconds(it.opened) > until:
        return None
    if it.cleared is None or seconds(it.cleared) <= until:
        return came
    return came._replace(expected=msgspec.structs.replace(it, cleared=None))


def _compared(expected: Iterable[Expected], came: list[_Came]) -> Iterator[str]:
    left = list(came)
    for one in expected:
        found = next((other for other in left if _same(one, other)), None)
        if found is None:
            yield f"did not come: {_said(one)}"
        else:
            left.remove(found)
    yield from (f"came: {_said(one.expected)}" for one in left)


def _same(one: Expected, came: _Came) -> bool:
    other = came.expected
    cleared = None if one.cleared is None else seconds(one.cleared)
    return (
        (one.rule, one.device, seconds(one.opened), cleared, one.count)
        == (other.rule, other.device, other.opened, other.cleared, other.count)
        and one.value in (None, other.value)
        and one.colour in (None, other.colour)
        and (one.graded is None or tuple(map(seconds, one.graded)) == other.graded)
        and (one.says is None or any(one.says in text for text in came.texts))
    )


def _said(one: Expected) -> str:
    rest = {name: getattr(one, name) for name in ("cleared", "count", "value", "colour", "graded", "says")}
    told = ", ".join(f"{name} {value}" for name, value in rest.items() if value is not None)
    return f"{one.rule} at {one.device} opened {one.opened} ({told})"
