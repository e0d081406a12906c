"""The centre's configuration, ``centre.yaml``: a frozen value, everything wrong with it said at once.

Secrets stand in files of mode 0600. Paths are relative to the file that names them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from telemetry.broker import Broker, broker_problems, is_loopback, secret_files
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.topic import DEFAULT_ROOT, is_root


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the HTTP API listens. Beyond loopback it speaks TLS, with the certificate named here."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8080
    certificate_file: str = ""
    certificate_key_file: str = ""


class Centre(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``centre.yaml``. ``store`` is ``duckdb`` or ``influx:URL``; ``rules`` are files or folders of rules."""

    broker: Broker
    gateways_file: str
    tokens_file: str
    rules: tuple[str, ...]
    root: str = DEFAULT_ROOT
    data: str = "data"
    store: str = "duckdb"
    api: Api = Api()
    backfill_credit: Annotated[float, msgspec.Meta(ge=1, le=10_000)] = 50.0


class CentreConfig(msgspec.Struct, frozen=True):
    file: Path
    centre: Centre

    def path(self, name: str) -> Path:
        """A path of ``centre.yaml``, seen from the file's folder."""
        return (self.file.parent / name).resolve()

    @property
    def data_dir(self) -> Path:
        return self.path(self.centre.data)

    @property
    def database_file(self) -> Path:
        return self.data_dir / "centre.db"


def load(file: Path) -> CentreConfig:
    """The configuration in ``file``. Raises ``ConfigInvalid`` with every problem."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigInvalid([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid([Problem(str(file), "", "is not UTF-8", "save it as UTF-8")]) from error
    config = CentreConfig(file.resolve(), read(text, str(file), Centre))
    problems = list(_problems(config))
    if problems:
        raise ConfigInvalid(problems)
    return config


def _problems(config: CentreConfig) -> Iterator[Problem]:
    file, centre = str(config.file), config.centre
    yield from broker_problems(centre.broker, file, "broker")
    for name in secret_files(centre.broker):
        if not config.path(name).is_file():
            yield Problem(file, "broker", f"no file {config.path(name)}", "make it, mode 0600")
    if not is_root(centre.root):
        yield Problem(file, "root", f"{centre.root!r} cannot stand before a topic", f"for example {DEFAULT_ROOT}")
    if not centre.rules:
        yield Problem(file, "rules", "is empty", "name the folder config/rules, or files of your own")
    for number, name in enumerate(centre.rules):
        if not config.path(name).exists():
            yield Problem(file, f"rules[{number}]", f"no file or folder {config.path(name)}")
    api = centre.api
    if bool(api.certificate_file) != bool(api.certificate_key_file):
        yield Problem(file, "api", "certificate_file and certificate_key_file go together", "give both or neither")
    elif not is_loopback(api.host) and not api.certificate_file:
        yield Problem(file, "api.host", f"clear text on {api.host}", "give a certificate, or listen on 127.0.0.1 behind a proxy")
