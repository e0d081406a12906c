"""Writes the revision that brings a database of the newest revision to the tables as they are declared now.

    python -m ingest.migrations "alerts can be withdrawn"

Read what it wrote before you commit it: Alembic takes a column that got another name for one that went and one that came, and
knows nothing of what rows must become.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import ingest.service  # noqa: F401 - declares every table of the centre
from ingest import migrations
from ingest.database import metadata
from ingest.database.sqlite import SqliteFile


def main(why: str) -> None:
    with TemporaryDirectory() as folder:
        file = SqliteFile(Path(folder) / "centre.db", 1)
        file.open()
        if not file.ask(lambda connection: migrations.differences(connection, metadata)):
            sys.exit("the tables are as they are declared: there is nothing to migrate")
        written = file.ask(lambda connection: migrations.write_revision(connection, why))
        file.close()
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(written)], check=True)  # noqa: S603 - our own words


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__))
