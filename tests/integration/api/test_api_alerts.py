import pytest
from api_centre import HERE, NOW, Centre, assert_problem

from ingest import tokens
from ingest.alerts import Colour, Family
from ingest.api import cursor
from ingest.paging import Cursor

pytestmark = pytest.mark.both_databases


async def test_an_alert_is_told_whole(centre: Centre) -> None:
    alert = await centre.raise_alert(over_at=NOW + 60_000_000)
    assert (await centre.get(f"/api/v1/alerts/{alert.id}")).json() == {
        "id": alert.id,
        "seq": 1,
        "rule": "sump-high",
        "kind": "sump_high",
        "family": "environment",
        "colour": "yellow",
        "state": "cleared",
        "title": {"zh": "集水井水位高", "en": "High water in the sump"},
        "text": {"zh": "水位 1.62 m", "en": "Level 1.62 m"},
        "device": "b3-pump-level",
        "gateway": "gw-1",
        "community": HERE,
        "place": {"zh": "3号楼水泵房", "en": "Building 3 pump room"},
        "zone": "b3-pump-room",
        "value": 1.62,
        "limit": 1.5,
        "metric": "level",
        "unit": "m",
        "opened_at": "2026-11-23T08:00:00.000000Z",
        "cleared_at": "2026-11-23T08:01:00.000000Z",
        "closed_at": None,
        "acked_at": None,
        "acked_by": None,
        "note": "",
        "count": 1,
        "origin": "",
        "withdrawn_at": None,
        "clause": "",
        "rule_version": "",
        "drill": False,
        "told": True,
        "suppressed_by": "",
        "collapsed_into": "",
        "folded": False,
        "flapping": False,
        "shelved_until": None,
        "shelved_until_normal": False,
        "shelved_by": "",
        "shelf_reason": "",
        "assigned_to": "",
    }


async def test_pages_hold_every_alert_once_newest_first_while_new_ones_arrive(centre: Centre) -> None:
    made = [await centre.raise_alert(NOW + n // 2, device=f"device-{n}") for n in range(7)]
    found: list[str] = []
    query: dict[str, object] = {"limit": 2}
    while True:
        page = (await centre.get("/api/v1/alerts", **query)).json()
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        await centre.raise_alert(NOW + 1000 + len(found), device="late")
    assert sorted(found) == sorted(alert.id for alert in made)
    order = {alert.id: alert.opened_at for alert in made}
    assert [order[id_] for id_ in found] == sorted(order.values(), reverse=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "open"}, {"a"}),
        ({"state": "cleared"}, {"b"}),
        ({"state": "closed"}, {"c"}),
        ({"colour": "red"}, {"b"}),
        ({"family": "access"}, {"c"}),
        ({"kind": "door_forced"}, {"c"}),
        ({"device": "device-b"}, {"b"}),
        ({"community": HERE}, {"a", "b", "c"}),
        ({"since": "2026-11-23T08:00:01Z"}, {"b", "c"}),
        ({"until": "2026-11-23T16:00:01+08:00"}, {"a"}),
        ({"since": str(NOW + 1_000_000), "until": str(NOW + 2_000_000)}, {"b"}),
        ({"colour": "red", "family": "access"}, set()),
    ],
)
async def test_filters_narrow_and_join(centre: Centre, query: dict[str, str], expected: set[str]) -> None:
    made = {
        "a": await centre.raise_alert(NOW, device="device-a"),
        "b": await centre.raise_alert(NOW + 1_000_000, device="device-b", colour=Colour.RED, over_at=NOW + 9_000_000),
        "c": await centre.raise_alert(
            NOW + 2_000_000, device="device-c", rule="door-forced", family=Family.ACCESS, over_at=NOW + 9_000_000, acked=True
        ),
    }
    answer = await centre.get("/api/v1/alerts", **query)
    names = {alert.id: name for name, alert in made.items()}
    assert {names[item["id"]] for item in answer.json()["items"]} == expected


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "x"},
        {"state": "OPEN"},
        {"colour": "green"},
        {"family": ""},
        {"device": "A'; drop table alert"},
        {"community": "41"},
        {"since": "yesterday"},
        {"since": "2026-11-23T08:00:00"},
        {"cursor": ""},
        {"cursor": "forged"},
        {"cursor": "MTc5NTQyMDgwMDAwMDAwMA"},
        {"cursor": "9" * 400},
        {"cursor": "京"},
        {"kind": "' OR 1=1 --"},
        {"collapsed_into": "' or ''='"},
    ],
)
async def test_a_malformed_query_is_refused_by_name(centre: Centre, query: dict[str, str]) -> None:
    body = assert_problem(await centre.get("/api/v1/alerts", **query), 400)
    assert body["errors"][0]["where"] == f"query.{next(iter(query))}"


