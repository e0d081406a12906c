"""ThingsBoard's gateway on the same work as ours: the same slave, a broker, and a platform that answers its one question.

It is installed into an environment of its own from the package index; without an index there are no rows of it.
"""

import json
import os
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from bench.edge.rig import FLOATS, POINTS, WHOLES
from tests.servers import free_port, mosquitto

VERSION = "3.8.5"
PACKAGES = (f"thingsboard-gateway=={VERSION}", "pymodbus==3.9.2", "pyserial", "pyserial-asyncio")
"""The last three it would install by itself at its first start."""

TELEMETRY, QUESTION, ANSWER = "v1/gateway/telemetry", "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
LIMITS = {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}
NO_WEB = "http://127.0.0.1:9"
"""It asks a web service for updates every hour and has no setting against it."""


def installed(folder: Path) -> Path | None:
    """Its interpreter, or ``None`` when it cannot be installed here."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES]
        if subprocess.run(command, capture_output=True, timeout=600).returncode:
            return None
    return python


class Platform:
    """Counts the values that reach the platform, by device, and tells the gateway that it may send."""

    def __init__(self, port: int) -> None:
        self.values: dict[str, int] = {}
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(TELEMETRY, 1), (f"{QUESTION}+", 1)])
        self._client.loop_start()

    def count(self, without: str = "") -> int:
        with self._lock:
            return sum(count for device, count in self.values.items() if device != without)

    def close(self) -> None:
        self._client.loop_stop()
        self._client.disconnect()

    def _hear(self, client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.startswith(QUESTION):
            client.publish(ANSWER + message.topic.removeprefix(QUESTION), json.dumps(LIMITS), qos=1)
            return
        with self._lock:
            for device, items in json.loads(message.payload).items():
                values = sum(len(item.get("values", item)) for item in items)
                self.values[device] = self.values.get(device, 0) + values


class Peer:
    """Running on ``units`` of 20 points each; ``ranges``: its form with one entry for 20 addresses, of whole numbers only."""

    def __init__(self, python: Path, folder: Path, units: int, *, dead: int = 0, ranges: bool = False) -> None:
        folder.mkdir()
        self._broker = mosquitto(folder, settings="allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
        self._broker.start()
        self.platform = Platform(self._broker.port)
        port = free_port()
        self._slave = _run(folder, [sys.executable, "-m", "bench.edge.slave", str(port), str(units), str(dead)], Path.cwd(), {})
        settings = folder / "config"
        _configure(settings, self._broker.port, [_unit(unit, port, ranges) for unit in range(1, units + 1)])
        environment = {"TB_GW_CONFIG_DIR": f"{settings}{os.sep}", "https_proxy": NO_WEB, "HTTPS_PROXY": NO_WEB}
        start = "from thingsboard_gateway.tb_gateway import daemon; daemon()"
        self._gateway = _run(folder, [str(python), "-c", start], folder, environment)
        self._process = psutil.Process(self._gateway.pid)

    def measure(self, warm_s: float, seconds: float, without: str = "") -> tuple[float, float, float]:
        """Values a second that reached the platform (of all but one device), CPU seconds for 1,000 of them, resident bytes."""
        time.sleep(warm_s)
        cpu, count, began = self._cpu_s(), self.platform.count(without), time.monotonic()
        time.sleep(seconds)
        values = self.platform.count(without) - count
        used = self._cpu_s() - cpu
        return values / (time.monotonic() - began), used / values * 1e3 if values else 0.0, self._process.memory_info().rss

    def stop(self) -> None:
        self.platform.close()
        for process in (self._gateway, self._slave):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._broker.kill()

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def _run(folder: Path, command: list[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=cwd, env={**os.environ, **environment})


def _unit(unit: int, port: int, ranges: bool) -> dict[str, Any]:
    """As its own documentation words a device; the registers are those of ``bench.edge.slave``."""
    points: list[dict[str, Any]]
    if ranges:
        span = {"address": f"0-{POINTS - 1}", "maxRegistersPerRequest": 125}
        points = [{"tag": "r${address}", "type": "16int", "functionCode": 3, "objectsCount": 1, **span}]
    else:
        floats = [("32float", 2, 2 * n, name) for n, name in enumerate(FLOATS)]
        wholes = [("16int", 1, 20 + n, name) for n, name in enumerate(WHOLES)]
        points = [
            {"tag": name, "type": kind, "functionCode": 3, "objectsCount": count, "address": address}
            for kind, count, address, name in floats + wholes
        ]
    link = {"host": "127.0.0.1", "port": port, "type": "tcp", "method": "socket", "unitId": unit}
    pace = {"pollPeriod": 1000, "timeout": 3, "retries": 3, "byteOrder": "BIG", "wordOrder": "BIG"}
    lists: dict[str, Any] = {"attributes": [], "attributeUpdates": [], "rpc": [], "timeseries": points}
    return {**link, **pace, **lists, "deviceName": f"meter-{unit:03}", "deviceType": "default"}


def _configure(folder: Path, broker_port: int, units: list[dict[str, Any]]) -> None:
    folder.mkdir()
    (folder.parent / "data").mkdir()
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": broker_port,
            "remoteShell": False,
            "remoteConfiguration": False,
            "security": {"type": "accessToken", "accessToken": "BENCH"},
            "qos": 1,
            "reportStrategy": {"type": "ON_RECEIVED"},
            "checkingDeviceActivity": {"checkDeviceInactivity": False},
        },
        "storage": {"type": "memory", "read_records_count": 100, "max_records_count": 100_000},
        "grpc": {"enabled": False},
        "connectors": [{"type": "modbus", "name": "bench", "configuration": "modbus.json"}],
    }
    handler = {"class": "logging.FileHandler", "filename": str(folder.parent / "peer.log")}
    logs = {"version": 1, "disable_existing_loggers": False, "handlers": {"file": handler}}
    (folder / "tb_gateway.json").write_text(json.dumps(gateway))
    (folder / "logs.json").write_text(json.dumps({**logs, "root": {"level": "ERROR", "handlers": ["file"]}}))
    (folder / "modbus.json").write_text(json.dumps({"master": {"slaves": units}, "logLevel": "ERROR", "name": "bench"}))
