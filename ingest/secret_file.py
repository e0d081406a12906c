"""Small YAML files of secrets: tokens, keys of gateways.

1. Only their owner may read them: a file with any other permission is refused, with the cure.
2. A change is whole or nothing: written beside, synced, then renamed over; two commands cannot overwrite each other.
3. A running centre sees a change without a restart. A file that turns bad is logged once and what was read before stands;
   a file that is gone means nobody.
"""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from telemetry.document import MAX_TEXT
from telemetry.errors import ConfigInvalid, Problem

log = structlog.get_logger()

_T = TypeVar("_T")
_Stamp = tuple[int, int, int]


def read_secret(path: Path, what: str) -> str:
    """The text of a file that its owner alone can read. Raises ``ConfigInvalid``."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise ConfigInvalid([Problem(str(path), "", f"{what} is not a file to read")])
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                reason = f"{what} can be read by others (mode {mode:04o})"
                raise ConfigInvalid([Problem(str(path), "", reason, f"chmod 600 {path}")])
            return file.read(MAX_TEXT + 1)
    except OSError as error:
        raise ConfigInvalid([Problem(str(path), "", f"{what} cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid([Problem(str(path), "", f"{what} is not UTF-8 text")]) from error


def read_key(path: Path, what: str) -> bytes:
    """A key of 32 bytes from a secret file of 64 hex characters. Raises ``ConfigInvalid``."""
    written = read_secret(path, what).strip()
    try:
        key = bytes.fromhex(written)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigInvalid([Problem(str(path), "", f"{what} is not 64 hex characters", "copy it whole from the gateway")])
    return key


def write_secret(path: Path, text: str) -> None:
    """Replaces the file by ``text``, mode 0600; durable when it returns. Raises ``ConfigInvalid``."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigInvalid([Problem(str(path), "", f"cannot be written: {error.strerror}")]) from error


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Held while a command reads, changes and writes ``path``. Raises ``ConfigInvalid`` when another one is at it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise ConfigInvalid([Problem(str(path), "", f"its folder cannot be opened: {error.strerror}")]) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigInvalid([Problem(str(path), "", "another command is changing it", "try again in a moment")]) from error
    finally:
        os.close(folder)


class Watched(Generic[_T]):
    """What ``load`` makes of a file, made again when the file has changed; ``absent`` while there is none."""

    def __init__(self, path: Path, load: Callable[[Path], _T], absent: _T, look_s: float = 0.0) -> None:
        """It is looked at no oftener than every ``look_s``. Raises ``ConfigInvalid`` when the file is there but bad."""
        self._path = path
        self._load = load
        self._absent = absent
        self._look_s = look_s
        self._looked_at = time.monotonic()
        self._stamp = self._look()
        self._value = absent if self._stamp is None else load(path)

    def value(self) -> _T:
        now = time.monotonic()
        if now - self._looked_at < self._look_s:
            return self._value
        self._looked_at = now
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            self._reload(stamp is not None)
        return self._value

    def _reload(self, there: bool) -> None:
        try:
            self._value = self._load(self._path) if there else self._absent
        except ConfigInvalid as error:
            log.warning("secret file refused, the former one stands", reason=str(error))
        else:
            log.info("secret file read again", file=str(self._path), there=there)

    def _look(self) -> _Stamp | None:
        """What changes whenever the file does, its mode included (``st_ctime``)."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns, found.st_size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
