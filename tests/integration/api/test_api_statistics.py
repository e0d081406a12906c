"""How much people are told, and where."""

from pathlib import Path
from typing import Any

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running

from ingest.alerts import Colour
from ingest.regions import load_regions
from linli.paths import config_dir

MINUTE = 60_000_000
NEXT_DOOR = "411202002002"
COUNTY = "411203001001"


async def of(centre: Centre, whose: str = "handler", **query: Any) -> dict[str, Any]:
    answer = await centre.get("/api/v1/statistics", whose, **({"from": NOW - 60 * MINUTE, "to": NOW} | query))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def some(centre: Centre) -> None:
    """Red, acknowledged after a minute and three; blue ones, one of them of another county, one of another city."""
    for number, minutes in enumerate((1, 3)):
        alert = await centre.raise_alert(NOW - 30 * MINUTE + number, colour=Colour.RED, device=f"red-{number}")
        centre.now[0] = alert.opened_at + minutes * MINUTE
        await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/ack")
    centre.now[0] = NOW
    for number in range(6):
        await centre.raise_alert(NOW - 30 * MINUTE + number, colour=Colour.BLUE, rule="leak", over_at=NOW if number else None)
    await centre.raise_alert(NOW - 1, COUNTY, colour=Colour.BLUE)
    await centre.raise_alert(NOW - 1, ELSEWHERE, colour=Colour.BLUE)
    await centre.raise_alert(NOW, colour=Colour.BLUE)  # at the end, which is not in it


async def test_rate_mix_delays_and_the_top_are_counted_within_scope_and_time(centre: Centre) -> None:
    await some(centre)
    found = await of(centre, by="colour")
    whole = found["whole"]
    assert (whole["alerts"], whole["per_hour"], whole["per_day"]) == (9, 9.0, 216.0)
    mix = {row["colour"]: (row["alerts"], row["share"], row["target"]) for row in whole["mix"]}
    assert mix == {"red": (2, 0.2222, 0.05), "orange": (0, 0.0, None), "yellow": (0, 0.0, 0.15), "blue": (7, 0.7778, 0.8)}
    assert whole["to_ack"] == {"count": 2, "mean_s": 120.0, "median_s": 120.0}
    assert whole["to_close"] == {"count": 0, "mean_s": None, "median_s": None}
    assert [(group["key"], group["alerts"]) for group in found["groups"]] == [("blue", 7), ("red", 2)]
    assert found["top_rules"][0] == {"rule": "leak", "alerts": 6, "share": 0.6667}
    assert found["top_devices"][0]["device"] == "b3-pump-level"


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("county", {"411202": 8, "411203": 1}),
        ("street", {"411202002": 8, "411203001": 1}),
        ("community", {HERE: 8, COUNTY: 1}),
        ("kind", {"leak": 6, "sump_high": 3}),
    ],
)
async def test_the_same_alerts_by(centre: Centre, by: str, expected: dict[str, int]) -> None:
    await some(centre)
    found = await of(centre, by=by)
    assert {group["key"]: group["alerts"] for group in found["groups"]} == expected


async def test_the_median_of_four_lies_between_the_middle_two(centre: Centre) -> None:
    for number, seconds in enumerate((1, 2, 4, 60)):
        alert = await centre.raise_alert(NOW - MINUTE, device=f"d-{number}")
        centre.now[0] = NOW - MINUTE + seconds * 1_000_000
        await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/ack")
    assert (await of(centre))["whole"]["to_ack"] == {"count": 4, "mean_s": 16.75, "median_s": 3.0}


async def test_a_flood_is_told_with_its_minutes_and_its_community(centre: Centre) -> None:
    for number in range(10):
        await centre.raise_alert(NOW - 30 * MINUTE, device=f"d-{number}")
        await centre.raise_alert(NOW - 30 * MINUTE, NEXT_DOOR if number else HERE, device=f"e-{number}")
    floods = (await of(centre))["floods"]
    assert floods == [{"community": HERE, "minutes": 10, "share": 0.1667}]


async def test_a_code_without_an_entry_counts_under_its_nearest_ancestor_and_is_named(tmp_path: Path) -> None:
    regions = load_regions([config_dir() / "regions" / "sanmenxia.yaml"])
    async with running(tmp_path, regions=regions) as centre:
        await centre.raise_alert(NOW - 1, "411202002001")
        await centre.raise_alert(NOW - 1, "411202099001")  # its street is not there
        found = await of(centre, by="street")
        named = {group["key"]: (group["alerts"], group["name"]["zh"]) for group in found["groups"]}
        assert named == {"411202": (1, "湖滨区"), "411202002": (1, "前进街道")}


async def test_a_region_narrows_and_never_widens(centre: Centre) -> None:
    await some(centre)
    assert (await of(centre, region="411203"))["whole"]["alerts"] == 1
    assert (await of(centre, region="42"))["whole"]["alerts"] == 0
    assert (await of(centre, "viewer", region="41"))["whole"]["alerts"] == 8


@pytest.mark.parametrize("query", [{"from": NOW}, {"from": NOW - 367 * 1440 * MINUTE}, {"by": "moon"}, {"region": "411"}])
async def test_a_time_or_region_that_cannot_be_is_refused(centre: Centre, query: dict[str, Any]) -> None:
    answer = await centre.get("/api/v1/statistics", **({"to": NOW} | query))
    assert assert_problem(answer, 400)["errors"][0]["where"].startswith("query.")


async def test_regions_are_told_with_what_is_open_in_them_within_the_scope(tmp_path: Path) -> None:
    regions = load_regions([config_dir() / "regions" / "sanmenxia.yaml"])
    async with running(tmp_path, regions=regions) as centre:
        await centre.raise_alert(community="411202002001")
        await centre.raise_alert(community="411203001001", colour=Colour.RED)
        items = {item["code"]: item for item in (await centre.get("/api/v1/regions", "handler")).json()["items"]}
        assert items["4112"]["open"] == {"red": 1, "orange": 0, "yellow": 1, "blue": 0}
        assert items["411202"]["open"]["red"] == 0
        assert (items["411202002"]["parent"], items["411202002"]["level"]) == ("411202", "street")
        assert "411222" not in items
        then = (await centre.get("/api/v1/regions", "handler", at="2015-01-01T00:00:00Z", level="county")).json()["items"]
        assert "411222" in [item["code"] for item in then]
        assert (await centre.get("/api/v1/regions", "wuhan")).json() == {"items": []}
