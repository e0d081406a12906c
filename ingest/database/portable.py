"""What rooms declare their tables with and write rows with: the same for SQLite and for PostgreSQL.

1. A column takes what it is given on both: on PostgreSQL text has no length and every integer 64 bits, as on SQLite. What a
   value may be is decided where it enters, so that no row fails on the one database and not on the other.
2. Constraints have names, so that a migration can drop them.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles

metadata = sa.MetaData(naming_convention={"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"})

Rows = Iterable[Mapping[str, Any]]


@compiles(sa.String, "postgresql")
def _text(_type: sa.String, _compiler: Any, **_how: Any) -> str:
    return "TEXT"


@sa.event.listens_for(sa.Column, "before_parent_attach")
def _widen(column: "sa.Column[Any]", table: sa.Table) -> None:
    """On SQLite it stays INTEGER, which has 64 bits and alone counts up by itself."""
    if table.metadata is metadata and type(column.type) is sa.Integer:
        column.type = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upsert(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Inserts rows, or overwrites those with the same primary key; columns that a row does not name stay as they are."""
    found = list(rows)
    if found:
        connection.execute(_overwriting(connection.dialect.name, table, tuple(found[0])), found)


@lru_cache(256)
def _overwriting(dialect: str, table: sa.Table, columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    """Made once: to write it down takes longer than to run it."""
    statement, keys = _insert(dialect, table), _keys(table)
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def insert_new(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Inserts rows; those whose primary key is there already change nothing."""
    found = list(rows)
    if found:
        connection.execute(insert(connection, table).on_conflict_do_nothing(), found)


def add_up(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Inserts rows, or adds their numbers to those with the same primary key."""
    found = list(rows)
    if found:
        connection.execute(_adding(connection.dialect.name, table, tuple(found[0])), found)


@lru_cache(256)
def _adding(dialect: str, table: sa.Table, columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    statement, keys = _insert(dialect, table), _keys(table)
    sums = {name: table.c[name] + statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=sums)


def insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ``ON CONFLICT``, in the words of the connection's database."""
    return _insert(connection.dialect.name, table)


def _insert(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key]
