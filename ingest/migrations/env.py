"""What Alembic runs for each of its commands. Connection and transaction are the caller's."""

from alembic import context

from ingest.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
    render_as_batch=True,  # SQLite alters little of a table: it is made anew and filled
    transactional_ddl=True,  # of SQLite too, for its transactions are begun by us
)
context.run_migrations()
