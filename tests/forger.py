"""Somebody who owns the centre's database, and changes what is only ever added to: the chain must show it."""

from typing import Any

import sqlalchemy as sa


def forge(connection: sa.Connection, statement: sa.Executable) -> Any:
    """Runs a statement past the triggers that would refuse it; they stand again afterwards."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        return connection.execute(statement)
    triggers = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
    for name, _ in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    result = connection.execute(statement)
    for _, made in triggers:
        connection.exec_driver_sql(made)
    return result
