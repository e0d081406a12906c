"""The revisions in their order, run on a connection of the caller's."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from ingest.migrations import before
from telemetry.errors import ConfigInvalid, Problem

log = structlog.get_logger()


_HERE = Path(__file__).parent
_alone = Lock()
"""Alembic keeps the command that runs in a module of its own."""


def newest() -> str:
    """The revision of this program."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def revisions() -> list[str]:
    """Of this program, the oldest first."""
    return [script.revision for script in _scripts().walk_revisions()][::-1]


def current(connection: sa.Connection) -> str | None:
    """The database's revision; ``None`` before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: sa.Connection, place: str) -> None:
    """Brings the database at ``place`` to our revision. Raises ``ConfigInvalid`` for one that is newer."""
    found = current(connection)
    if found == newest():
        return
    if (strange := _strange(connection, found)) is not None:
        cure = "install that version again, or put back the copy made before the upgrade"
        raise ConfigInvalid([Problem(place, "", f"was written by a newer Linli ({strange})", cure)])
    old = before.layout(connection) if found is None else None
    _run(connection, lambda revision, _context: _scripts()._upgrade_revs("head", revision))
    if found or old:
        log.info("centre's database brought up to date", file=place, before=found or f"layout {old}", now=newest())


def downgrade(connection: sa.Connection, revision: str) -> None:
    """Brings the database back to an older revision; what only newer ones hold is lost."""
    _run(connection, lambda found, _context: _scripts()._downgrade_revs(revision, found))


def differences(connection: sa.Connection, metadata: sa.MetaData) -> list[Any]:
    """What the tables of the database lack of their declarations, or have beyond them."""
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


def write_revision(connection: sa.Connection, why: str) -> Path:
    """Writes the revision that brings the database, which is at the newest one, to the tables as they are declared."""
    with _alone:
        written = command.revision(_config(connection), why, autogenerate=True, rev_id=f"{int(newest()) + 1:04}")
    assert written is not None and not isinstance(written, list)
    path = Path(written.path)
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "# ###" not in line))
    return path


def _strange(connection: sa.Connection, found: str | None) -> str | None:
    """What of the database only a newer Linli can have written."""
    if found is None:
        return f"layout {layout}, not {before.LAYOUT}" if (layout := before.layout(connection) or 0) > before.LAYOUT else None
    return None if found in revisions() else f"revision {found}, not {newest()}"


@cache
def _scripts() -> ScriptDirectory:
    """Read once: every database that a program opens is brought up by the same."""
    return ScriptDirectory.from_config(_config())


def _run(connection: sa.Connection, steps: Callable[[Any, Any], Any]) -> None:
    """As ``alembic.command`` does, which would read the revisions from the disk each time."""
    with _alone, EnvironmentContext(_config(connection), _scripts(), fn=steps):
        _scripts().run_env()


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config
