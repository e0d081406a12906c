"""Text that people wrote, out of a file: what may be read at all, and how much of it.

Only a regular file is read, because a pipe or a device would never end; and no more of it than a document may hold.
"""

import stat
from pathlib import Path

from telemetry.document import MAX_TEXT
from telemetry.errors import ConfigInvalid, Problem

_BYTES = 4 * MAX_TEXT
"""A character takes at most four."""


def read_text(file: Path, absent: str | None = None) -> str:
    """The whole text of a UTF-8 file, or ``absent`` when there is none. Raises ``ConfigInvalid``."""
    try:
        body = _read(file)
    except FileNotFoundError as error:
        if absent is not None:
            return absent
        raise ConfigInvalid([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from error
    except OSError as error:
        raise ConfigInvalid([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from error
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigInvalid([Problem(str(file), "", "is not UTF-8", "save it as UTF-8")]) from error


def _read(file: Path) -> bytes:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ConfigInvalid([Problem(str(file), "", "is not a file to read", "not a folder, a pipe or a device")])
    if found.st_size > _BYTES:
        raise ConfigInvalid([Problem(str(file), "", f"{found.st_size} bytes", f"at most {MAX_TEXT} characters are read")])
    with file.open("rb") as opened:
        return opened.read(_BYTES + 1)
