"""The trail gives back what was heard and forgotten, in its order, also from rows that an older Linli wrote."""

import zlib
from copy import deepcopy
from typing import Any

import msgspec
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import migrations
from ingest.alerts.episode import Key
from ingest.alerts.trail import Forgotten, Heard, Row, Source, Step, Trail, row_of
from ingest.database import Database, Place, metadata
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading

BASE = 1_790_000_000_000_000
SOURCES = [Source(Stream("411202002001", "gw-1", f"{number:016x}", "bulk"), BASE + number) for number in range(3)]

heard = st.builds(
    Heard,
    st.sampled_from(SOURCES),
    st.builds(
        Reading,
        device=st.sampled_from(("air-1", "door-2")),
        kind=st.sampled_from(Kind),
        at=st.integers(BASE, BASE + 1_000),
        values=st.dictionaries(
            st.sampled_from("abc"), st.one_of(st.booleans(), st.integers(0, 9), st.floats(0, 9), st.text("a水", max_size=3))
        ),
        quality=st.sampled_from(Quality),
    ),
    st.sampled_from([(), ("leak",), ("leak", "smoke")]),
)
forgotten = st.builds(Forgotten, st.builds(Key, *map(st.just, ("leak", "411202002001", "gw-1/air-1", ""))), st.integers(0, 9))


def written(steps: list[Step]) -> list[Step]:
    return list(msgspec.msgpack.decode(msgspec.msgpack.encode(row_of(steps)), type=Row).steps())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(heard | forgotten, max_size=12))
def test_a_row_gives_back_its_steps_in_their_order(steps: list[Step]) -> None:
    found = written(steps)
    assert found == steps
    assert [[type(value) for value in one.reading.values.values()] for one in found if isinstance(one, Heard)] == [
        [type(value) for value in one.reading.values.values()] for one in steps if isinstance(one, Heard)
    ]


def test_of_a_reading_nothing_is_kept_that_no_rule_looks_at() -> None:
    reading = Reading(device="door-2", kind=Kind.ACCESS, at=BASE, values={"event": "granted"}, event_id="7", faults={"x": "bad"})
    (found,) = written([Heard(SOURCES[0], reading)])
    assert isinstance(found, Heard)
    assert (found.reading.event_id, found.reading.faults, found.reading.values) == (None, None, {"event": "granted"})


OLD = [
    [[[*SOURCES[1].stream], SOURCES[1].received_at]],
    [
        ["heard", 0, {"device": "air-1", "kind": "environment", "at": BASE, "values": {"co": 5.0}}],
        ["forgotten", ["leak", "411202002001", "gw-1/air-1", ""], 7],
        ["heard", 0, {"device": "door-2", "kind": "access", "at": BASE + 1, "values": {"locked": True}, "quality": "stale"}],
        ["forgotten", ["leak", "411202002001", "gw-1/air-1", ""], 8],
    ],
]


async def test_rows_of_an_older_linli_are_followed_and_can_be_taken_back(place: Place) -> None:
    table = metadata.tables["alert_trail"]
    body = zlib.compress(msgspec.msgpack.encode(OLD))

    def taken_back(connection: sa.Connection) -> None:
        migrations.downgrade(connection, "0018")
        connection.execute(table.insert(), [{"seq": seq, "known_at": BASE, "body": body} for seq in (1, 2)])

    def bodies(connection: sa.Connection) -> list[Any]:
        migrations.downgrade(connection, "0018")
        rows = connection.execute(sa.select(table.c.body).order_by(table.c.seq)).scalars()
        return [msgspec.msgpack.decode(zlib.decompress(row)) for row in rows]

    database = Database(place)
    await database.write(taken_back)
    database.close()
    database = Database(place)
    rows = await database.read(lambda connection: list(Trail().load(connection)))
    key = Key("leak", "411202002001", "gw-1/air-1", "")
    for row in rows:
        first, second, third, fourth = row.steps()
        assert isinstance(first, Heard) and isinstance(third, Heard)
        assert (first.source, first.reading.device, first.reading.values, first.reading.quality) == (
            *(SOURCES[1], "air-1", {"co": 5.0}, Quality.GOOD),
        )
        assert (third.reading.kind, third.reading.quality) == (Kind.ACCESS, Quality.STALE)
        assert (second, fourth) == (Forgotten(key, 7), Forgotten(key, 8))
    assert len(rows) == 2
    first_again, second_again = await database.write(bodies)
    database.close()
    said = deepcopy(OLD)
    said[1][0][2]["quality"] = "good"
    assert first_again == second_again == said
