"""A centre without rules takes batches as any other, and remembers nothing of devices that nobody will ask for."""

from pathlib import Path

import sqlalchemy as sa
from alerts_world import BASE, Feed, Inventory, reading

from ingest import tally
from ingest.alerts import AlertEngine, Rules
from ingest.database import Database, metadata
from telemetry.identity import Scope
from telemetry.metric import Kind


async def test_where_no_rule_stands_batches_are_counted_and_nothing_is_remembered(tmp_path: Path) -> None:
    database = Database(tmp_path / "centre.db")
    engine = AlertEngine(Rules(), database, Inventory([]), lambda: None)
    await engine.open()
    batch = Feed().batch(*(reading(at_s, "yard", Kind.ENVIRONMENT, {"temperature": 20.0}) for at_s in range(3)))
    await engine.take([batch], batch.received_at)
    assert await engine.watermarks() == {batch.stream: 1}
    counted = await database.read(lambda connection: tally.hours(connection, Scope(["41"]), None, 0, 2 * BASE))
    assert [taken.readings for taken in counted.values()] == [3]
    remembered = sa.select(metadata.tables["alert_presence"])
    assert await database.read(lambda connection: connection.execute(remembered).all()) == []
    database.close()
