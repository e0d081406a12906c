"""One community of real processes: broker, centre, gateway and its devices, each to be killed and started at will.

    with Rig(tmp_path) as rig:
        rig.start()
        rig.edge.kill(); rig.edge.start()
        rig.settle()
        assert rig.verdict() == []

1. The gateway reports every key it has committed on a pipe, over all its starts: that is what *accepted* means here.
2. ``settle`` ends the gateway politely, starts it with silent devices, and waits until the centre holds what was accepted.
3. Leaving the block ends every process and takes nothing from the folder.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from ingest import gateways
from simulators.stored import Readings
from simulators.verify import Stored
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef
from telemetry.reading import EARLIEST
from tests.community import TOKEN, Accepted
from tests.faults import oracle
from tests.faults.devices import PROFILES, RULES, WAVE, Device, Units, devices
from tests.faults.disk import Disk
from tests.servers import HOST, Server, accepts, free_port, mosquitto

REF = GatewayRef("411202002001", "gw-fault")
KEY = "5a" * 32
ROOT = Path(__file__).parents[2]
LINLI = ("-m", "linli")
START_S = 30.0
SETTLE_S = 60.0
ALERTS_S = 5.0
REVIEWED_S = 60.0
"""How long late readings may take to be looked at, after the last of them has come."""
STILL_S = 5.0
"""More than a look at late readings waits for others of the same device."""
UNDER_WAY_S = 0.7
"""How long a sealed batch takes to the centre and its acknowledgement back."""
AHEAD_US = 6 * 3_600_000_000
_GATEWAY = """
gateway: {{id: {id}, community: "{community}"}}
centre: {{broker: {{url: "mqtt://{host}:{uplink}"}}, key_file: gateway.key}}
privacy: {{key_file: gateway.key}}
data: {data}
profiles: [profiles]
outbox_max_mb: {outbox_mb}
health_interval_s: 2
buses:
  - {{type: modbus-tcp, id: units, host: {host}, port: {units}, timeout_s: 0.5}}
"""
_CENTRE = """
broker: {{url: "mqtt://{host}:{broker}"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules]
data: {data}
store: "{store}"
database: "{database}"
api: {{port: {api}}}
backfill_credit: 1000
"""


def broken(program: str, *words: str) -> tuple[str, ...]:
    """The ``script`` of a program of Linli with one thing broken: a module of ``tests.faults.programs``, and its own words."""
    return "-m", f"tests.faults.programs.{program}", *words, "--"


class Program:
    """One program of Linli. ``script`` runs it with one thing broken: a module of ``tests.faults.programs``; ``under`` is
    a program that runs it, as strace.

    ``ready`` is asked whether it works, and gets what this start of it has logged.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, ready: Callable[[bytes], bool], fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.log = log
        self.script: tuple[str, ...] = LINLI
        self.under: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self._arguments = arguments
        self._ready = ready
        self._fds = tuple(fds)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        assert not self.runs, f"{self.name} runs already"
        argv = [*self.under, sys.executable, *self.script, *self._arguments]
        with self.log.open("ab") as log:
            begins = log.tell()
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._fds,
                env=os.environ | self.environment,
            )
        give_up = time.monotonic() + START_S
        while wait and not self._ready(self.log.read_bytes()[begins:]):
            ended = self._process.poll() is not None or time.monotonic() > give_up
            assert not ended, f"{self.name} did not start:\n{self.words()}"
            time.sleep(0.02)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.runs:
            self._process.send_signal(number)

    def pause(self) -> None:
        """Returns when each of its threads stands still, out of the kernel too."""
        self.signal(signal.SIGSTOP)
        give_up = time.monotonic() + 5
        while not all(_stands_still(task) for task in Path(f"/proc/{self.pid}/task").glob("*/stat")):
            assert time.monotonic() < give_up, f"{self.name} does not stop"
            time.sleep(0.002)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(10)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        self.wait(10)

    def wait(self, within_s: float) -> int:
        """Its exit status once it has ended."""
        assert self._process is not None
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise AssertionError(f"{self.name} did not end within {within_s} s:\n{self.words()}") from None

    def again(self) -> None:
        """Killed and started, without waiting until it works."""
        self.kill()
        self.start(wait=False)

    def words(self, most: int = 3_000) -> str:
        return self.log.read_text(errors="replace")[-most:] if self.log.exists() else ""

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


