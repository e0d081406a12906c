"""Makes what a new gateway needs: ``gateway.yaml``, ``devices.yaml``, its own key and the community's privacy key.

1. Nothing is ever overwritten: files that exist are kept, and a finished folder is refused.
2. ``gateway.yaml`` comes last: without it the folder is unfinished, and the same command finishes it.
3. Keys are 32 random bytes as 64 hex characters, in files that their owner alone can read.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from edge.config import read_key
from edge.provisioning import devices_file, durable_file
from telemetry.broker import Broker, broker_problems
from telemetry.errors import ConfigInvalid, IdentityInvalid, LinliError, Problem
from telemetry.identity import gateway_ref
from telemetry.presence import Words

GATEWAY = "gateway.yaml"
DEVICES = "devices.yaml"
GATEWAY_KEY = "keys/gateway.key"
SITE_KEY = "keys/site.key"


class NewGateway(msgspec.Struct, frozen=True, kw_only=True):
    """``site_key`` is the file with the community's key when another gateway of the community has one already."""

    community: str
    id: str
    broker: str
    name: Words = Words()
    ca_file: str = ""
    site_key: Path | None = None


class AlreadyMade(LinliError):
    """The folder holds a gateway already; nothing was touched."""


class Made(msgspec.Struct, frozen=True):
    """What was written, what was there before, and the command that registers the gateway at the centre."""

    created: tuple[str, ...]
    kept: tuple[str, ...]
    register: str


def make_gateway(new: NewGateway, folder: Path, draw_key: Callable[[], str]) -> Made:
    """Writes the files into ``folder``. Raises ``ConfigInvalid`` with every problem, or ``AlreadyMade``."""
    folder = folder.absolute()
    problems = list(_problems(new, folder))
    if problems:
        raise ConfigInvalid(problems)
    there = [name for name in (GATEWAY, DEVICES, GATEWAY_KEY, SITE_KEY) if (folder / name).exists()]
    if GATEWAY in there:
        raise AlreadyMade(f"{folder} holds a gateway already ({', '.join(there)}); nothing was changed")
    site_key = read_key(new.site_key, "community's privacy key").hex() if new.site_key else draw_key()
    texts = {
        GATEWAY_KEY: (f"{draw_key()}\n", 0o600),
        SITE_KEY: (f"{site_key}\n", 0o600),
        DEVICES: (devices_file.render(()), 0o644),
        GATEWAY: (render(new), 0o644),
    }
    try:
        (folder / GATEWAY_KEY).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, (text, mode) in texts.items():
            if name not in there:
                durable_file.create(folder / name, text, mode)
    except OSError as error:
        raise ConfigInvalid([Problem(str(error.filename or folder), "", f"cannot be written: {error.strerror}")]) from error
    keys = f"--key-file {folder / GATEWAY_KEY} --site-key-file {folder / SITE_KEY}"
    register = f"linli ingest gateway add --config centre.yaml --community {new.community} --id {new.id} {keys}"
    return Made(tuple(name for name in texts if name not in there), tuple(there), register)


def _problems(new: NewGateway, folder: Path) -> Iterator[Problem]:
    try:
        gateway_ref(new.community, new.id)
    except IdentityInvalid as error:
        yield Problem("linli gateway init", "--community, --id", str(error), "for example 411202002001 and gw-b3")
    for problem in broker_problems(Broker(new.broker), "linli gateway init", "--broker"):
        yield problem._replace(path="--broker")
    if new.ca_file and not Path(new.ca_file).is_file():
        yield Problem("linli gateway init", "--ca-file", f"there is no file {new.ca_file}")
    if new.site_key:
        try:
            given = read_key(new.site_key, "community's privacy key")
            if (folder / SITE_KEY).exists() and read_key(folder / SITE_KEY, "community's privacy key") != given:
                yield Problem(
                    str(folder / SITE_KEY), "", "is another key than --site-key", "move it away if it is not the right one"
                )
        except ConfigInvalid as error:
            yield from error.problems


def render(new: NewGateway) -> str:
    """``gateway.yaml`` of a new gateway, with what an installer edits next as comments."""
    name = ", ".join(f"{language}: {_quoted(text)}" for language, text in (("zh", new.name.zh), ("en", new.name.en)) if text)
    ca_file = _quoted(str(Path(new.ca_file).absolute())) if new.ca_file else ""
    return _TEMPLATE.format(
        id=_quoted(new.id),
        user=f"{new.community}/{new.id}",
        community=_quoted(new.community),
        name=f"  name: {{{name}}}" if name else "  # name: {zh: 3号楼网关, en: Building 3 gateway}",
        url=_quoted(new.broker),
        ca_file=f"    ca_file: {ca_file}"
        if ca_file
        else "    # ca_file: keys/ca.pem          # who signed the broker's certificate",
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML string


_TEMPLATE = """\
# A Linli gateway. Every key: config/gateway.example.yaml. Check after an edit: linli edge check --config gateway.yaml
# Linli 网关配置。修改后请用上述命令检查。
gateway:
  id: {id}
  community: {community}
{name}

centre:
  key_file: keys/gateway.key        # registered at the centre with `linli ingest gateway add`
  broker:
    url: {url}
{ca_file}
    # user: {user}   # user and password_file go together; the file has mode 0600
    # password_file: keys/broker.password
    # certificate_file: keys/gateway.pem
    # certificate_key_file: keys/gateway-tls.key

privacy:
  key_file: keys/site.key           # hashes plates and cards; the same on every gateway of the community

data: data                          # outbox, lock and control socket
devices_file: devices.yaml          # kept by `linli device add`

# Uncomment and adapt, then: linli bus scan --bus ID   取消注释并修改,然后扫描总线
buses: []
# buses:
#   - {{id: rs485-1, type: modbus-rtu, port: /dev/ttyUSB0, baud: 9600, parity: N, stop_bits: 1}}
#   - {{id: meters, type: modbus-tcp, host: 192.168.1.50, port: 502}}

brokers: []
# brokers:
#   - {{id: local, url: "mqtt://127.0.0.1:1883"}}
"""
