"""The layout of the centre's database, and how that of an older Linli becomes ours: Alembic's revisions, in ``versions``.

1. An upgrade is one transaction, the caller's: all of it happened, or none.
2. A database of a newer Linli is refused, never touched.
3. A revision that shipped is never changed: whoever changes a table adds one at the end (``python -m ingest.migrations``).
4. A SQLite file from before Alembic is brought to the layout at which Alembic began, then on.
"""

from ingest.migrations.chain import current, differences, downgrade, newest, revisions, upgrade, write_revision

__all__ = ["current", "differences", "downgrade", "newest", "revisions", "upgrade", "write_revision"]
