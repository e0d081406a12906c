"""journals are only added to

A revision that makes one of these tables anew on SQLite makes its triggers anew too: they go with the table.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

_FORBIDDEN = {
    "alert_journal": ("UPDATE", "DELETE"),
    "work_order_journal": ("UPDATE", "DELETE"),
    "access_log": ("UPDATE",),
}


def upgrade() -> None:
    server = op.get_bind().dialect.name == "postgresql"
    if server:
        op.execute(
            "CREATE FUNCTION only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION USING ERRCODE = '23000', MESSAGE = TG_TABLE_NAME || ' is only added to'; END $$"
        )
    for table, forbidden in _FORBIDDEN.items():
        for what in forbidden:
            begin = f"CREATE TRIGGER {_name(table, what)} BEFORE {what} ON {table}"
            if server:
                op.execute(f"{begin} FOR EACH STATEMENT EXECUTE FUNCTION only_added_to()")
            else:
                op.execute(f"{begin} BEGIN SELECT RAISE(ABORT, '{table} is only added to'); END")


def downgrade() -> None:
    server = op.get_bind().dialect.name == "postgresql"
    for table, forbidden in _FORBIDDEN.items():
        for what in forbidden:
            op.execute(f"DROP TRIGGER {_name(table, what)}" + (f" ON {table}" if server else ""))
    if server:
        op.execute("DROP FUNCTION only_added_to()")


def _name(table: str, what: str) -> str:
    return f"{table}_no_{what.lower()}"
