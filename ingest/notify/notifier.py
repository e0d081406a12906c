"""Notifications: every part of them meets here.

``told`` and ``moved`` write who is to hear of something into the transaction that makes it so; ``run`` sees to it that they
do.
"""

import asyncio
import random
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa
import structlog

from ingest.alerts import Changed
from ingest.alerts.quiet import PAST
from ingest.alerts.tables import alert as alerts
from ingest.cases import Moved
from ingest.database import Database
from ingest.notify import gathering, signature
from ingest.notify.allowance import Allowance, Limit
from ingest.notify.bots import BotSender, Dialect, DingTalkDialect, FeishuDialect, WeComDialect
from ingest.notify.courier import Courier
from ingest.notify.long_tail import AppriseSender
from ingest.notify.mail import MailSender
from ingest.notify.outbox import Outbox, enqueue, sweep
from ingest.notify.post import Poster, Resolve, resolver
from ingest.notify.routes import targets_of
from ingest.notify.standing import Standing
from ingest.notify.targets import Apprise, Bot, DingTalk, Feishu, Mail, Mqtt, Notify, Target, Webhook, WeCom, url_of
from ingest.notify.topic_sender import TopicSender
from ingest.notify.verdict import Sender
from ingest.notify.webhook import WebhookSender
from ingest.secret_file import Watched, read_secret
from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable

log = structlog.get_logger()

SWEEP_EVERY_S = 60.0
THREADS = 4
_MINUTE_US = 60_000_000


class Notifier:
    """``path`` makes a file of a name in the configuration. ``resolve`` and ``secure`` are the system's unless given."""

    def __init__(
        self,
        notify: Notify,
        path: Callable[[str], Path],
        database: Database,
        clock: Callable[[], int],
        *,
        resolve: Resolve | None = None,
        secure: ssl.SSLContext | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.notify = notify
        self.standing = Standing(database)
        self._path = path
        self._database = database
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "notify")
        self._resolve = resolve or resolver(self._threads)
        self._secure = secure
        self._chance = chance
        self._couriers: list[Courier] = []

    def told(self, connection: sa.Connection, changed: Changed) -> None:
        """Writes what is to be sent; for the transaction that changes the alert. What is past is gathered for whoever asks for
        what opens."""
        if changed.transition == PAST:
            gathering.gather(connection, changed, targets_of(self.notify, changed._replace(transition="opened")))
        else:
            enqueue(connection, changed, targets_of(self.notify, changed))

    def moved(self, connection: sa.Connection, moved: Moved) -> None:
        """Writes who is to be told of a work order; for the transaction that changes the work order."""
        if targets := targets_of(self.notify, moved):
            newest = sa.select(alerts.c.gateway).where(alerts.c.id.in_(moved.case.alerts[-1:]))
            enqueue(connection, moved, targets, connection.scalar(newest) or "")

    def wake(self) -> None:
        """There may be something new."""
        for courier in self._couriers:
            courier.woken.set()

    async def run(self) -> None:
        """Sends until cancelled, once. Raises ``ConfigInvalid`` when a target cannot be made."""
        poster = Poster(self.notify.on_site, self._resolve, self._secure)
        try:
            await self._sweep()
            self._couriers = [await self._courier(name, target, poster) for name, target in self.notify.targets.items()]
            async with asyncio.TaskGroup() as group:
                for courier, name in zip(self._couriers, self.notify.targets, strict=True):
                    group.create_task(courier.run(), name=f"notify {name}")
                while True:
                    await asyncio.sleep(SWEEP_EVERY_S)
                    await self._sweep()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            await poster.close()

    async def _sweep(self) -> None:
        try:
            if await self._database.write(lambda connection: gathering.seal(connection, self._clock())):
                self.wake()
            await sweep(self._database, tuple(self.notify.targets), self._clock())
        except StoreUnavailable as error:
            log.warning("notifications not swept", error=str(error))

    async def _courier(self, name: str, target: Target, poster: Poster) -> Courier:
        outbox = Outbox(self._database, name)
        limits = _limits(target)
        sent = await outbox.sent_since(self._clock() - _MINUTE_US) if limits else []
        sender = self._sender(name, target, poster)
        return Courier(name, outbox, sender, Allowance(limits, sent), self.standing, self._clock, self._chance)

    def _sender(self, name: str, target: Target, poster: Poster) -> Sender:
        match target:
            case Webhook():
                secrets = Watched[tuple[bytes, ...]](self._path(target.secrets_file), _secrets, ())
                url, full = url_of(target, self._path), target.payload == "full"
                return WebhookSender(poster, url, secrets.value, self.notify.source, self._clock, full=full)
            case Mail():
                return MailSender(
                    target, self._password(target.password_file) or "", self._context(target), self._clock, self._threads
                )
            case Apprise():
                return AppriseSender(self._password(target.url_file) or "", self.notify.on_site)
            case Mqtt():
                password = self._password(target.broker.password_file)
                return TopicSender(name, target, self._path, password, self.notify.source)
            case _:
                return BotSender(poster, self._dialect(target), url_of(target, self._path), self._clock)

    def _dialect(self, target: Bot) -> Dialect:
        match target:
            case DingTalk():
                return DingTalkDialect(self._password(target.secret_file) or "")
            case Feishu():
                return FeishuDialect(self._password(target.secret_file) or "")
            case WeCom():
                return WeComDialect()

    def _password(self, name: str) -> str | None:
        return read_secret(self._path(name), "a secret for notifications").strip() if name else None

    def _context(self, target: Mail) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._path(target.ca_file)) if target.ca_file else None)


def _limits(target: Target) -> tuple[Limit, ...]:
    match target:
        case DingTalk():
            return DingTalkDialect.limits
        case Feishu():
            return FeishuDialect.limits
        case WeCom():
            return WeComDialect.limits
        case Mail() | Apprise():
            return (Limit(target.most_a_minute, _MINUTE_US, reserve=target.most_a_minute // 4),)
        case _:
            return ()


def _secrets(path: Path) -> tuple[bytes, ...]:
    try:
        return signature.webhook_secrets(read_secret(path, "the webhook's secrets"))
    except ValueError as error:
        raise ConfigInvalid([Problem(str(path), "", str(error))]) from error
