"""A file of no meaning that takes up room on the disk, to be given back when the disk is full.

SQLite needs room to delete: without this a full disk could never be emptied by what fills it.
"""

import contextlib
import os
from pathlib import Path

BYTES = 2 << 20


def path_beside(database: Path) -> Path:
    return database.with_name(database.name + ".ballast")


def lay(database: Path) -> bool:
    """True when the ballast is there, made now if the disk has room for it twice over."""
    ballast = path_beside(database)
    try:
        if ballast.exists() and ballast.stat().st_size == BYTES:
            return True
        disk = os.statvfs(database.parent)
        if disk.f_bavail * disk.f_frsize < 2 * BYTES:
            return False
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BYTES)
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            ballast.unlink(missing_ok=True)
        return False
    return True


def drop(database: Path) -> None:
    """Gives its room to whoever is quick."""
    with contextlib.suppress(OSError):
        path_beside(database).unlink(missing_ok=True)
