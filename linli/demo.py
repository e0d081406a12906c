"""Lays out everything that ``linli up`` needs in one folder: keys, tokens, configurations, ports.

What belongs to the installation (keys, tokens, devices, ports) is made once and kept; what follows from the command
line is written anew at each start. A port that somebody else has taken meanwhile is replaced.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import string
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from edge.provisioning import durable_file
from ingest import gateways, tokens
from linli.embedded_broker import toml
from linli.pace import paced
from linli.paths import config_dir
from telemetry.document import parse
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import GatewayRef

DEMO = GatewayRef("411202002001", "gw-jianye-1")
STAGES = {"demo": 1.0, "kinds": 2400.0}
"""The communities that ship, each a folder of ``config``, with the pace of its rules."""

_PREFERRED = {"broker": 1883, "broker_v5": 1884, "meters": 5020}
_RULES_HEADER = "# Written by linli up at each start, from config/rules and the stage's own rules.\n"


class Options(NamedTuple):
    """What the command line of ``linli up`` says."""

    data: Path
    port: int
    broker: str | None
    store: str
    scenario: Path | None
    simulate: bool
    stage: str = "demo"
    pace: float | None = None
    only: tuple[str, ...] = ()


class Layout(NamedTuple):
    """Where everything is."""

    data: Path
    broker_url: str
    embedded: bool
    scenario: Path
    meters_port: int
    stage: Path

    @property
    def gateway_file(self) -> Path:
        return self.data / "gateway" / "gateway.yaml"

    @property
    def centre_file(self) -> Path:
        return self.data / "centre" / "centre.yaml"

    @property
    def broker_file(self) -> Path:
        return self.data / "broker.toml"

    @property
    def token_file(self) -> Path:
        return self.data / "token"

    @property
    def run_dir(self) -> Path:
        return self.data / "run"

    @property
    def world_file(self) -> Path:
        return self.stage / "world.yaml"

    @property
    def truth_file(self) -> Path:
        return self.data / "truth.jsonl"

    @property
    def logs(self) -> Path:
        return self.data / "logs"


@contextlib.contextmanager
def hold(data: Path) -> Iterator[None]:
    """Keeps the folder, made for its owner alone when missing, to one ``linli up``. Raises ``ConfigInvalid``."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigInvalid([Problem("--data", str(data), f"cannot be written: {error.strerror}", "choose another")]) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        cure = "stop it first, or give this one a folder of its own with --data"
        raise ConfigInvalid([Problem("--data", str(data), "another 'linli up' runs here", cure)]) from error
    finally:
        os.close(lock)


def lay_out(options: Options) -> Layout:
    """Makes what is missing and refreshes what follows from ``options``. Raises ``ConfigInvalid``."""
    data, stage = options.data.resolve(), config_dir() / options.stage
    for folder in ("gateway/keys", "centre", "run", "logs"):
        (data / folder).mkdir(parents=True, exist_ok=True)
    _keep_to(data / "stage", options.stage)
    needed = {"broker", "broker_v5"} if options.broker is None else set()
    ports = _ports(data / "ports.json", needed | ({"meters"} if options.simulate else set()))
    url = options.broker or f"mqtt://127.0.0.1:{ports['broker']}"
    scenario = options.scenario.resolve() if options.scenario else stage / "scenario.yaml"
    layout = Layout(data, url, options.broker is None, scenario, ports["meters"], stage)
    words = {"BROKER": url, "METERS_PORT": str(ports["meters"]), "RUN": str(layout.run_dir), "API_PORT": str(options.port)}
    words |= {"STORE": options.store}
    layout.broker_file.write_text(toml(ports["broker"], ports["broker_v5"]))
    _fill(stage / "gateway.yaml", layout.gateway_file, words)
    _fill(stage / "centre.yaml", layout.centre_file, words)
    _catalogue(stage, layout.centre_file.parent, options.pace or STAGES[options.stage])
    if not (devices := layout.gateway_file.parent / "devices.yaml").exists():
        _fill(stage / "devices.yaml", devices, words)
    _register(layout)
    return layout


def free_port(preferred: int) -> int:
    """``preferred`` on loopback, or another that is free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigInvalid([Problem("127.0.0.1", "", "no port is free")])


def _ports(file: Path, needed: Collection[str]) -> dict[str, int]:
    """As they were last time; those that are ``needed`` and were taken meanwhile are others."""
    known = json.loads(file.read_text()) if file.exists() else None
    wanted = {name: int(known[name]) for name in _PREFERRED} if known else _PREFERRED
    ports = {name: free_port(port) if name in needed or not known else port for name, port in wanted.items()}
    if ports != known:
        file.write_text(json.dumps(ports))
    return ports


def _fill(template: Path, target: Path, words: dict[str, str]) -> None:
    text = string.Template(template.read_text(encoding="utf-8"))
    target.write_text(text.substitute(words), encoding="utf-8")


def _keep_to(file: Path, stage: str) -> None:
    """A folder is one community's: its devices and its past are."""
    if not file.exists():
        file.write_text(f"{stage}\n")
    elif (there := file.read_text().strip()) != stage:
        problem = f"holds the community {there!r}, not {stage!r}"
        raise ConfigInvalid([Problem("--data", str(file.parent), problem, "give another folder with --data")])


def _catalogue(stage: Path, centre: Path, pace: float) -> None:
    """The shipped rules as an operator would lay them out, with those of the stage: a file of the same name stands instead."""
    for name in ("calendar", "regions"):
        shutil.copytree(config_dir() / name, centre / name, dirs_exist_ok=True)
    (centre / "lists").mkdir(exist_ok=True)
    for file in sorted((stage / "lists").glob("*.txt")):
        target = centre / "lists" / file.name
        target.touch(0o600)
        target.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    shutil.rmtree(centre / "rules", ignore_errors=True)
    (centre / "rules").mkdir()
    own = {file.name: file for file in (stage / "rules").glob("*.yaml")}
    for name, file in ({file.name: file for file in (config_dir() / "rules").glob("*.yaml")} | own).items():
        if pace == 1 or name in own:
            shutil.copy(file, centre / "rules" / name)
        else:
            plain = paced(parse(file.read_text(encoding="utf-8"), str(file)), pace)
            text = yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=120)
            (centre / "rules" / name).write_text(_RULES_HEADER + text, encoding="utf-8")


def _register(layout: Layout) -> None:
    """The gateway's and the community's keys on both sides, and a token to try the API with."""
    keys = layout.gateway_file.parent / "keys"
    key, site_key = (_secret(keys / name, secrets.token_hex(32)) for name in ("gateway.key", "site.key"))
    entry = gateways.GatewayEntry(community=DEMO.community, id=DEMO.gateway, key=key, site_key=site_key)
    gateways.add(layout.centre_file.parent / "gateways.yaml", entry)
    tokens_file = layout.centre_file.parent / "tokens.yaml"
    if not layout.token_file.exists():
        if tokens_file.exists():
            tokens.remove(tokens_file, "demo")
        _secret(layout.token_file, tokens.add(tokens_file, "demo", ["41"], tokens.Role.ADMIN))


def _secret(path: Path, text: str) -> str:
    """What a secret file says, made with ``text`` when it is not there."""
    if not path.exists():
        durable_file.create(path, f"{text}\n", 0o600)
    return path.read_text().strip()
