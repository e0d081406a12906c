"""Faults at random, mixed, for as long as you like: ``python -m tests.faults.campaign --seed N --minutes M``.

1. Everything is drawn from the seed: round k of seed N has the same faults in the same order wherever it runs, and
   ``--round K`` runs that one alone. What the machine does between two faults is its own.
2. Each round is a new community that lives through about half a minute of faults, is left in peace, and is judged: by its
   readings, and by its alerts, which are those of a centre that took the stored readings in order and lived through nothing.
   In one round of three telemetry goes to InfluxDB, which is killed and stopped too.
3. A round that fails is shown with its faults, and its folder is kept.
4. ``--without acknowledgement``, ``syncing`` or ``epochs`` breaks that promise: such a campaign must find losses.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import devices
from tests.faults.disk import Disk, can_mount
from tests.faults.network import Packets, can_drop
from tests.faults.proxy import Proxy
from tests.faults.rig import LINLI, SETTLE_S, Program, Rig, broken, cut_power
from tests.faults.tap import Tap
from tests.servers import Server, influxdb, is_installed

ROUND_S = 25.0
PAUSE_S = (0.1, 2.5)
LASTS_S = (0.1, 4.0)
LONG_S = 12.0
"""One fault in ten lasts up to so long."""
LASTING = ("take away", "pause", "die between", "refuse", "trickle", "lose packets")
"""The others happen and are over."""
SERVED = 1 / 3
"""The share of the rounds whose telemetry goes to a server."""
WITHOUT = {
    "acknowledgement": broken("forgetful_edge", "confirmed"),
    "syncing": broken("careless_edge", "NORMAL"),
    "epochs": broken("epochless_edge"),
}
"""Gateways with one promise broken."""
STILL_S = 10.0
"""So long without anything new means that what is missing from such a gateway will never come."""

RULES = f"""{devices.RULES}
  - id: gas_lasts
    kind: gas_lasts
    family: environment
    colour: red
    title: {{zh: 燃气持续, en: Gas for a while}}
    text: {{zh: "{{place}} {{value}}", en: "{{place}} {{value}}"}}
    applies_to: {{kinds: [safety]}}
    when: {{type: threshold, metric: gas, unit: "%LEL", direction: above, raise_at: 25, clear_at: 20, for_s: 2, clear_for_s: 1}}
  - id: voltage_often
    kind: voltage_often
    family: system
    colour: yellow
    title: {{zh: 电压多次, en: Voltage often}}
    text: {{zh: "{{place}} {{value}}", en: "{{place}} {{value}}"}}
    applies_to: {{kinds: [energy]}}
    when: {{type: count, where: {{voltage: {{at_least: 25}}}}, count: 10, within_s: 3}}
  - id: voltage_rises
    kind: voltage_rises
    family: system
    colour: yellow
    title: {{zh: 电压上升, en: Voltage rises}}
    text: {{zh: "{{place}} {{value}}", en: "{{place}} {{value}}"}}
    applies_to: {{kinds: [energy]}}
    when: {{type: rate, metric: voltage, unit: V, within_s: 4, course: rise, raise_at: 30, clear_at: 10}}
