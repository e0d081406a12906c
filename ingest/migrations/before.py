"""SQLite files from before Alembic: they said their layout in ``user_version``, and become the layout at which it began.

No step is added here any more: a change to a table is a revision in ``versions``.
"""

import hashlib
import re
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

Step = Callable[[sa.Connection], None]

ALEMBIC = 1_000
"""The layout of a file that Alembic cares for: older programs take it for a newer one, which it is, and refuse it."""


def layout(connection: sa.Connection) -> int | None:
    """The layout of a file that Alembic has not seen; ``None`` for a new one, or a server."""
    if connection.dialect.name != "sqlite":
        return None
    found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    return found or (1 if sa.inspect(connection).has_table("alert") else None)  # the first layout did not say its number


def take_over(connection: sa.Connection) -> None:
    """Brings the tables that a file has to the last layout. New tables are not made."""
    if (found := layout(connection)) is not None:
        for step in STEPS[found - 1 :]:
            step(connection)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {ALEMBIC}")


def give_back(connection: sa.Connection) -> None:
    """The file is as if nobody had used it."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA user_version = 0")


_ORIGIN = re.compile(r"(?P<community>[0-9]{12,15})(?:/|', gateway=')(?P<gateway>[a-z0-9-]{3,64})")
"""A gateway in a topic, or in a stream as Python writes it."""


def _letters_name_their_gateway(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE dead_letter RENAME TO dead_letter_1")
    connection.exec_driver_sql(
        "CREATE TABLE dead_letter (digest VARCHAR(32) NOT NULL PRIMARY KEY, community TEXT NOT NULL, gateway TEXT NOT NULL,"
        " first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, times INTEGER NOT NULL, origin TEXT NOT NULL,"
        " reason TEXT NOT NULL, body BLOB NOT NULL)"
    )
    connection.exec_driver_sql("CREATE INDEX dead_letter_gateway ON dead_letter (community, gateway)")
    for row in connection.exec_driver_sql("SELECT * FROM dead_letter_1").mappings().all():
        found = _ORIGIN.search(row["origin"])
        gateway = found.groupdict() if found else {"community": "", "gateway": ""}
        connection.exec_driver_sql(
            "INSERT INTO dead_letter VALUES"
            " (:digest, :community, :gateway, :first_at, :last_at, :times, :origin, :reason, :body)",
            {**row, **gateway},
        )
    connection.exec_driver_sql("DROP TABLE dead_letter_1")


_ALERT_COLUMNS = (
    "origin VARCHAR(16) NOT NULL DEFAULT ''",
    "withdrawn_at BIGINT",
    "clause TEXT NOT NULL DEFAULT ''",
    "rule_version VARCHAR(16) NOT NULL DEFAULT ''",
    "drill BOOLEAN NOT NULL DEFAULT 0",
    "told BOOLEAN NOT NULL DEFAULT 1",
    "suppressed_by VARCHAR(32) NOT NULL DEFAULT ''",
    "collapsed_into VARCHAR(32) NOT NULL DEFAULT ''",
    "flapping BOOLEAN NOT NULL DEFAULT 0",
    "shelved_until BIGINT",
    "shelved_until_normal BOOLEAN NOT NULL DEFAULT 0",
    "shelved_by VARCHAR(128) NOT NULL DEFAULT ''",
    "shelf_reason TEXT NOT NULL DEFAULT ''",
)


def _alerts_say_where_they_stand(connection: sa.Connection) -> None:
    for column in _ALERT_COLUMNS:
        connection.exec_driver_sql(f"ALTER TABLE alert ADD COLUMN {column}")
    connection.exec_driver_sql("ALTER TABLE alert ADD COLUMN standing VARCHAR(16) NOT NULL DEFAULT 'open'")
    connection.exec_driver_sql("UPDATE alert SET standing = state")
    connection.exec_driver_sql("DROP INDEX alert_state")
    connection.exec_driver_sql("ALTER TABLE alert DROP COLUMN state")
    connection.exec_driver_sql("ALTER TABLE alert RENAME COLUMN standing TO state")
    connection.exec_driver_sql("CREATE INDEX alert_state ON alert (state, opened_at)")


def _the_alerts_journal_is_chained(connection: sa.Connection) -> None:
    """What an old line does not say (colour, state, the rule's version) stays unsaid."""
    for column in (
        "colour VARCHAR(8)",
        "state VARCHAR(16)",
        "rule_version VARCHAR(16)",
        "before VARCHAR(64)",
        "digest VARCHAR(64)",
    ):
        connection.exec_driver_sql(f"ALTER TABLE alert_journal ADD COLUMN {column} NOT NULL DEFAULT ''")
    covered = ("alert", "transition", "event_at", "known_at", "actor", "note", "value", "colour", "state", "rule_version")
    digest = "0" * 64
    rows = connection.exec_driver_sql("SELECT * FROM alert_journal ORDER BY seq").mappings().all()
    for row in rows:
        before, line = digest, [row[name] for name in covered]
        digest = hashlib.sha256(msgspec.json.encode([*line, before])).hexdigest()
        connection.exec_driver_sql("UPDATE alert_journal SET before = ?, digest = ? WHERE seq = ?", (before, digest, row["seq"]))


def _lists_have_indexes(connection: sa.Connection) -> None:
    for name in ("alert_newest", "alert_state", "work_order_newest"):
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    for name, columns in (
        ("alert_by_time", "opened_at, id, community"),
        ("alert_by_state", "state, colour, opened_at, id, community"),
        ("alert_by_family", "family, state, colour, opened_at, id, community"),
        ("alert_by_kind", "kind, state, colour, opened_at, id, community, family"),
        ("alert_by_device", "device, state, colour, opened_at, id, community, family, kind"),
        ("alert_by_community", "community, opened_at, id, state, colour, family, kind, device"),
        ("alert_by_change", "seq, community, id"),
        ("work_order_by_time", "reported_at, id, community"),
        ("work_order_by_colour", "ended, colour, reported_at, id, community"),
        ("work_order_by_stage", "stage, ended, colour, reported_at, id, community"),
        ("work_order_by_supervision", "supervision, ended, colour, reported_at, id, community, stage"),
        ("work_order_by_kind", "kind, ended, colour, reported_at, id, community, stage, supervision"),
        ("work_order_by_unit", "unit, ended, colour, reported_at, id, community, stage, supervision, kind"),
        ("work_order_by_community", "community, reported_at, id, ended, colour, stage, supervision, kind, unit"),
    ):
        table = "alert" if name.startswith("alert") else "work_order"
        if sa.inspect(connection).has_table(table):
            connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns})")


STEPS: tuple[Step, ...] = (
    _letters_name_their_gateway,
    _alerts_say_where_they_stand,
    _the_alerts_journal_is_chained,
    _lists_have_indexes,
)
LAYOUT = len(STEPS) + 1
