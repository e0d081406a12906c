"""What the centre took is counted once by gateway and hour, with the rules' watermark, whatever comes again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alerts_world import COMMUNITY, GATEWAY, REF, Centre, Feed, instant, reading, rules_of

from ingest import tally
from ingest.store import HOUR_US, Hour
from ingest.tally import KEEP_US, Certificate, Taken
from telemetry.batch import Poison
from telemetry.errors import StoreUnavailable
from telemetry.identity import Scope
from telemetry.metric import Kind
from telemetry.reading import Reading

pytestmark = pytest.mark.both_databases

HOUR = instant(0) // HOUR_US * HOUR_US
EVERYONE = Scope(["41"])


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    made = Centre(tmp_path, rules_of(tmp_path, "rules: []"), [])
    yield made
    made.close()


def at(us: int, device: str = "b3-meter") -> Reading:
    return Reading(device=device, kind=Kind.ENERGY, at=us, values={"voltage": 230.0})


async def counted(centre: Centre, scope: Scope = EVERYONE, gateway: str | None = None) -> dict[int, Taken]:
    found = await centre.database.read(lambda c: tally.hours(c, scope, gateway, HOUR - HOUR_US, HOUR + 5 * HOUR_US))
    assert {hour[:2] for hour in found} <= {REF}
    return {hour.at: taken for hour, taken in found.items()}


async def test_each_reading_counts_in_the_hour_of_its_instant(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(at(HOUR - 1), at(HOUR), at(HOUR, "b4-meter")), feed.batch(at(HOUR + HOUR_US - 1)))
    await centre.take(feed.batch(at(HOUR + HOUR_US)))
    assert await counted(centre) == {HOUR - HOUR_US: Taken(1), HOUR: Taken(3), HOUR + HOUR_US: Taken(1)}


async def test_a_batch_that_comes_again_counts_once_also_after_a_restart(centre: Centre) -> None:
    batch = Feed().batch(at(HOUR))
    await centre.take(batch, batch)
    await centre.restart()
    await centre.take(batch)
    assert await counted(centre) == {HOUR: Taken(1)}


@pytest.mark.sqlite_file
async def test_what_does_not_commit_does_not_count(centre: Centre) -> None:
    batch = Feed().batch(at(HOUR))
    await centre.take(batch)
    await centre.database.write(lambda connection: connection.execute(sa.text("ALTER TABLE alert_watermark RENAME TO away")))
    with pytest.raises(StoreUnavailable):
        await centre.take(batch._replace(seq=2))
    await centre.database.write(lambda connection: connection.execute(sa.text("ALTER TABLE away RENAME TO alert_watermark")))
    assert await counted(centre) == {HOUR: Taken(1)}


async def test_what_is_set_aside_counts_apart_by_the_instant_that_it_says(centre: Centre) -> None:
    batch = Feed().batch(at(HOUR + HOUR_US))
    then = batch.received_at // HOUR_US * HOUR_US
    said = [b'{"device":"x","at":%d,"values":7}' % HOUR, b"not JSON", b'{"at":"noon"}', b'{"at":-5}']
    await centre.take(batch._replace(poison=tuple(Poison(body, "why") for body in said)))
    assert await counted(centre) == {HOUR: Taken(0, 1), then: Taken(1, 3)}


async def test_an_hour_is_inside_when_it_begins_inside(centre: Centre) -> None:
    await centre.take(Feed().batch(at(HOUR)))
    spans = ((HOUR, HOUR + 1), (HOUR - 1, HOUR), (HOUR + 1, HOUR + HOUR_US))
    found = [await centre.database.read(lambda c, span=span: tally.hours(c, EVERYONE, None, *span)) for span in spans]
    assert [len(hours) for hours in found] == [1, 0, 0]


async def test_a_gateway_and_a_scope_narrow_the_count(centre: Centre) -> None:
    await centre.take(Feed().batch(at(HOUR)))
    assert await counted(centre, gateway=GATEWAY) == {HOUR: Taken(1)}
    assert await counted(centre, gateway="gw-other") == {}
    assert await counted(centre, Scope(["42"])) == {}
    assert await counted(centre, Scope([])) == {}


def loss(at_s: float, first: int, last: int, readings: int) -> Reading:
    said = {"event": "loss", "loss_device": "b3-meter", "loss_from": first, "loss_to": last, "loss_count": readings}
    return reading(at_s, GATEWAY, Kind.GATEWAY, said | {"loss_reason": "outbox full"})


async def test_a_loss_certificate_is_kept_and_found_by_the_time_it_speaks_of(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(loss(9_000, HOUR, HOUR + HOUR_US, 40), reading(9_001, GATEWAY, Kind.GATEWAY, {"memory": 5})))
    known = Certificate(REF, instant(9_000), "b3-meter", HOUR, HOUR + HOUR_US, 40, "outbox full")

    async def found(start: int, end: int, scope: Scope = EVERYONE) -> list[Certificate]:
        return await centre.database.read(lambda c: tally.certificates(c, scope, None, start, end))

    assert await found(HOUR, HOUR + 9 * HOUR_US) == [known]
    assert await found(HOUR + HOUR_US, HOUR + 2 * HOUR_US) == [known]
    assert await found(HOUR - HOUR_US, HOUR + 1) == [known]
    assert await found(HOUR - HOUR_US, HOUR) == []
    assert await found(HOUR + HOUR_US + 1, HOUR + 2 * HOUR_US) == []
    assert await found(0, HOUR + HOUR_US, Scope(["42"])) == []


async def test_hours_and_certificates_that_are_too_old_go(centre: Centre) -> None:
    await centre.take(Feed().batch(at(HOUR), loss(0, HOUR, HOUR + 1, 40)))
    await centre.database.write(lambda connection: tally.forget(connection, HOUR + KEEP_US))
    assert Hour(COMMUNITY, GATEWAY, HOUR) in await centre.database.read(lambda c: tally.hours(c, EVERYONE, None, 0, HOUR + 1))
    await centre.database.write(lambda connection: tally.forget(connection, HOUR + KEEP_US + 2))
    assert await centre.database.read(lambda c: tally.hours(c, EVERYONE, None, 0, HOUR + 1)) == {}
    assert await centre.database.read(lambda c: tally.certificates(c, EVERYONE, None, 0, HOUR + 1)) == []
