"""Real servers for the tests: each on a free port of loopback, in a folder of its own, gone when the block ends.

    with mosquitto(tmp_path) as broker:
        ... broker.port, broker.url; broker.kill(); broker.start() ...

1. ``start`` returns when the server answers; a restart keeps port and folder, so its clients find it again.
2. A server that is not installed skips the test; with CI=true it fails it.
3. Leaving the block ends the process, also after ``kill`` and ``start``.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
import pytest

from linli.embedded_broker import toml

HOST = "127.0.0.1"
START_S = 20.0
STOP_S = 10.0


class Server:
    """One server process. ``url`` is where its clients go; ``log`` is what it wrote."""

    def __init__(self, argv: Sequence[str], folder: Path, scheme: str, port: int, answers: Callable[[int], bool]) -> None:
        self.host = HOST
        self.port = port
        self.url = f"{scheme}://{HOST}:{port}"
        self.folder = folder
        self.log = folder / "server.log"
        self._argv = argv
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the server, or starts it again on the same port and folder."""
        assert self._process is None, "it runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        give_up = time.monotonic() + START_S
        while not self._answers(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                pytest.fail(f"{self._argv[0]} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Asks it to end (SIGTERM), as a system does at shutdown."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: it ends where it stands."""
        self._end(signal.SIGKILL)

    def reload(self) -> None:
        """Tells it to read its files again (SIGHUP); it does so a moment later."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers. ``resume`` lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S)
        self._process = None

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()


def mosquitto(folder: Path, *, port: int | None = None, settings: str = "allow_anonymous true\n") -> Server:
    """A broker without persistence; ``settings`` are further lines of its mosquitto.conf."""
    program, port, folder = program_of("mosquitto"), port or free_port(), _folder(folder, "mosquitto")
    conf = folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""  # else it gives up root and cannot read a folder of pytest's
    conf.write_text(f"listener {port} {HOST}\n{user}persistence false\nlog_type all\n{settings}")
    return Server([program, "-c", str(conf)], folder, "mqtt", port, accepts)


def embedded_broker(folder: Path, *, port: int | None = None, protocol: str = "3.1.1") -> Server:
    """The broker of ``linli up``, which has a port for each version of MQTT."""
    port, other, folder = port or free_port(), free_port(), _folder(folder, "embedded-broker")
    ports = (port, other) if protocol == "3.1.1" else (other, port)
    (folder / "broker.toml").write_text(toml(*ports))
    return Server([sys.executable, "-m", "linli.embedded_broker", str(folder / "broker.toml")], folder, "mqtt", port, accepts)


def nats_server(folder: Path, *, port: int | None = None) -> Server:
    """nats-server with its MQTT, which needs a name and JetStream; its disk is ``data``."""
    program, port, folder = program_of("nats-server"), port or free_port(), _folder(folder, "nats-server")
    conf = folder / "nats-server.conf"
    conf.write_text(
        f'server_name: linli\nlisten: "{HOST}:{free_port()}"\n'
        f'jetstream {{store_dir: "{folder}/data"}}\nmqtt {{host: "{HOST}", port: {port}}}\n'
    )
    return Server([program, "-c", str(conf)], folder, "mqtt", port, accepts)


def influxdb(folder: Path, *, port: int | None = None, login: bool = False, http: str = "", data: str = "") -> Server:
    """InfluxDB 1.x with its HTTP and RPC ends on loopback, and neither reports nor statistics of its own.

    With ``login`` it wants user and password; its first query must be CREATE USER ... WITH ALL PRIVILEGES. ``http`` and
    ``data`` are further lines of these sections of its influxdb.conf.
    """
    program, port, folder = program_of("influxd"), port or free_port(), _folder(folder, "influxdb")
    conf = folder / "influxdb.conf"
    conf.write_text(
        f'reporting-disabled = true\nbind-address = "{HOST}:{free_port()}"\n'
        f'[meta]\n  dir = "{folder}/meta"\n'
        f'[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n  query-log-enabled = false\n{data}\n'
        f'[http]\n  bind-address = "{HOST}:{port}"\n  log-enabled = false\n  auth-enabled = {str(login).lower()}\n{http}\n'
        f"[monitor]\n  store-enabled = false\n"
    )
    return Server([program, "-config", str(conf)], folder, "http", port, _answers_ping)


def victoria_metrics(folder: Path, *, port: int | None = None) -> Server:
    """VictoriaMetrics as docs/ tell to run it for Linli: long retention, equal samples deduplicated."""
    program, port, folder = program_of("victoria-metrics"), port or free_port(), _folder(folder, "victoria-metrics")
    argv = [program, f"-httpListenAddr={HOST}:{port}", f"-storageDataPath={folder}/data", "-retentionPeriod=100y"]
    argv += ["-dedup.minScrapeInterval=1ms", "-memory.allowedBytes=256MB", "-http.shutdownDelay=0s"]
    return Server(argv, folder, "http", port, _answers_ping)


class Postgresql(Server):
    """``stop`` does not wait for its clients; ``kill`` takes the processes that serve them with it, as a power cut does."""

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def pause(self) -> None:
        super().pause()
        for process in self._serving():
            process.suspend()

    def resume(self) -> None:
        for process in self._serving():
            process.resume()
        super().resume()

    def _serving(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True) if self._process and self.runs else []

    def kill(self) -> None:
        served = self._serving()
        super().kill()
        for process in served:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        give_up = time.monotonic() + STOP_S
        while not all(map(_is_dead, served)) and time.monotonic() < give_up:
            time.sleep(0.01)


def postgresql(folder: Path, *, port: int | None = None, settings: str = "") -> Postgresql:
    """PostgreSQL with a superuser ``linli`` whom it trusts, and databases that compare byte by byte.

    It will not run as root: then it is of ``nobody``, who must be able to reach ``folder``. ``settings`` are further lines of its
    postgresql.conf.
    """
    program, port, folder = program_of("postgres", "postgresql"), port or free_port(), _folder(folder, "postgresql")
    as_owner: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        as_owner = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    data = folder / "data"
    how = ["--username=linli", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"]
    made = [*as_owner, str(Path(program).with_name("initdb")), f"--pgdata={data}", *how]
    subprocess.run(made, check=True, capture_output=True, timeout=START_S * 3, cwd=folder)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(f"listen_addresses = '{HOST}'\nport = {port}\nunix_socket_directories = '{folder}'\n")
        conf.write(f"shared_buffers = 16MB\nmax_wal_size = 32MB\nmax_connections = 40\n{settings}\n")
    return Postgresql([*as_owner, program, "-D", str(data)], folder, "postgresql", port, _serves_sql)


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _answers_ping(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/ping", timeout=2) as answer:
            return bool(answer.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _serves_sql(port: int) -> bool:
    try:
        psycopg.connect(host=HOST, port=port, user="linli", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def is_installed(name: str) -> bool:
    return _found(name) is not None


def program_of(name: str, package: str = "") -> str:
    """Where a program is; one that is not installed skips the test, and with CI=true fails it."""
    path = _found(name)
    if path is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"{name} is not installed (apt install {package or name})")
    return path


def _found(name: str) -> str | None:
    debians = ":".join(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))  # not in anybody's PATH
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{debians}")


def _folder(parent: Path, name: str) -> Path:
    """A new folder, so that two servers of one kind can live in one test."""
    number = sum(1 for _ in parent.glob(f"{name}*"))
    folder = parent / f"{name}-{number}"
    folder.mkdir(parents=True)
    return folder
