"""Small files that are whole or not there, whatever loses power when.

1. A reader, or the machine after a power cut, sees the old text or the new one, never a part.
2. ``create`` never overwrites: of two that race, one gets ``FileExistsError``.
3. ``replace`` keeps the mode and, where it may, the owner of what stood there.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def create(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes a new file, durable on return. Raises ``FileExistsError``, or another ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, text, mode) as draft:
        os.link(draft, path)  # a link, unlike a rename, refuses an existing name
    sync_folder(path.parent)


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes ``text`` in the place of what is there, or anew with ``mode``; durable on return. Raises ``OSError``."""
    before = path.stat() if path.exists() else None
    with _draft(path, text, before.st_mode & 0o777 if before else mode) as draft:
        if before:
            with contextlib.suppress(PermissionError):
                os.chown(draft, before.st_uid, before.st_gid)
        draft.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A name is durable when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _draft(path: Path, text: str, mode: int) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
