"""The centre's configuration, ``centre.yaml``: a frozen value, everything wrong with it said at once.

Secrets stand in files of mode 0600. Paths are relative to the file that names them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from device_profiles import read_text
from ingest.cases import WorkOrdersSpec, work_order_problems
from ingest.database import Place, place_of
from ingest.history import Retention, retention_problems
from ingest.notify import Notify, notify_problems
from ingest.secret_file import read_secret
from ingest.store import Compression, Tls
from telemetry.broker import Broker, broker_problems, is_loopback, public_files, secret_files
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.topic import DEFAULT_ROOT, is_root


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the HTTP API listens. Beyond loopback it speaks TLS, with the certificate named here.

    A token may ask ``requests_per_s`` times a second on average, ``burst`` times at once. What was done through the API is kept
    for ``access_log_days``.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8080
    certificate_file: str = ""
    certificate_key_file: str = ""
    requests_per_s: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 50.0
    burst: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 200
    access_log_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 200


class Centre(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``centre.yaml``. ``store`` is ``duckdb`` or a server as ``influx:URL``, whose token stands in ``store_token_file``,
    which is known by ``store_ca_file`` and knows us by ``store_certificate_file``; lines go there by ``store_compression``.
    ``database`` is ``sqlite``, a file in ``data``, or a server as ``postgresql://user@host/name``; ``rules`` are files or folders
    of rules.
    ``regions`` are files of division codes."""

    broker: Broker
    gateways_file: str
    tokens_file: str
    rules: tuple[str, ...]
    root: str = DEFAULT_ROOT
    data: str = "data"
    store: str = "duckdb"
    store_token_file: str = ""
    store_ca_file: str = ""
    store_certificate_file: str = ""
    store_certificate_key_file: str = ""
    store_compression: Compression = "auto"
    database: str = "sqlite"
    database_password_file: str = ""
    database_ca_file: str = ""
    api: Api = Api()
    regions: tuple[str, ...] = ()
    retention: Retention = Retention()
    backfill_credit: Annotated[float, msgspec.Meta(ge=1, le=10_000)] = 2.0
    work_orders: WorkOrdersSpec = WorkOrdersSpec()
    notify: Notify = Notify()


class CentreConfig(msgspec.Struct, frozen=True):
    file: Path
    centre: Centre

    def path(self, name: str) -> Path:
        """A path of ``centre.yaml``, seen from the file's folder."""
        return (self.file.parent / name).absolute()

    @property
    def data_dir(self) -> Path:
        return self.path(self.centre.data)

    @property
    def store_token_file(self) -> Path | None:
        return self.path(self.centre.store_token_file) if self.centre.store_token_file else None

    @property
    def store_tls(self) -> Tls:
        centre = self.centre
        files = (centre.store_ca_file, centre.store_certificate_file, centre.store_certificate_key_file)
        return Tls(*(self.path(name) if name else None for name in files))

    @property
    def database(self) -> Place:
        """Raises ``ConfigInvalid``."""
        password, ca = self.centre.database_password_file, self.centre.database_ca_file
        files = (self.path(name) if name else None for name in (password, ca))
        return place_of(self.centre.database, self.data_dir, *files)


def load(file: Path) -> CentreConfig:
    """The configuration in ``file``. Raises ``ConfigInvalid`` with every problem."""
    config = CentreConfig(file.resolve(), read(read_text(file), str(file), Centre))
    problems = list(_problems(config))
    if problems:
        raise ConfigInvalid(problems)
    return config


def _problems(config: CentreConfig) -> Iterator[Problem]:
    file, centre = str(config.file), config.centre
    yield from broker_problems(centre.broker, file, "broker")
    for name in secret_files(centre.broker):
        yield from _refusals(read_secret, config.path(name), "the broker's secret")
    for name in (*public_files(centre.broker), *filter(None, (centre.api.certificate_file, centre.api.certificate_key_file))):
        yield from _refusals(read_text, config.path(name))
    yield from _refusals(lambda: config.database)
    yield from retention_problems(centre.retention, file)
    yield from work_order_problems(centre.work_orders, config.path, file)
    yield from notify_problems(centre.notify, config.path, file)
    if not is_root(centre.root):
        yield Problem(file, "root", f"{centre.root!r} cannot stand before a topic", f"for example {DEFAULT_ROOT}")
    if not centre.rules:
        yield Problem(file, "rules", "is empty", "name the folder config/rules, or files of your own")
    for number, name in enumerate(centre.rules):
        if not _is_there(config.path(name)):
            yield Problem(file, f"rules[{number}]", f"no file or folder {config.path(name)}")
    api = centre.api
    if bool(api.certificate_file) != bool(api.certificate_key_file):
        yield Problem(file, "api", "certificate_file and certificate_key_file go together", "give both or neither")
    elif not is_loopback(api.host) and not api.certificate_file:
        yield Problem(file, "api.host", f"clear text on {api.host}", "give a certificate, or listen on 127.0.0.1 behind a proxy")


def _refusals(reader: Callable[..., object], *arguments: object) -> tuple[Problem, ...]:
    """What keeps a file from being read."""
    try:
        reader(*arguments)
    except ConfigInvalid as error:
        return error.problems
    return ()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any file
        return False