"""
"""Rules with clocks and windows beside those that judge each reading alone."""


class Step(NamedTuple):
    """After a pause comes a fault, which lasts a while where it is one that does."""

    pause_s: float
    fault: str
    lasts_s: float

    def __str__(self) -> str:
        return f"{self.pause_s:.2f} s, then {self.fault}" + (f" for {self.lasts_s:.2f} s" if self.lasts_s else "")


class Stage(NamedTuple):
    """Where a round plays. ``disks`` and ``packets`` are not there without root, ``database`` not in most rounds."""

    rig: Rig
    database: Server | None
    proxy: Proxy
    tap: Tap
    packets: Packets | None
    disks: dict[str, Disk]
    chance: random.Random


def plan(chance: random.Random, seconds: float, faults: list[str]) -> Iterator[Step]:
    """Faults for about so many seconds."""
    total = 0.0
    while total < seconds:
        fault, longest = chance.choice(faults), LONG_S if chance.random() < 0.1 else LASTS_S[1]
        lasts_s = chance.uniform(LASTS_S[0], longest) if fault.startswith(LASTING) else 0.0
        step = Step(chance.uniform(*PAUSE_S), fault, lasts_s)
        total += step.pause_s + step.lasts_s
        yield step


def _part(stage: Stage, name: str) -> Program | Server:
    found: Program | Server | None = stage.database if name == "database" else getattr(stage.rig, name)
    assert found is not None, f"there is no {name} in this round"
    return found


def _begin(part: Program | Server) -> None:
    if isinstance(part, Program):
        part.start(wait=False)
    else:
        part.start()


def _kill(name: str) -> Callable[[Stage, float], None]:
    def kill(stage: Stage, _lasts_s: float) -> None:
        part = _part(stage, name)
        part.kill()
        _begin(part)

    return kill


def _take_away(name: str) -> Callable[[Stage, float], None]:
    def take_away(stage: Stage, lasts_s: float) -> None:
        part = _part(stage, name)
        part.kill()
        time.sleep(lasts_s)
        _begin(part)

    return take_away


def _pause(name: str) -> Callable[[Stage, float], None]:
    def pause(stage: Stage, lasts_s: float) -> None:
        part = _part(stage, name)
        part.pause()
        time.sleep(lasts_s)
        part.resume()

    return pause


def _cut_power(part: str) -> Callable[[Stage, float], None]:
    def cut(stage: Stage, _lasts_s: float) -> None:
        program: Program = getattr(stage.rig, part)
        cut_power(stage.disks[part], program)
        program.start(wait=False)

    return cut


def _die_between(stage: Stage, lasts_s: float) -> None:
    """The centre dies at one of its durable steps, if it comes to it in time."""
    point, count = stage.chance.choice(("stored", "judged", "acknowledging")), stage.chance.randint(1, 10)
    centre = stage.rig.centre
    centre.kill()
    centre.script = broken("dying_centre", point, str(count))
    centre.start(wait=False)
    time.sleep(2 + lasts_s)
    centre.kill()
    centre.script = LINLI
    centre.start(wait=False)


def _refuse(stage: Stage, lasts_s: float) -> None:
    stage.proxy.refuse(True)
    time.sleep(lasts_s)
    stage.proxy.refuse(False)


def _freeze(stage: Stage, _lasts_s: float) -> None:
    stage.proxy.freeze()


def _reset(stage: Stage, _lasts_s: float) -> None:
    stage.proxy.reset()


def _cut_in_the_middle(stage: Stage, _lasts_s: float) -> None:
    stage.proxy.cut_after = stage.proxy.passed + stage.chance.randint(0, 20_000)


def _trickle(stage: Stage, lasts_s: float) -> None:
    stage.proxy.bytes_per_s, stage.proxy.jitter_s = stage.chance.uniform(2_000, 20_000), 0.1
    time.sleep(lasts_s)
    stage.proxy.bytes_per_s, stage.proxy.jitter_s = None, 0.0


def _lose_packets(stage: Stage, lasts_s: float) -> None:
    assert stage.packets is not None
    stage.packets.lose(stage.chance.choice((10, 30, 100)))
    time.sleep(lasts_s)
    stage.packets.lose(0)


def _repeat_batches(stage: Stage, _lasts_s: float) -> None:
    heard = list(stage.tap.messages)
    for _, name, payload in stage.chance.sample(heard, min(20, len(heard))):
        stage.tap.publish(name, payload)


ANYWHERE: dict[str, Callable[[Stage, float], None]] = {
    **{f"kill {part}": _kill(part) for part in ("edge", "centre", "broker")},
    **{f"take away {part}": _take_away(part) for part in ("edge", "centre", "broker")},
    **{f"pause {part}": _pause(part) for part in ("edge", "centre", "broker")},
    "die between": _die_between,
    "refuse": _refuse,
    "freeze": _freeze,
    "reset": _reset,
    "cut in the middle": _cut_in_the_middle,
    "trickle": _trickle,
    "repeat batches": _repeat_batches,
}
WITH_ROOT: dict[str, Callable[[Stage, float], None]] = {
    **{f"cut power {part}": _cut_power(part) for part in ("edge", "centre")},
    "lose packets": _lose_packets,
}
WITH_DATABASE: dict[str, Callable[[Stage, float], None]] = {
    "kill database": _kill("database"),
    "take away database": _take_away("database"),
    "pause database": _pause("database"),
}
FAULTS = ANYWHERE | WITH_ROOT | WITH_DATABASE


class Played(NamedTuple):
    """A round that is over: what happened, how much was accepted, and what is wrong."""

    steps: list[Step]
    accepted: int
    alerts: int
    problems: list[str]


def play(folder: Path, seed: str, seconds: float = ROUND_S, without: str = "") -> Played:
    """One round in ``folder``, judged; ``without`` names a promise that the gateway does not keep."""
    chance = random.Random(seed)
    rooted, served = can_mount() and can_drop(), is_served(seed)
    faults = ANYWHERE | (WITH_ROOT if rooted else {}) | (WITH_DATABASE if served else {})
    steps = list(plan(chance, seconds, sorted(faults)))
    with ExitStack() as stack:
        stage = _set_up(stack, folder, chance, rooted, served)
        stage.rig.edge.script = WITHOUT.get(without, LINLI)
        stage.rig.start()
        for step in steps:
            time.sleep(step.pause_s)
            FAULTS[step.fault](stage, step.lasts_s)
        stage.rig.settle(in_order=False, still_s=STILL_S if without else SETTLE_S)
        problems = stage.rig.verdict(late=True) + [f"key of a batch used again: {key}" for key in stage.tap.reused]
        return Played(steps, len(stage.rig.settled), stage.rig.alerts().total(), problems)


def is_served(seed: str) -> bool:
    """Whether telemetry goes to InfluxDB in the round of this seed."""
    return random.Random(f"{seed} store").random() < SERVED and is_installed("influxd")


def _set_up(stack: ExitStack, folder: Path, chance: random.Random, rooted: bool, served: bool) -> Stage:
    proxy = stack.enter_context(Proxy(random.Random(chance.random())))
    names = ("edge", "centre") if rooted else ()
    disks = {part: stack.enter_context(Disk(folder, name=f"{part}-disk", megabytes=128)) for part in names}
    data: dict[str, Any] = {f"{part}_data": disk.folder / "data" for part, disk in disks.items()}
    database = stack.enter_context(influxdb(folder)) if served else None
    if database is not None:
        data["store"] = f"influx:{database.url}/linli"
    rig = stack.enter_context(Rig(folder, uplink=proxy.port, rules=RULES, wave=devices.RARE, **data))
    proxy.target = rig.broker.port
    packets = stack.enter_context(Packets(proxy.port)) if rooted else None
    return Stage(rig, database, proxy, stack.enter_context(Tap(rig.broker.port)), packets, disks, chance)


def main() -> int:
    """The exit status: 1 when a round failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--round", type=int, help="this round alone")
    parser.add_argument("--without", choices=sorted(WITHOUT), default="", help="a promise that the gateway does not keep")
    asked = parser.parse_args()
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, lambda number, _: sys.exit(128 + number))  # and so leaves no process and no mount behind
    if not (can_mount() and can_drop()):
        print("without root: no power is cut and no packet dropped")
    began, seen, failed, accepted = time.monotonic(), Counter[str](), 0, 0
    number = asked.round or 0
    while time.monotonic() - began < asked.minutes * 60:
        played = _round(f"{asked.seed}:{number}", asked.without)
        seen.update(step.fault for step in played.steps)
        failed += bool(played.problems)
        accepted += played.accepted
        number += 1
        if asked.round is not None:
            break
    minutes = (time.monotonic() - began) / 60
    faults = ", ".join(f"{fault} {times}" for fault, times in sorted(seen.items()))
    print(f"seed {asked.seed}: {minutes:.1f} min, {number - (asked.round or 0)} rounds, {failed} failed")
    print(f"{accepted} readings accepted; {seen.total()} faults: {faults}")
    return 1 if failed else 0


def _round(seed: str, without: str) -> Played:
    folder = Path(tempfile.mkdtemp(prefix="linli-campaign-"))
    try:
        played = play(folder, seed, without=without)
    except AssertionError as error:
        played = Played([], 0, 0, [str(error)])
    verdict = f"{len(played.problems)} problems, see {folder}" if played.problems else "all is well"
    print(f"round {seed}: {len(played.steps)} faults, {played.accepted} accepted, {played.alerts} alerts: {verdict}", flush=True)
    if played.problems:
        print("\n".join([*map(str, played.steps), *played.problems[:20]]), flush=True)
    else:
        shutil.rmtree(folder)
    return played


if __name__ == "__main__":
    sys.exit(main())
