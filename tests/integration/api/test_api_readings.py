import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem

from ingest.api.resolution import Resolution, level_of
from ingest.store import Level, Query
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading

EMPTY = {"resolution": "raw", "items": [], "next": None}
HOUR_US = Level.HOUR.width_us
DAY_US = 24 * HOUR_US


def level(at: int, metres: float, device: str = "b3-pump-level") -> Reading:
    return Reading(device=device, kind=Kind.ENVIRONMENT, at=at, values={"level": metres})


async def test_readings_are_told_newest_first_with_value_and_quality(centre: Centre) -> None:
    card = Reading(device="b3-reader", kind=Kind.ACCESS, at=NOW + 2, values={"event": "granted"}, event_id="e-1")
    bad = Reading(
        device="b3-climate", kind=Kind.ENVIRONMENT, at=NOW + 1, values={}, quality=Quality.BAD, faults={"*": "bad: timeout"}
    )
    await centre.store(level(NOW, 0.5), bad, card)
    items = (await centre.get("/api/v1/readings")).json()["items"]
    assert [(item["device"], item["metric"], item["value"], item["quality"]) for item in items] == [
        ("b3-reader", "event", "granted", "good"),
        ("b3-climate", "*", None, "bad"),
        ("b3-pump-level", "level", 0.5, "good"),
    ]
    assert items[0] | {"value": 0} == {
        "community": HERE,
        "gateway": "gw-1",
        "device": "b3-reader",
        "kind": "access",
        "metric": "event",
        "at": "2026-11-23T08:00:00.000002Z",
        "value": 0,
        "quality": "good",
        "reason": "",
        "event_id": "e-1",
        "summary": None,
    }


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ({"device": "b3-pump-level"}, [3.0, 1.0]),
        ({"kind": "environment"}, [3.0, 2.0, 1.0]),
        ({"kind": "energy"}, []),
        ({"metric": "humidity"}, []),
        ({"gateway": "gw-1", "community": HERE}, [3.0, 2.0, 1.0]),
        ({"from": "2026-11-23T08:00:01Z"}, [3.0, 2.0]),
        ({"to": str(NOW + 2_000_000)}, [2.0, 1.0]),
        ({"from": "2026-11-23T16:00:01+08:00", "to": str(NOW + 2_000_000)}, [2.0]),
        ({"limit": "1"}, [3.0]),
    ],
)
async def test_filters_narrow_and_join(centre: Centre, query: dict[str, str], values: list[float]) -> None:
    await centre.store(level(NOW, 1.0), level(NOW + 1_000_000, 2.0, "b4-pump-level"), level(NOW + 2_000_000, 3.0))
    assert [item["value"] for item in (await centre.get("/api/v1/readings", **query)).json()["items"]] == values


async def test_pages_follow_each_other_by_next(centre: Centre) -> None:
    await centre.store(*(level(NOW + n, float(n)) for n in range(5)))
    found: list[float] = []
    query: dict[str, object] = {"limit": 2}
    while True:
        page = (await centre.get("/api/v1/readings", **query)).json()
        found += [item["value"] for item in page["items"]]
        if page["next"] is None:
            break
        query["to"] = page["next"]
    assert found == [4.0, 3.0, 2.0, 1.0, 0.0]


async def test_nothing_outside_the_scope_is_told(centre: Centre) -> None:
    await centre.store(level(NOW, 1.0), community=ELSEWHERE)
    assert (await centre.get("/api/v1/readings")).json() == EMPTY
    assert (await centre.get("/api/v1/readings", community=ELSEWHERE)).json() == EMPTY
    assert len((await centre.get("/api/v1/readings", "wuhan")).json()["items"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"from": "x"},
        {"to": "2026"},
        {"limit": "0"},
        {"limit": "5001"},
        {"resolution": "10m"},
        {"kind": "weather"},
        {"metric": "a b"},
        {"device": "UP"},
    ],
)
async def test_a_malformed_query_is_refused_by_name(centre: Centre, query: dict[str, str]) -> None:
    body = assert_problem(await centre.get("/api/v1/readings", **query), 400)
    assert body["errors"][0]["where"].startswith(f"query.{next(iter(query))}")


