"""Bearer tokens: who may see which communities through the API, and who may act.

1. Only the SHA-256 of a token is kept; the token itself is shown once, when it is made.
2. A token is looked up in constant time: every entry is compared, whether one matched or not.
3. Outside its scope a token sees nothing; past its expiry it is none. A part of a scope may have a time of its own.
4. The file is of mode 0600; adding or removing a token takes effect without a restart.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import yaml

from ingest import instant
from ingest.regions import BEIJING
from ingest.secret_file import Watched, changing, read_secret, write_secret
from telemetry.document import read
from telemetry.errors import ConfigInvalid, IdentityInvalid, Problem
from telemetry.identity import Scope
from telemetry.reading import Micros

PREFIX = "linli_"
WHAT = "the tokens file"
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class Role(StrEnum):
    """In order, each with what those before it may: a ``viewer`` reads; a ``platform`` acknowledges alerts and reports work
    orders; a ``handler`` works on those of its unit; a ``dispatcher`` sends them out and checks them; a ``supervisor`` supervises
    and overrides; an ``admin`` replays history and decides on dead letters."""

    VIEWER = "viewer"
    PLATFORM = "platform"
    HANDLER = "handler"
    DISPATCHER = "dispatcher"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether whoever has this role may do what ``other`` may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


class TokenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One token of the file. ``expires`` is an RFC 3339 instant; ``unit``: whose work orders it works on, else ``name``.

    A ``scope`` is prefixes, each for ever or for some days of Beijing: ``411271@2026-01-01..2026-12-31``. ``former_sha256`` is of
    the token before it was rotated, which opens the same until ``former_until``.
    """

    name: Label
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scope: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=64)]
    role: Role = Role.VIEWER
    expires: str | None = None
    unit: Label | None = None
    former_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    former_until: str | None = None


class Term(NamedTuple):
    """A prefix that a token sees from ``since`` on and before ``until``, UTC microseconds; ``None`` is open."""

    prefix: str
    since: int | None = None
    until: int | None = None

    def valid(self, at: int) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


def term(written: str) -> Term:
    """``PREFIX`` or ``PREFIX@FROM..UNTIL``, where either day may be left out. Raises ``ValueError``, ``IdentityInvalid``."""
    prefix, dated, days = written.partition("@")
    Scope([prefix])
    if not dated:
        return Term(prefix)
    since, dots, until = days.partition("..")
    if not dots:
        raise ValueError(f"{days!r} is not two days with '..' between them")
    return Term(prefix, _midnight(since, 0), _midnight(until, 1))


def _midnight(day: str, later: int) -> int | None:
    """The instant at which a day of Beijing begins, or so many days later."""
    if not day:
        return None
    found = datetime.combine(date.fromisoformat(day), time(), BEIJING) + timedelta(days=later)
    return int(found.timestamp()) * 1_000_000


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: tuple[TokenEntry, ...] = ()


class Grant(NamedTuple):
    """What a presented token allows. ``digest`` finds it again; it opens nothing."""

    name: str
    scope: Scope
    role: Role
    expires_at: Micros | None
    digest: str
    unit: str = ""
    terms: tuple[Term, ...] = ()
    """Those of its scope that have a time of their own; ``scope`` holds the others, and those that are valid when it is found."""


class Tokens:
    """The tokens of a file and, for tests alone, one given in the clear that sees and may do everything in ``ALL``."""

    def __init__(self, file: Path | None, extra: Sequence[str] = ()) -> None:
        """Raises ``ConfigInvalid`` when the file is bad; a file that is not there yet holds no token."""
        nobody: tuple[Grant, ...] = ()
        self._file = Watched(file, load_grants, nobody) if file else None
        self._extra = tuple(Grant("command line", Scope(ALL), Role.ADMIN, None, digest(token), "command line") for token in extra)

    def find(self, presented: str, now: int) -> Grant | None:
        """The grant of a token, or ``None``; ``now`` is UTC microseconds."""
        return self.still(digest(presented), now)

    def still(self, wanted: str, now: int) -> Grant | None:
        """The grant with this digest, if it is still given at ``now``."""
        found = None
        for grant in (*(self._file.value() if self._file else ()), *self._extra):
            if hmac.compare_digest(grant.digest, wanted):
                found = grant
        if found is None or (found.expires_at is not None and now >= found.expires_at):
            return None
        if not found.terms:
            return found
        return found._replace(scope=Scope((*found.scope.prefixes, *(term.prefix for term in found.terms if term.valid(now)))))

    def listed(self) -> tuple[Grant, ...]:
        """Those of the file, whether they have ended or not; of a rotated one the former too."""
        return self._file.value() if self._file else ()