def _stands_still(stat: Path) -> bool:
    """By a thread's line in /proc: its state stands after its name."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "TXZ"
    except OSError:
        return True


def cut_power(disk: Disk, program: Program) -> None:
    """Nothing that was not synced is left, and ``program``, which wrote there, has told nobody anything since."""
    program.signal(signal.SIGSTOP)
    disk.cut()
    program.kill()
    disk.mount_again()


class Rig:
    """``edge_data`` and ``centre_data`` may lie on a disk of their own; ``uplink`` may be the port of a proxy."""

    def __init__(
        self,
        folder: Path,
        *,
        meters: int = 12,
        alarms: int = 4,
        store: str = "duckdb",
        database: str = "sqlite",
        edge_data: Path | None = None,
        centre_data: Path | None = None,
        outbox_mb: int = 64,
        uplink: int | None = None,
        interval_s: float = 0.1,
        alarm_interval_s: float | None = None,
        broker: Callable[[Path], Server] = mosquitto,
        rules: str = RULES,
        wave: int = WAVE,
    ) -> None:
        self.folder = folder
        self.settled: Counter[tuple[str, int]] = Counter()
        self.devices: list[Device] = devices(meters, alarms)
        self.units = Units(len(self.devices), wave)
        self.broker = broker(folder)
        self.accepted = Accepted()
        self._api = free_port()
        self.http = httpx.Client(base_url=f"http://{HOST}:{self._api}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
        self._lay_out_edge(edge_data or folder / "edge" / "data", uplink or self.broker.port, outbox_mb)
        self._list_devices({"meter": interval_s, "alarm": alarm_interval_s or interval_s})
        self._lay_out_centre(centre_data or folder / "centre" / "data", rules, store=store, database=database)
        report = ["--report-fd", str(self.accepted.descriptor)]
        self.edge = Program(
            "edge",
            ["edge", "run", "--config", str(folder / "edge" / "gateway.yaml"), *report],
            folder / "edge.log",
            lambda logged: b"gateway runs" in logged,
            [self.accepted.descriptor],
        )
        self.centre = Program(
            "centre",
            ["ingest", "run", "--config", str(folder / "centre" / "centre.yaml")],
            folder / "centre.log",
            lambda _: accepts(self._api),
        )
        self.centre.environment = {"LINLI_TOKEN": TOKEN}

    def _lay_out_edge(self, data: Path, uplink: int, outbox_mb: int) -> None:
        folder = self.folder / "edge"
        (folder / "profiles").mkdir(parents=True)
        for name, text in PROFILES.items():
            (folder / "profiles" / f"{name}.yaml").write_text(text)
        words = {"id": REF.gateway, "community": REF.community, "host": HOST, "uplink": uplink, "data": data}
        (folder / "gateway.yaml").write_text(_GATEWAY.format(**words, units=self.units.port, outbox_mb=outbox_mb))
        (folder / "gateway.key").write_text(KEY)
        (folder / "gateway.key").chmod(0o600)
        self.edge_data = data

    def _list_devices(self, intervals_s: dict[str, float]) -> None:
        lines = [
            f"  - {{id: {device.id}, profile: {device.profile}, interval_s: {intervals_s[device.id.partition('-')[0]]},"
            f" address: {{bus: units, unit_id: {unit}}}}}"
            for unit, device in enumerate(self.devices, 1)
        ]
        (self.folder / "edge" / "devices.yaml").write_text("\n".join(["devices:", *lines]) + "\n")

    def _lay_out_centre(self, data: Path, rules: str, **places: str) -> None:
        folder = self.folder / "centre"
        (folder / "rules").mkdir(parents=True)
        (folder / "rules" / "faults.yaml").write_text(rules)
        text = _CENTRE.format(host=HOST, broker=self.broker.port, data=data, api=self._api, **places)
        (folder / "centre.yaml").write_text(text)
        gateways.add(
            folder / "gateways.yaml", gateways.GatewayEntry(community=REF.community, id=REF.gateway, key=KEY, site_key=KEY)
        )
        self.centre_data = data

    def start(self) -> None:
        self.broker.start()
        self.units.start()
        self.centre.start()
        self.edge.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for program in (self.edge, self.centre):
            program.end()
        self.broker.kill()
        self.units.close()
        self.http.close()
        self.accepted.finish()

    def until_accepted(self, count: int, within_s: float = 30.0) -> None:
        """Until so many more readings have been accepted."""
        goal = len(self.accepted.keys) + count
        self.until(lambda: len(self.accepted.keys) >= goal, within_s, f"{count} readings accepted")

    def until(self, condition: Callable[[], object], within_s: float, what: str) -> None:
        give_up = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < give_up, f"{what}: not within {within_s} s\n{self.logs()}"
            time.sleep(0.05)

    def logs(self) -> str:
        return f"== edge\n{self.edge.words()}\n== centre\n{self.centre.words()}"

    def settle(self, within_s: float = SETTLE_S, *, in_order: bool = True, still_s: float = SETTLE_S) -> None:
        """Everything runs again, undisturbed, until what was accepted is at the centre or the time is over.

        It is over as well when nothing more has arrived for ``still_s``: for runs that must lose something.
        ``in_order``: the backlog goes first, and only then is the gateway started anew to send the rest; what is read after a
        new start overtakes it (test_fault_alerts).
        """
        for part in (self.broker, self.centre, self.edge):
            if not part.runs:
                part.start()
        give_up = time.monotonic() + within_s
        if in_order:
            self.drain(Counter(self.accepted.keys), give_up, still_s)
        self.units.quiet = True
        time.sleep(UNDER_WAY_S if in_order else 0)
        self.edge.stop()
        self.settled = Counter(self.accepted.keys)
        self.edge.start()
        self.drain(self.settled, give_up, still_s)

    def drain(self, accepted: Counter[oracle.Key], give_up: float, still_s: float) -> None:
        """Until all of ``accepted`` is stored or named as lost, ``give_up`` is past, or nothing more has come for ``still_s``."""
        before, since = -1, time.monotonic()
        while (missing := len(oracle.missing(accepted, self.stored()))) and time.monotonic() < give_up:
            if missing != before:
                before, since = missing, time.monotonic()
            if time.monotonic() - since > still_s:
                return
            time.sleep(0.3)

    def verdict(self, *, alerts: bool = True, clocks: bool = True, late: bool = False) -> list[str]:
        """Everything that is not as it must be; empty when all is well. Without ``clocks`` instants prove nothing.

        ``late``: readings came late, and the alerts are those when all of them have been looked at.
        """
        rows = self.stored()
        found = oracle.judge(self.settled, rows, self.devices, self.units, apart_us=oracle.APART_US if clocks else None)
        if not alerts:
            return found
        return found + (self._alerts_verdict(rows, REVIEWED_S, STILL_S) if late else self._alerts_verdict(rows, ALERTS_S, 0.0))

    def _alerts_verdict(self, rows: list[Stored], within_s: float, still_s: float) -> list[str]:
        """Alerts are a function of the accepted readings: those of an undisturbed centre, and stay so for ``still_s``."""
        expected = oracle.undisturbed(rows, self.folder / "centre" / "rules", self.folder / f"oracle-{time.monotonic_ns()}")
        give_up = time.monotonic() + within_s
        while (raised := self.alerts()) == expected or time.monotonic() < give_up:
            if raised != expected:
                time.sleep(0.2)
                continue
            time.sleep(still_s)
            if self.alerts() == expected:
                return []
        found = [f"alert not raised: {alert}" for alert in sorted((expected - raised).elements())]
        return found + [f"alert too many: {alert}" for alert in sorted((raised - expected).elements())]

    def stored(self) -> list[Stored]:
        """Everything of this gateway that the centre tells; nothing while it does not answer."""
        readings = Readings(f"http://{HOST}:{self._api}", TOKEN)
        now = time.time_ns() // 1000
        try:
            names = [device.id for device in self.devices] + [REF.gateway]
            return [row for name in names for row in readings.of(name, EARLIEST, now + AHEAD_US)]
        except StoreUnavailable:
            return []
        finally:
            readings.close()

    def alerts(self) -> Counter[oracle.Episode]:
        """Every alert of the centre but those that were withdrawn."""
        found: Counter[oracle.Episode] = Counter()
        asked: dict[str, str] | None = {"limit": "500"}
        while asked is not None:
            page = self.http.get("/api/v1/alerts", params=asked).raise_for_status().json()
            found.update(
                oracle.Episode(item["rule"], item["device"], item["opened_at"], item["cleared_at"] or "", item["count"])
                for item in page["items"]
                if item["state"] != "withdrawn"
            )
            asked = {"limit": "500", "cursor": page["next"]} if page["next"] else None
        return found

    def linli(self, *words: str) -> tuple[int, str]:
        """A command of ``linli`` that asks the running centre: its exit status and what it said."""
        token = self.folder / "token"
        token.write_text(TOKEN)
        asked = [sys.executable, *LINLI, *words, "--api", f"http://{HOST}:{self._api}", "--token-file", str(token)]
        ended = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    def metric(self, name: str) -> float:
        """A counter of the centre, as ``duplicates`` or ``dead_letters``."""
        lines = self.http.get("/metrics").raise_for_status().text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"linli_{name}_total"))
