"""The central program: every part meets here.

``run`` opens the stores, the rules and the API, receives until told to stop, and ends as one: the first part that fails
ends all. What had not been made durable by then was not acknowledged, and comes again.
"""

import asyncio
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog

from ingest import config as configuration
from ingest import intake, reception
from ingest.access_log import AccessLog
from ingest.acknowledger import Acknowledger
from ingest.alerts import AlertEngine, Alerts, load_rules
from ingest.alerts.absence_reviser import AbsenceReviser
from ingest.alerts.evidence_keeper import EvidenceKeeper
from ingest.alerts.flood import FloodWatch
from ingest.alerts.gate import Gate
from ingest.alerts.hindsight import Hindsight
from ingest.alerts.past import Past
from ingest.alerts.releases import Releases
from ingest.alerts.reviser import Reviser
from ingest.alerts.standing import standing_of
from ingest.api import Feed, Limits, Parts, create_app, listen, serve
from ingest.arrival import Arrival
from ingest.auditor import Auditor
from ingest.cases import WorkOrders, catalogue_of, terms_of
from ingest.config import CentreConfig
from ingest.credit import Credit
from ingest.database import Database
from ingest.deadletter import DeadLetters
from ingest.expiry import Expiry
from ingest.finished import Finished, Finishing
from ingest.forgetting import Forgetting, Recalling
from ingest.gaps import Gaps
from ingest.gateway_watch import GatewayWatch
from ingest.gateways import Gateways
from ingest.history import History
from ingest.late_watch import LateWatch
from ingest.letter_watch import LetterWatch
from ingest.letterbox import Letterbox
from ingest.metrics import Stats
from ingest.notify import Notifications, Notifier, NotifyWatch, kind_problems, look_up, resolved_problems
from ingest.points import Points
from ingest.regions import Regions, load_regions
from ingest.registry import Registry
from ingest.replay import Replays
from ingest.sequencer import Gap
from ingest.sink import Sink
from ingest.store import Level, PointStore, check_spec, open_store
from ingest.tokens import Tokens
from telemetry.broker import is_loopback
from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind

log = structlog.get_logger()

TICK_S = 1.0
MAX_COMMANDS = 100
RULES_GATHER_S = 0.1
RULES_GROUP = 2_000
STORE_GATHER_S = 0.5
LOOK_S = 0.2


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
        lambda: check_spec(config.centre.store, token_file=config.store_token_file, tls=config.store_tls),
        lambda: Tokens(config.path(config.centre.tokens_file)),
        lambda: _regions(config),
        lambda: _check_rules(config, site_keys),
    ):
        try:
            look()
        except ConfigInvalid as error:
            problems += error.problems
    if problems:
        raise ConfigInvalid(problems)
    return config


def _check_rules(config: CentreConfig, site_keys: Mapping[str, bytes]) -> None:
    """The rules, and the routes of notifications that name what they raise. Raises ``ConfigInvalid``."""
    rules = load_rules([config.path(name) for name in config.centre.rules], site_keys)
    kinds = {watcher.rule.kind for watcher in rules.watchers.values()}
    if problems := list(kind_problems(config.centre.notify, kinds, str(config.file))):
        raise ConfigInvalid(problems)


def check_names(config: CentreConfig) -> None:
    """Where the names of receivers lead now: for a person who asks, and no reason not to start. Raises ``ConfigInvalid``."""
    if problems := list(resolved_problems(config.centre.notify, config.path, str(config.file), look_up)):
        raise ConfigInvalid(problems)


async def run(config_file: Path, stop: asyncio.Event) -> None:
    """Runs the centre until ``stop`` is set. Raises ``ConfigInvalid`` before anything starts."""
    config = check(config_file)
    with claimed(config):
        listener = listen(config.centre.api.host, config.centre.api.port)
        database = Database(config.database)
        store = open_store(
            config.centre.store,
            config.data_dir,
            database,
            token_file=config.store_token_file,
            compression=config.centre.store_compression,
            tls=config.store_tls,
        )
        try:
            await store.open()
            await Service(config, database, store).run(listener, stop)
        finally:
            await store.close()
            database.close()


@contextmanager
def claimed(config: CentreConfig) -> Iterator[None]:
    """Held while the data folder is ours alone. Raises ``ConfigInvalid``."""
    file, folder = str(config.file), config.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "ingest.lock").open("w")
    except OSError as error:
        cure = "name a folder that the centre may write to"
        raise ConfigInvalid([Problem(file, "data", f"{folder} cannot be used: {error.strerror}", cure)]) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigInvalid([Problem(file, "data", f"another centre runs on {folder}", "stop it first")]) from error
        yield