async def thinned(centre: Centre, *readings: Reading) -> None:
    """Stores an hour's readings and has them summarised."""
    await centre.store(*readings)
    begin = Level.HOUR.start(NOW)
    for start in range(begin, begin + HOUR_US, Level.FIVE_MINUTES.width_us):
        await centre.parts.store.roll_up(Level.FIVE_MINUTES, start, [GatewayRef(HERE, "gw-1")])
    await centre.parts.store.roll_up(Level.HOUR, begin, [GatewayRef(HERE, "gw-1")])


async def test_windows_are_told_with_what_was_least_most_mean_and_last(centre: Centre) -> None:
    await thinned(centre, level(NOW, 1.0), level(NOW + 1, 4.0), level(NOW + 2, 2.5), level(NOW + 300_000_000, 9.0))
    page = (await centre.get("/api/v1/readings", resolution="5m")).json()
    assert page["resolution"] == "5m"
    assert [(item["at"], item["value"]) for item in page["items"]] == [
        ("2026-11-23T08:05:00.000000Z", 9.0),
        ("2026-11-23T08:00:00.000000Z", 2.5),
    ]
    assert page["items"][1]["summary"] == {"count": 3, "minimum": 1.0, "maximum": 4.0, "mean": 2.5, "last": 2.5}
    hours = (await centre.get("/api/v1/readings", resolution="1h")).json()["items"]
    assert [(item["summary"]["count"], item["summary"]["last"]) for item in hours] == [(4, 9.0)]


async def test_windows_are_filtered_and_paged_as_readings_are(centre: Centre) -> None:
    await thinned(centre, *(level(NOW + n * 300_000_000, float(n)) for n in range(5)), level(NOW, 7.0, "b4-pump-level"))
    found: list[float] = []
    query: dict[str, object] = {"limit": 2, "resolution": "5m", "device": "b3-pump-level"}
    while True:
        page = (await centre.get("/api/v1/readings", **query)).json()
        found += [item["value"] for item in page["items"]]
        if page["next"] is None:
            break
        query["to"] = page["next"]
    assert found == [4.0, 3.0, 2.0, 1.0, 0.0]


async def test_windows_outside_the_scope_are_not_told(centre: Centre) -> None:
    await centre.store(level(NOW, 1.0), community=ELSEWHERE)
    await centre.parts.store.roll_up(Level.FIVE_MINUTES, NOW, [GatewayRef(ELSEWHERE, "gw-1")])
    assert (await centre.get("/api/v1/readings", resolution="5m")).json() == EMPTY | {"resolution": "5m"}
    assert len((await centre.get("/api/v1/readings", "wuhan", resolution="5m")).json()["items"]) == 1


def never(_level: Level, _kind: Kind) -> int:
    return 0


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, Level.RAW),
        (NOW - 6 * HOUR_US, None, Level.RAW),
        (NOW - 6 * HOUR_US - 1, None, Level.FIVE_MINUTES),
        (NOW - 99 * DAY_US, NOW - 99 * DAY_US + HOUR_US, Level.RAW),
        (NOW - 7 * DAY_US, None, Level.FIVE_MINUTES),
        (NOW - 7 * DAY_US - 1, None, Level.HOUR),
    ],
)
def test_auto_is_as_fine_as_the_time_asked_for_allows(start: int | None, end: int | None, expected: Level) -> None:
    assert level_of(Resolution.AUTO, Query(("41",), start=start, end=end), NOW, never) is expected


def test_auto_does_not_ask_for_what_is_kept_no_more() -> None:
    cuts = {Level.RAW: NOW - DAY_US, Level.FIVE_MINUTES: NOW - 9 * DAY_US, Level.HOUR: 0}

    def kept(level: Level, kind: Kind) -> int:
        return cuts[level] if kind is Kind.ACCESS else cuts[level] - DAY_US

    def chosen(start: int, kind: Kind | None = None) -> Level:
        return level_of(Resolution.AUTO, Query(("41",), start=start, end=start + HOUR_US, kind=kind), NOW, kept)

    assert chosen(NOW - DAY_US, Kind.ACCESS) is Level.RAW
    assert chosen(NOW - DAY_US - 1, Kind.ACCESS) is Level.FIVE_MINUTES
    assert chosen(NOW - DAY_US - 1) is Level.RAW
    assert chosen(NOW - 10 * DAY_US - 1) is Level.HOUR
