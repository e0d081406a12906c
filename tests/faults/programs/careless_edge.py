"""A gateway whose outbox is not synced as it must be: ``OFF`` or ``NORMAL`` in place of synchronous FULL."""

import sqlite3
from typing import Any

from tests.faults.programs import own_words


def careless(level: str) -> None:
    connect = sqlite3.connect

    class Careless(sqlite3.Connection):
        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            return super().execute(statement.replace("synchronous=FULL", f"synchronous={level}"), *arguments)

    def connect_carelessly(*arguments: Any, **more: Any) -> sqlite3.Connection:
        opened: sqlite3.Connection = connect(*arguments, **{"factory": Careless, **more})
        return opened

    sqlite3.connect = connect_carelessly  # type: ignore[assignment]


if __name__ == "__main__":
    from linli.cli import main

    (level,) = own_words()
    careless(level)
    main()