class Service:
    """The running centre: its parts, made and joined."""

    def __init__(self, config: CentreConfig, database: Database, store: PointStore) -> None:
        """Raises ``ConfigInvalid`` when gateways, rules or tokens are bad."""
        self._config = config
        self._history = History(store, database, config.centre.retention, intake.wall_clock)
        self._store = store = self._history.store
        self._stats = Stats()
        self._feed = Feed()
        self._gateways = Gateways(config.path(config.centre.gateways_file), LOOK_S)
        self._registry = Registry(database)
        self._letters = DeadLetters(database, intake.wall_clock)
        self._gaps = Gaps(database)
        self._finished = Finished(database)
        self._expiry = Expiry(database, self._history.personal_cut)
        self._forgetting = asyncio.Lock()
        self._points = Points(store, database, self._stats, intake.wall_clock)
        self._credit = Credit(config.centre.backfill_credit)
        self._commands: reception.Commands = asyncio.Queue(MAX_COMMANDS)
        rules = load_rules([config.path(name) for name in config.centre.rules], self._gateways.site_keys())
        self._notifier = notifier = Notifier(config.centre.notify, config.path, database, intake.wall_clock)
        self._engine = AlertEngine(rules, database, self._registry, self._changed, notifier.told)
        past = Past(store, partial(self._history.kept_from, Level.RAW))
        absences = AbsenceReviser(rules, database, self._registry, past, intake.wall_clock, self._changed, notifier.told)
        revise, clock = self._engine.revise, intake.wall_clock
        self._reviser = Reviser(rules, database, self._registry, past, store.watermarks, revise, clock, absences)
        self._hindsight = Hindsight(rules, database, self._registry, past)
        self._alerts = Alerts(database, notifier.told)
        self._standing = standing_of(database, notifier.told)
        self._evidence = EvidenceKeeper(database, store, self._registry, intake.wall_clock)
        self._auditor = Auditor(database, store, self._registry, self._engine.watermarks, self._whole_since)
        self._letterbox = Letterbox(database, store, intake.wall_clock)
        auto = [name for name, watcher in rules.watchers.items() if watcher.rule.case == "auto"]
        terms = terms_of(config.centre.work_orders, config.path)
        self._work_orders = WorkOrders(database, terms, auto, catalogue_of(rules.kinds), notifier.moved)
        self._letter_watch = LetterWatch(database, self._engine.observe)
        self._late_watch = LateWatch(database, self._engine.observe)
        self._notify_watch = NotifyWatch(database, self._engine.observe)
        self._gateway_watch = GatewayWatch(self._registry, self._engine.observe)
        self._flood_watch = FloodWatch(database, self._engine.observe)
        self._releases = Releases(database, Gate(rules), self._changed, notifier.told)
        self._notifications = Notifications(database, config.centre.notify.targets, notifier.standing, notifier.wake)
        self._replays = Replays(
            store, database, self._commands, self._gateways.key, self._registry.is_online, self._stats, intake.wall_clock
        )
        self._tokens = _tokens(config)
        self._access_log = AccessLog(database, intake.wall_clock, config.centre.api.access_log_days)

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Recalls what is durable, then receives and answers until ``stop``."""
        await self._registry.open()
        await self._engine.open()
        await self._history.open()
        sinks = await self._sinks(lambda streams: acknowledger.confirmed(streams))
        acknowledger = Acknowledger(
            [sink.durable for sink in sinks], self._gateways.key, intake.wall_clock, lambda: self._credit.batches_s
        )
        taking = intake.Intake(
            sinks,
            acknowledger,
            self._gateways,
            self._registry,
            self._stats,
            self._letters.put,
            self._replays.restore,
            self._replays.replied,
            self._config.centre.root,
        )
        forget = (self._store.forget, self._engine.forget)
        finishing = Finishing(self._registry.state)
        forgetting = Forgetting(self._finished, finishing, self._forgetting, sinks, acknowledger, forget, intake.wall_clock)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sink.run(), name=sink.name) for sink in sinks]
            tasks += [
                group.create_task(self._letters.run(), name="dead letters"),
                group.create_task(self._registry.run(), name="registry"),
                group.create_task(self._keep_time(sinks, lambda: taking.connected), name="timers"),
                group.create_task(self._history.run(), name="history"),
                group.create_task(self._expiry.run(), name="personal data"),
                group.create_task(self._replays.run(), name="replays"),
                group.create_task(forgetting.run(), name="finished streams"),
                group.create_task(self._evidence.run(), name="evidence"),
                group.create_task(self._notifier.run(), name="notifications"),
                group.create_task(self._reviser.run(), name="late readings"),
                group.create_task(self._access_log.run(), name="access log"),
                group.create_task(reception.run(self._config, taking, acknowledger, self._commands), name="intake"),
            ]
            await self._answer(lambda: _failing(sinks, taking), listener, stop)
            for task in tasks:
                task.cancel()

    async def _sinks(self, confirmed: Callable[[Sequence[Stream]], None]) -> tuple[Sink, ...]:
        engine, store = self._engine, self._store
        alerts, points = await engine.watermarks(), await store.watermarks()
        return (
            self._sink("alerts", self._judge, engine.advance, alerts, confirmed, RULES_GATHER_S, RULES_GROUP, None),
            self._sink(
                "points", self._points.keep, store.advance, points, confirmed, STORE_GATHER_S, store.limits.group, store.foresee
            ),
        )

    def _sink(
        self,
        name: str,
        write: Callable[[Sequence[Arrival]], Awaitable[None]],
        advance: Callable[[Stream, int], Awaitable[None]],
        watermarks: Mapping[Stream, int],
        confirmed: Callable[[Sequence[Stream]], None],
        gather_s: float,
        group: int,
        foresee: Callable[[Sequence[Arrival]], None] | None,
    ) -> Sink:
        def durable() -> Mapping[Stream, int]:
            return sink.durable

        recalling = Recalling(name, self._finished, self._forgetting, durable, write, self._passing(name, advance), advance)
        sink = Sink(name, recalling.write, recalling.settle, watermarks, confirmed, gather_s, group, foresee)
        return sink

    def _passing(self, sink: str, advance: Callable[[Stream, int], Awaitable[None]]) -> Callable[[Gap], Awaitable[None]]:
        """Settles a gap of one sink: noted first, so that no acknowledgement runs ahead of it."""

        async def settle(gap: Gap) -> None:
            await self._gaps.note(sink, gap, intake.wall_clock())
            if gap.passes:
                await advance(gap.stream, gap.last)

        return settle

    def _whole_since(self) -> int:
        """The first instant from which on no reading has been dropped by age, of whatever kind."""
        return max(self._history.kept_from(Level.RAW, kind) for kind in Kind)

    def _changed(self) -> None:
        self._feed.beat()
        self._notifier.wake()

    async def _judge(self, arrivals: Sequence[Arrival]) -> None:
        await self._engine.take(arrivals, intake.wall_clock())
        self._late_watch.note(arrivals)

    async def _keep_time(self, sinks: Sequence[Sink], connected: Callable[[], bool]) -> None:
        """Fires the rules' timers and gathers the counters, once a second."""
        late = False
        while True:
            try:
                await self._engine.tick(intake.wall_clock())
                await self._flood_watch.look(intake.wall_clock())
                await self._releases.look(intake.wall_clock())
                await self._letter_watch.look(intake.wall_clock())
                await self._late_watch.look(intake.wall_clock())
                await self._work_orders.follow(intake.wall_clock())
                await self._notify_watch.look(intake.wall_clock())
                await self._gateway_watch.look(intake.wall_clock(), connected())
                late = False
            except StoreUnavailable as error:
                if not late:
                    log.error("timers of rules wait for the database", error=str(error))
                late = True
            self._stats.store_errors = sum(sink.errors for sink in sinks)
            self._stats.rule_failures = self._engine.failures
            self._credit.advance(max(sink.fullness for sink in sinks))
            await asyncio.sleep(TICK_S)

    async def _answer(self, failing: Callable[[], list[str]], listener: socket.socket, stop: asyncio.Event) -> None:
        """The API, until ``stop``."""
        api = self._config.centre.api
        parts = Parts(
            alerts=self._alerts,
            registry=self._registry,
            store=self._store,
            kept_from=self._history.kept_from,
            auditor=self._auditor,
            replays=self._replays,
            letterbox=self._letterbox,
            work_orders=self._work_orders,
            notifications=self._notifications,
            standing=self._standing,
            hindsight=self._hindsight,
            evidence=self._evidence,
            access_log=self._access_log,
            limits=Limits(api.requests_per_s, api.burst),
            tokens=self._tokens,
            clock=intake.wall_clock,
            stats=self._stats,
            feed=self._feed,
            failing=failing,
            open_metrics=is_loopback(api.host),
            regions=_regions(self._config),
        )
        files = (api.certificate_file, api.certificate_key_file)
        certificate = (str(self._config.path(files[0])), str(self._config.path(files[1]))) if all(files) else None
        log.info("centre runs", api=f"{api.host}:{api.port}", store=self._config.centre.store)
        await serve(create_app(parts), self._feed, listener, stop, certificate)


def _failing(sinks: Sequence[Sink], taking: intake.Intake) -> list[str]:
    """The parts that do not work now."""
    return [sink.name for sink in sinks if sink.failing] + ([] if taking.connected else ["broker"])


def _regions(config: CentreConfig) -> Regions:
    return load_regions([config.path(name) for name in config.centre.regions])


def _tokens(config: CentreConfig) -> Tokens:
    """The tokens of the file and, for tests, one from the environment."""
    extra = os.environ.get("LINLI_TOKEN")
    return Tokens(config.path(config.centre.tokens_file), [extra] if extra else [])
