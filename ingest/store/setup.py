"""Prepares a server for telemetry: what is there stays, what is missing is made, and each step is said.

1. Running it again changes nothing.
2. Nothing is deleted: a retention shorter than the present one, which would delete history, needs ``shorten``.
3. Retention is at least a day, or for ever; no zero means "delete all".
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec

from ingest.secret_file import read_secret
from ingest.store.answer import Meaning, verdict
from ingest.store.influxql import quoted
from ingest.store.line_server import LineServer
from ingest.store.profile import Address, Profile, authorization
from ingest.store.tls import secured
from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable

ANSWER_S = 30.0
LEAST_RETENTION = timedelta(days=1)


class Wish(NamedTuple):
    """What the server shall be. ``address`` carries the credentials of its administrator; ``login`` is the centre's own user of
    1.x, ``token_file`` where the token made for the centre goes. Without ``retention`` it stays as it is, new ones for ever."""

    address: Address
    retention: timedelta | None = None
    shorten: bool = False
    login: tuple[str, str] | None = None
    token_file: Path | None = None


def check_retention(present: timedelta | None, wish: Wish, place: str) -> bool:
    """Whether the retention changes (``None`` is for ever). Raises ``ConfigInvalid`` when that would delete history."""
    wanted = wish.retention
    if wanted is None or wanted == present:
        return False
    if wanted < LEAST_RETENTION:
        raise ConfigInvalid([Problem("retention", "", f"{wanted} would delete nearly everything", "give a day or more")])
    if (present is None or wanted < present) and not wish.shorten:
        reason = f"{place} keeps readings {said(present)}; {said(wanted)} would delete older ones"
        raise ConfigInvalid([Problem("retention", "", reason, "say so with --shorten")])
    return True


def said(retention: timedelta | None) -> str:
    return "for ever" if retention is None else f"{retention / timedelta(days=1):g} days"


async def identified(address: Address) -> Profile:
    """What answers there. Raises ``StoreUnavailable``."""
    server = LineServer(address, ANSWER_S)
    try:
        return await server.identify()
    finally:
        await server.close()


def prepared(wish: Wish, profile: Profile) -> Iterator[str]:
    """Prepares the server step by step; says each. Raises ``StoreUnavailable`` or ``ConfigInvalid``."""
    match profile:
        case Profile.V1:
            yield from _prepared_v1(wish)
        case Profile.V2:
            from ingest.store.setup_v2 import prepared_v2  # InfluxDB's client costs 30 MB, which nothing else wants

            yield from prepared_v2(wish)
        case Profile.V3:
            yield from _prepared_v3(wish)
        case Profile.VICTORIA:
            yield "VictoriaMetrics has no databases: its retention is the flag -retentionPeriod. 无需准备,保留期由启动参数决定。"


def _prepared_v1(wish: Wish) -> Iterator[str]:
    db = wish.address.db
    with _Asked(wish.address, Profile.V1) as asked:
        there = [db] in asked.rows("SHOW DATABASES")
        if not there:
            asked.rows(f'CREATE DATABASE "{db}"')
        yield f"database {db}: {_found(there)}"
        policy, present = asked.default_policy(db)
        if check_retention(present, wish, f"database {db}") if there else wish.retention:
            asked.rows(f'ALTER RETENTION POLICY "{policy}" ON "{db}" DURATION {_hours(wish.retention)}h SHARD DURATION 0s')
            present = wish.retention
        yield f"retention policy {policy}: {said(present)} 保留期"
        if wish.login is not None:
            yield from _user_v1(asked, db, *wish.login)


def _user_v1(asked: "_Asked", db: str, user: str, password: str) -> Iterator[str]:
    there = any(row[0] == user for row in asked.rows("SHOW USERS"))
    if not there:
        asked.rows(f'CREATE USER "{_name(user)}" WITH PASSWORD {quoted(password)}')
    asked.rows(f'GRANT ALL ON "{db}" TO "{_name(user)}"')
    yield f"user {user}: {_found(there)}, may read and write {db} 可读写"


def _prepared_v3(wish: Wish) -> Iterator[str]:
    wanted: dict[str, str] = {"db": wish.address.db}
    if wish.retention is not None:
        if wish.retention < LEAST_RETENTION:
            check_retention(None, wish, wish.address.db)
        wanted["retention_period"] = f"{wish.retention.days}d"
    with _Asked(wish.address, Profile.V3) as asked:
        made = asked.post("/api/v3/configure/database", wanted)
    yield f"database {wish.address.db}: {_found(not made)}"
    if not made and wish.retention is not None:
        yield "its retention stays: InfluxDB 3 sets it when a database is made. 已存在的数据库保留期不变。"


class _Asked:
    """A server that is asked as its administrator."""

    def __init__(self, address: Address, profile: Profile) -> None:
        self._address = address
        token = read_secret(address.token_file, "the token").strip() if address.token_file else address.token
        headers = authorization(address, profile, token)
        self._http = httpx.Client(
            base_url=address.url, headers=headers, timeout=ANSWER_S, trust_env=False, verify=secured(address.tls)
        )

    def __enter__(self) -> "_Asked":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def rows(self, statement: str) -> list[list[object]]:
        """What an InfluxQL statement answers."""
        found = self._checked(self._sent("/query", {"q": statement}))
        answer = msgspec.json.decode(found.content, type=_Answer)
        for result in answer.results:
            if result.error:
                raise StoreUnavailable(f"{self._address}: {result.error}")
        return [row for result in answer.results for series in result.series for row in series.values]

    def default_policy(self, db: str) -> tuple[str, timedelta | None]:
        """Name and duration of the retention policy that is written to; columns are name, duration, ..., default."""
        for name, duration, *_, default in self.rows(f'SHOW RETENTION POLICIES ON "{db}"'):
            if default is True:
                return str(name), _duration(str(duration))
        raise StoreUnavailable(f"{self._address}: the database has no default retention policy")

    def post(self, path: str, body: Mapping[str, str]) -> bool:
        """Whether it was made now; false when it was there."""
        answer = self._sent(path, {}, msgspec.json.encode(body))
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        self._checked(answer)
        return True

    def _sent(self, path: str, parameters: dict[str, str], body: bytes = b"") -> httpx.Response:
        try:
            if body:
                return self._http.post(path, content=body, headers={"Content-Type": "application/json"})
            return self._http.post(path, data=parameters)  # a password belongs into no address and no log of addresses
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self._address}: {str(error) or type(error).__name__}") from error

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        found = verdict(answer.status_code, answer.content)
        if found.meaning is not Meaning.STORED:
            raise StoreUnavailable(f"{self._address}: {found.reason}")
        return answer


class _Series(msgspec.Struct, frozen=True):
    values: list[list[object]] = []


class _Result(msgspec.Struct, frozen=True):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []


def _found(there: bool) -> str:
    return "was there 已存在" if there else "made 已创建"


def _hours(retention: timedelta | None) -> int:
    assert retention is not None
    return int(retention / timedelta(hours=1))


def _name(user: str) -> str:
    return user.replace("\\", "\\\\").replace('"', '\\"')


def _duration(text: str) -> timedelta | None:
    """InfluxDB's own way of saying it: ``2160h0m0s``, and ``0s`` for ever."""
    hours = int(text.partition("h")[0]) if "h" in text else 0
    return timedelta(hours=hours) if hours else None