async def test_a_cursor_is_of_its_list_and_of_the_token_that_it_was_given_to(centre: Centre) -> None:
    for number in range(3):
        await centre.raise_alert(NOW + number, device=f"device-{number}")
    given = (await centre.get("/api/v1/alerts", limit=1)).json()["next"]
    assert_problem(await centre.get("/api/v1/work-orders", cursor=given), 400)
    assert_problem(await centre.get("/api/v1/alerts", "admin", cursor=given), 400)
    assert len((await centre.get("/api/v1/alerts", cursor=given)).json()["items"]) == 2


async def test_a_cursor_that_a_token_made_up_for_itself_shows_nothing_outside_its_scope(centre: Centre) -> None:
    await centre.raise_alert(community="420102001001")
    forged = cursor.write(Cursor(NOW + 5, "zzzz"), "alerts", tokens.digest(centre.made["viewer"]))
    assert (await centre.get("/api/v1/alerts", cursor=forged)).json()["items"] == []
    number = cursor.write(Cursor(NOW + 5, "zzzz"), "notifications", tokens.digest(centre.made["admin"]))
    assert_problem(await centre.get("/api/v1/notifications", "admin", cursor=number), 400)


async def test_acknowledging_says_who_and_when_and_the_first_stands(centre: Centre) -> None:
    alert = await centre.raise_alert()
    path = f"/api/v1/alerts/{alert.id}/ack"
    centre.now[0] = NOW + 5_000_000
    first = (await centre.client("handler").post(path, json={"by": "王师傅", "note": "已到现场"})).json()
    assert (first["acked_by"], first["note"], first["acked_at"]) == ("王师傅", "已到现场", "2026-11-23T08:00:05.000000Z")
    assert (first["state"], first["seq"]) == ("open", 2)
    centre.now[0] = NOW + 9_000_000
    again = await centre.client("handler").post(path, json={"by": "李师傅"})
    assert again.json() == first
    assert (await centre.get(f"/api/v1/alerts/{alert.id}")).json() == first


async def test_acknowledging_needs_no_body_and_is_by_the_tokens_name(centre: Centre) -> None:
    alert = await centre.raise_alert(over_at=NOW + 1)
    answer = (await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/ack")).json()
    assert (answer["acked_by"], answer["state"], answer["note"]) == ("wuye", "closed", "")


async def test_the_feed_tells_each_changed_alert_once_as_it_is_now_and_where_to_go_on(centre: Centre) -> None:
    first = await centre.raise_alert(device="first")
    await centre.raise_alert(community="420102001001")
    await centre.raise_alert(device="second")
    await centre.client("handler").post(f"/api/v1/alerts/{first.id}/ack")
    told = (await centre.get("/api/v1/alerts/changes")).json()
    assert [(item["device"], item["seq"]) for item in told["items"]] == [("second", 3), ("first", 4)]
    assert told["next"] == 4
    assert (await centre.get("/api/v1/alerts/changes", after=4)).json() == {"items": [], "next": 4}
    part = (await centre.get("/api/v1/alerts/changes", limit=1)).json()
    assert ([item["seq"] for item in part["items"]], part["next"]) == ([3], 3)


async def test_the_feed_goes_on_past_changes_outside_the_scope(centre: Centre) -> None:
    await centre.raise_alert(community="420102001001")
    assert (await centre.get("/api/v1/alerts/changes")).json() == {"items": [], "next": 1}