ALL = tuple(f"{province:02}" for province in range(10, 100))
"""Every province there can be: the scope of a token given on the command line."""


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def load_entries(file: Path) -> tuple[TokenEntry, ...]:
    """The entries of a tokens file. Raises ``ConfigInvalid`` with every problem."""
    entries = read(read_secret(file, WHAT), str(file), _File).tokens
    problems = list(_problems(entries, str(file)))
    if problems:
        raise ConfigInvalid(problems)
    return entries


def load_grants(file: Path) -> tuple[Grant, ...]:
    """What a tokens file allows. Raises ``ConfigInvalid`` with every problem."""
    return tuple(grant for entry in load_entries(file) for grant in _grants(entry))


def _grants(entry: TokenEntry) -> Iterator[Grant]:
    """That of the token and, when it was rotated, of the one before."""
    terms = [term(written) for written in entry.scope]
    always = Scope(one.prefix for one in terms if one.since is None and one.until is None)
    dated = tuple(one for one in terms if one.since is not None or one.until is not None)
    expires = instant.parse(entry.expires) if entry.expires else None
    now = Grant(entry.name, always, entry.role, expires, entry.sha256, entry.unit or entry.name, dated)
    yield now
    if entry.former_sha256 and entry.former_until:
        until = instant.parse(entry.former_until)
        yield now._replace(digest=entry.former_sha256, expires_at=until if expires is None else min(until, expires))


def add(
    file: Path,
    name: str,
    scope: Sequence[str],
    role: Role = Role.VIEWER,
    expires: str | None = None,
    unit: str | None = None,
) -> str:
    """A new token, written to the file by its hash alone. Raises ``ConfigInvalid``, also when the name is taken."""
    token = PREFIX + secrets.token_urlsafe(32)
    entry = TokenEntry(name=name, sha256=digest(token), scope=tuple(scope), role=role, expires=expires, unit=unit)
    with changing(file):
        _write(file, (*_present(file), entry))
    return token


def rotate(file: Path, name: str, former_until: str) -> str | None:
    """A new token in the place of the one of this name, which opens the same until ``former_until``; ``None`` when there is
    none. Raises ``ConfigInvalid``."""
    token = PREFIX + secrets.token_urlsafe(32)
    with changing(file):
        entries = _present(file)
        if all(entry.name != name for entry in entries):
            return None
        _write(file, tuple(_rotated(entry, token, former_until) if entry.name == name else entry for entry in entries))
    return token


def _rotated(entry: TokenEntry, token: str, former_until: str) -> TokenEntry:
    return msgspec.structs.replace(entry, sha256=digest(token), former_sha256=entry.sha256, former_until=former_until)


def remove(file: Path, name: str) -> bool:
    """Whether there was one of this name; it opens nothing from now on. Raises ``ConfigInvalid``."""
    with changing(file):
        entries = _present(file)
        kept = tuple(entry for entry in entries if entry.name != name)
        if len(kept) < len(entries):
            _write(file, kept)
    return len(kept) < len(entries)


def _present(file: Path) -> tuple[TokenEntry, ...]:
    return load_entries(file) if file.exists() else ()


def _write(file: Path, entries: tuple[TokenEntry, ...]) -> None:
    written = yaml.safe_dump(msgspec.to_builtins(_File(entries)), sort_keys=False, allow_unicode=True)
    problems = list(_problems(read(written, str(file), _File).tokens, str(file)))
    if problems:
        raise ConfigInvalid(problems)
    write_secret(file, written)


def _problems(entries: Sequence[TokenEntry], file: str) -> Iterator[Problem]:
    names = [entry.name for entry in entries]
    hashes = [entry.sha256 for entry in entries]
    for number, entry in enumerate(entries):
        here = f"tokens[{number}]"
        if entry.name in names[:number]:
            yield Problem(file, f"{here}.name", f"{entry.name!r} stands twice", "choose another name, or remove the old token")
        if entry.sha256 in hashes[:number]:
            yield Problem(file, f"{here}.sha256", "is that of another token", "make each token with 'linli ingest token add'")
        for written in entry.scope:
            try:
                term(written)
            except (IdentityInvalid, ValueError) as error:
                cure = "for example 4112 for a city, 411202002001 for a community, 411271@2026-01-01..2026-12-31 for a year"
                yield Problem(file, f"{here}.scope", str(error), cure)
        for key, said in (("expires", entry.expires), ("former_until", entry.former_until)):
            try:
                instant.parse(said or "2026-01-01T00:00:00Z")
            except ValueError as error:
                yield Problem(file, f"{here}.{key}", str(error))
        if (entry.former_sha256 is None) != (entry.former_until is None):
            yield Problem(file, here, "former_sha256 and former_until go together", "make them with 'linli ingest token rotate'")
