import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem

from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading


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
    assert (await centre.get("/api/v1/readings")).json() == {"items": [], "next": None}
    assert (await centre.get("/api/v1/readings", community=ELSEWHERE)).json() == {"items": [], "next": None}
    assert len((await centre.get("/api/v1/readings", "wuhan")).json()["items"]) == 1


@pytest.mark.parametrize(
    "query",
    [{"from": "x"}, {"to": "2026"}, {"limit": "0"}, {"limit": "5001"}, {"kind": "weather"}, {"metric": "a b"}, {"device": "UP"}],
)
async def test_a_malformed_query_is_refused_by_name(centre: Centre, query: dict[str, str]) -> None:
    body = assert_problem(await centre.get("/api/v1/readings", **query), 400)
    assert body["errors"][0]["where"].startswith(f"query.{next(iter(query))}")
