"""The central program: every part meets here.

``run`` opens the stores, the rules and the API, receives until told to stop, and ends as one: the first part that fails
ends all. What had not been made durable by then was not acknowledged, and comes again.
"""

import asyncio
import fcntl
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import structlog

from ingest import config as configuration
from ingest import deadletter, intake
from ingest.acknowledger import Acknowledger
from ingest.alerts import AlertEngine, Alerts, load_rules
from ingest.api import Feed, Parts, create_app, listen, serve
from ingest.arrival import Arrival
from ingest.config import CentreConfig
from ingest.database import Database
from ingest.gateways import Gateways
from ingest.metrics import Stats
from ingest.registry import Registry
from ingest.sink import Sink
from ingest.store import PointStore, open_store
from ingest.tokens import Tokens
from telemetry.broker import is_loopback
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import Stream

log = structlog.get_logger()

TICK_S = 1.0
STORE_GATHER_S = 0.2
_LETTERS = 1_000


class _Letters:
    """Dead letters on their way to the database, in the background; past the bound they are only counted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: asyncio.Queue[deadletter.DeadLetter] = asyncio.Queue(_LETTERS)

    def put(self, letter: deadletter.DeadLetter) -> None:
        if not self._queue.full():
            self._queue.put_nowait(letter)

    async def run(self) -> None:
        while True:
            letters = [await self._queue.get()]
            while not self._queue.empty():
                letters.append(self._queue.get_nowait())
            await deadletter.set_aside(self._database, letters, intake.wall_clock())


def check(config_file: Path) -> CentreConfig:
    """Everything that can be checked without starting. Raises ``ConfigInvalid`` with every problem found."""
    config = configuration.load(config_file)
    problems: list[Problem] = []
    site_keys: dict[str, bytes] = {}
    try:
        site_keys = dict(Gateways(config.path(config.centre.gateways_file)).site_keys())
    except ConfigInvalid as error:
        problems += error.problems
    for look in (
        lambda: Tokens(config.path(config.centre.tokens_file)),
        lambda: load_rules([config.path(name) for name in config.centre.rules], site_keys),
    ):
        try:
            look()
        except ConfigInvalid as error:
            problems += error.problems
    if problems:
        raise ConfigInvalid(problems)
    return config


async def run(config_file: Path, stop: asyncio.Event) -> None:
    """Runs the centre until ``stop`` is set. Raises ``ConfigInvalid`` before anything starts."""
    config = check(config_file)
    config.data_dir.mkdir(parents=True, exist_ok=True)
    with (config.data_dir / "ingest.lock").open("w") as lock:
        _claim(lock.fileno(), config)
        listener = listen(config.centre.api.host, config.centre.api.port)
        database = Database(config.database_file)
        store = open_store(config.centre.store, config.data_dir, database)
        try:
            await store.open()
            await _run(config, database, store, listener, stop)
        finally:
            await store.close()
            database.close()


def _claim(descriptor: int, config: CentreConfig) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigInvalid(
            [Problem(str(config.file), "data", f"another centre runs on {config.data_dir}", "stop it first")]
        ) from error


async def _run(config: CentreConfig, database: Database, store: PointStore, listener: socket.socket, stop: asyncio.Event) -> None:
    centre = config.centre
    stats = Stats()
    letters = _Letters(database)
    gateways = Gateways(config.path(centre.gateways_file))
    registry = Registry(database)
    await registry.open()
    alerts = Alerts(database)
    feed = Feed()
    rules = load_rules([config.path(name) for name in centre.rules], gateways.site_keys())
    engine = AlertEngine(rules, database, registry, feed.beat)
    await engine.open()
    turn = asyncio.Lock()

    async def evaluate(arrivals: Sequence[Arrival]) -> None:
        async with turn:
            await engine.take(arrivals, intake.wall_clock())

    async def keep(arrivals: Sequence[Arrival]) -> None:
        for refusal in await store.write(arrivals):
            stats.dead_letters += 1
            letters.put(deadletter.DeadLetter(f"{refusal.stream} {refusal.seq}", refusal.reason, refusal.body))

    async def tick() -> None:
        while True:
            async with turn:
                await engine.tick(intake.wall_clock())
            stats.store_errors = sum(sink.errors for sink in sinks)
            stats.rule_failures = engine.failures
            await asyncio.sleep(TICK_S)

    def confirmed(streams: Sequence[Stream]) -> None:
        acknowledger.confirmed(streams)

    sinks = (
        Sink("alerts", evaluate, engine.advance, await engine.watermarks(), confirmed),
        Sink("points", keep, store.advance, await store.watermarks(), confirmed, STORE_GATHER_S),
    )
    acknowledger = Acknowledger([sink.durable for sink in sinks], gateways.key, intake.wall_clock, centre.backfill_credit)
    taking = intake.Intake(sinks, acknowledger, gateways, registry, stats, letters.put, centre.root)
    parts = Parts(
        alerts=alerts,
        registry=registry,
        store=store,
        tokens=_tokens(config),
        clock=intake.wall_clock,
        stats=stats,
        feed=feed,
        failing=lambda: [sink.name for sink in sinks if sink.failing],
        open_metrics=is_loopback(centre.api.host),
    )
    certificate = (centre.api.certificate_file, centre.api.certificate_key_file)
    chain = tuple(str(config.path(name)) for name in certificate if name)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sink.run(), name=sink.name) for sink in sinks]
        tasks += [
            group.create_task(letters.run(), name="dead letters"),
            group.create_task(tick(), name="timers"),
            group.create_task(intake.run(config, taking, acknowledger), name="intake"),
        ]
        log.info("centre runs", api=f"{centre.api.host}:{centre.api.port}", store=centre.store)
        await serve(create_app(parts), feed, listener, stop, (chain[0], chain[1]) if chain else None)
        for task in tasks:
            task.cancel()


def _tokens(config: CentreConfig) -> Tokens:
    """The tokens of the file and, for tests, one from the environment."""
    extra = os.environ.get("LINLI_TOKEN")
    return Tokens(config.path(config.centre.tokens_file), [extra] if extra else [])
