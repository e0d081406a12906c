"""Only ``ingest.database`` and the revisions know which databases there are; ``ingest.store`` has DuckDB besides."""

import re
from pathlib import Path

INGEST = Path(__file__).parents[3] / "ingest"
OF_ONE_DATABASE = re.compile(r"sqlalchemy\.dialects|\bsqlite3\b|exec_driver_sql|PRAGMA|OR REPLACE|\browid\b|\bpsycopg\b")


def test_rooms_speak_to_both_databases_alike() -> None:
    rooms = [path for path in INGEST.rglob("*.py") if not {"database", "migrations", "store"} & set(path.parts)]
    assert len(rooms) > 100
    spoken = {str(path.relative_to(INGEST)): OF_ONE_DATABASE.findall(path.read_text(encoding="utf-8")) for path in rooms}
    assert {room: words for room, words in spoken.items() if words} == {}, "docs/database.md has words that both understand"
