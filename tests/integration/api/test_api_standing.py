"""What people do about where an alert stands: shelve it, read its journal, announce works and drills."""

from typing import Any

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem
from msgspec.structs import replace

from ingest import tokens
from ingest.alerts.episode import Episode, Key
from ingest.alerts.tables import record
from ingest.tokens import Role
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

HOUR_US = 3_600_000_000
AT_15 = "2026-11-23T15:00:00+08:00"
AT_16 = "2026-11-23T16:00:00+08:00"
AT_17 = "2026-11-23T17:00:00+08:00"
WORKS = {"community": HERE, "zone": "b3-pump-room", "from": AT_16, "to": AT_17, "reason": "更换水泵", "by": "刘工"}


@pytest.fixture
def boss(centre: Centre) -> str:
    centre.made["boss"] = tokens.add(centre.tokens_file, "boss", ["4112"], Role.SUPERVISOR)
    return "boss"


async def post(centre: Centre, whose: str, path: str, body: Any = None) -> Any:
    return await centre.client(whose).post(path, json=body)


async def test_a_shelved_alert_says_so_in_every_list_and_its_journal_says_who_and_why(centre: Centre) -> None:
    one, other = await centre.raise_alert(), await centre.raise_alert(device="other")
    said = (
        await post(centre, "handler", f"/api/v1/alerts/{one.id}/shelve", {"until": AT_17, "reason": "待修", "by": "王师傅"})
    ).json()
    assert (said["shelved_until"], said["shelved_by"], said["shelf_reason"]) == ("2026-11-23T09:00:00.000000Z", "王师傅", "待修")
    assert [found["id"] for found in (await centre.get("/api/v1/alerts", shelved="true")).json()["items"]] == [one.id]
    assert {found["id"] for found in (await centre.get("/api/v1/alerts")).json()["items"]} == {one.id, other.id}
    assert (await post(centre, "handler", f"/api/v1/alerts/{one.id}/unshelve")).json()["shelved_until"] is None
    assert (await centre.get("/api/v1/alerts", shelved="true")).json()["items"] == []
    lines = (await centre.get(f"/api/v1/alerts/{one.id}/journal")).json()["items"]
    assert [(line["transition"], line["actor"], line["note"]) for line in lines] == [
        ("opened", "rule", ""),
        ("shelved", "王师傅", "待修"),
        ("unshelved", "wuye", ""),
    ]


async def test_a_shelf_is_bounded_has_an_end_and_a_reason_and_is_not_of_what_is_closed(centre: Centre) -> None:
    one = await centre.raise_alert()
    path = f"/api/v1/alerts/{one.id}/shelve"
    long = {"until": "2027-01-01T00:00:00Z", "reason": "x"}
    assert (await post(centre, "handler", path, long)).json()["shelved_until"] == "2026-11-24T08:00:00.000000Z"
    assert (await post(centre, "handler", path, {"until_normal": True, "reason": "x"})).json()["shelved_until_normal"] is True
    for body in ({"until": AT_17}, {"reason": "x"}, {"until": AT_17, "reason": ""}, {"until": AT_17, "reason": "x", "for": 1}):
        assert_problem(await post(centre, "handler", path, body), 400)
    past = assert_problem(await post(centre, "handler", path, {"until": AT_15, "reason": "x"}), 409)
    assert past["type"] == "urn:linli:problem:shelf-past"
    closed = await centre.raise_alert(device="closed", over_at=NOW + 1, acked=True)
    said = assert_problem(
        await post(centre, "handler", f"/api/v1/alerts/{closed.id}/shelve", {"until": AT_17, "reason": "x"}), 409
    )
    assert said["type"] == "urn:linli:problem:alert-ended"


async def test_nothing_of_another_scope_is_shelved_or_told(centre: Centre) -> None:
    one = await centre.raise_alert(community=ELSEWHERE)
    for path in ("shelve", "unshelve"):
        assert_problem(
            await post(
                centre,
                "handler",
                f"/api/v1/alerts/{one.id}/{path}",
                {"until": AT_17, "reason": "x"} if path == "shelve" else None,
            ),
            404,
        )
    assert_problem(await centre.get(f"/api/v1/alerts/{one.id}/journal"), 404)
    assert_problem(await post(centre, "viewer", f"/api/v1/alerts/{one.id}/shelve", {"until": AT_17, "reason": "x"}), 403)


async def test_works_are_announced_once_listed_and_ended_by_a_supervisor(centre: Centre, boss: str) -> None:
    first = await post(centre, boss, "/api/v1/works", WORKS)
    assert first.status_code == 201
    assert (await post(centre, boss, "/api/v1/works", WORKS)).json() == first.json()
    assert [one["id"] for one in (await centre.get("/api/v1/works")).json()["items"]] == [first.json()["id"]]
    assert (await centre.get("/api/v1/drills")).json()["items"] == []
    ended = (await post(centre, boss, f"/api/v1/works/{first.json()['id']}/end", {"by": "刘工"})).json()
    assert (ended["ended_at"], ended["ended_by"]) == ("2026-11-23T08:00:00.000000Z", "刘工")
    assert (await centre.get("/api/v1/works")).json()["items"] == []
    assert len((await centre.get("/api/v1/works", current="false")).json()["items"]) == 1
    assert_problem(await post(centre, boss, f"/api/v1/drills/{first.json()['id']}/end"), 404)


async def test_an_announcement_under_a_key_is_made_once_and_no_other_under_it(centre: Centre, boss: str) -> None:
    key = {"Idempotency-Key": "k"}
    first = await centre.client(boss).post("/api/v1/works", json=WORKS, headers=key)
    end = f"/api/v1/works/{first.json()['id']}/end"
    ended = await centre.client(boss).post(end, headers={"Idempotency-Key": "e"})
    assert (await centre.client(boss).post("/api/v1/works", json=WORKS, headers=key)).json() == first.json()
    assert (await centre.client(boss).post(end, headers={"Idempotency-Key": "e"})).json() == ended.json()
    assert_problem(await centre.client(boss).post("/api/v1/works", json=WORKS | {"reason": "y"}, headers=key), 422)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"community": ELSEWHERE}, 404),
        ({"community": "41120"}, 400),
        ({"to": AT_16}, 400),
        ({"to": "2027-11-23T17:00:00+08:00"}, 409),
        ({"reason": ""}, 400),
        ({"kinds": ["x" * 65]}, 400),
        ({"color": "red"}, 400),
    ],
)
async def test_a_plan_outside_the_scope_or_without_sense_is_refused(
    centre: Centre, boss: str, change: dict[str, Any], status: int
) -> None:
    assert_problem(await post(centre, boss, "/api/v1/works", WORKS | change), status)
    assert (await centre.get("/api/v1/works", whose=boss)).json()["items"] == []


async def test_only_a_supervisor_announces_and_a_region_sees_what_is_planned_around_it(centre: Centre, boss: str) -> None:
    assert_problem(await post(centre, "handler", "/api/v1/drills", WORKS), 403)
    district = await post(centre, boss, "/api/v1/drills", WORKS | {"community": "411202", "zone": None})
    assert [one["id"] for one in (await centre.get("/api/v1/drills")).json()["items"]] == [district.json()["id"]]
    assert (await centre.get("/api/v1/drills", whose="wuhan")).json()["items"] == []


async def test_alerts_are_listed_by_what_holds_them_back_and_by_their_flood(centre: Centre) -> None:
    one = await centre.raise_alert()
    marks = {"suppressed_by": "works-1", "collapsed_into": "flood-1", "folded": True, "flapping": True, "drill": True}
    marked = Episode(replace(one, **marks), latch=False)
    key = Key(one.rule, one.community, f"gw-1/{one.device}")
    await centre.database.write(lambda connection: record(connection, key, marked, "opened", NOW, NOW, "rule"))
    other = await centre.raise_alert(device="other")
    for query in (
        {"suppressed": "true"},
        {"folded": "true"},
        {"flapping": "true"},
        {"drill": "true"},
        {"collapsed_into": "flood-1"},
    ):
        found = (await centre.get("/api/v1/alerts", **query, state="open")).json()
        assert [item["id"] for item in found["items"]] == [one.id], query
        assert (await centre.get("/api/v1/alerts", **query, state="closed")).json()["items"] == []
        assert (await centre.get("/api/v1/alerts", whose="wuhan", **query)).json()["items"] == []
    assert [item["id"] for item in (await centre.get("/api/v1/alerts", drill="false")).json()["items"]] == [other.id]
    assert_problem(await centre.get("/api/v1/alerts", shelved="false"), 400)


async def test_the_check_of_the_journal_is_for_admins_and_says_what_is_broken(centre: Centre) -> None:
    await centre.raise_alert()
    whole = (await centre.get("/api/v1/alerts/check", whose="admin")).json()
    assert (whole["whole"], whole["lines"], whole["broken"]) == (True, 1, None)
    assert_problem(await centre.get("/api/v1/alerts/check", whose="handler"), 403)


async def test_evidence_is_gathered_once_when_its_time_is_over_and_kept(centre: Centre) -> None:
    one = await centre.raise_alert()
    level = [
        Reading(device=one.device, kind=Kind.ENVIRONMENT, at=Micros(NOW + second * 1_000_000), values={"level": second / 100})
        for second in (-301, -299, 0, 299, 301)
    ]
    health = Reading(device="gw-1", kind=Kind.GATEWAY, at=Micros(NOW - 1_000_000), values={"unsent": 3})
    await centre.store(*level, health)
    path = f"/api/v1/alerts/{one.id}/evidence"
    early = (await centre.get(path)).json()
    assert (early["gathered_at"], early["due_at"], early["readings"]) == (None, "2026-11-23T08:05:30.000000Z", [])
    assert [await centre.parts.evidence.gather(NOW + seconds * 1_000_000) for seconds in (329, 330, 600)] == [0, 1, 0]
    kept = (await centre.get(path)).json()
    assert [word["value"] for word in kept["readings"]] == [-2.99, 0.0, 2.99]
    assert [(word["metric"], word["value"]) for word in kept["gateway"]] == [("unsent", 3)]
    assert (kept["due_at"], kept["gathered_at"]) == (None, "2026-11-23T08:05:30.000000Z")
    assert (kept["cut"], kept["qualities"], kept["value"], kept["limit"]) == (False, {"good": 3}, 1.62, 1.5)
    assert_problem(await centre.get(path, whose="wuhan"), 404)


async def test_of_very_many_readings_those_nearest_to_the_alert_are_kept(centre: Centre) -> None:
    one = await centre.raise_alert()
    many = [
        Reading(device=one.device, kind=Kind.ENVIRONMENT, at=Micros(NOW + tenth * 100_000), values={"level": tenth / 10})
        for tenth in range(-150, 151)
    ]
    await centre.store(*many)
    await centre.parts.evidence.gather(NOW + HOUR_US)
    kept = (await centre.get(f"/api/v1/alerts/{one.id}/evidence")).json()
    assert [word["value"] for word in kept["readings"]] == [tenth / 10 for tenth in range(-99, 101)]
    assert kept["cut"] is True


async def test_a_drill_reports_how_it_went_and_what_did_not_come(centre: Centre, boss: str) -> None:
    asked = {"community": HERE, "kinds": ["smoke", "sos"], "from": AT_16, "to": AT_17, "reason": "演练", "by": "李"}
    drill = (await post(centre, boss, "/api/v1/drills", asked)).json()
    one = await centre.raise_alert(rule="smoke")
    other = await centre.raise_alert(rule="leak", device="other")
    for each in (one, other):
        raised = Episode(replace(each, drill=True), latch=False)
        key = Key(each.rule, each.community, f"gw-1/{each.device}")
        await centre.database.write(
            lambda connection, key=key, raised=raised: record(connection, key, raised, "graded", NOW, NOW, "rule")  # type: ignore[misc]
        )
    centre.now[0] = NOW + 20_000_000
    await post(centre, "handler", f"/api/v1/alerts/{one.id}/ack")
    case = (await post(centre, boss, "/api/v1/work-orders", {"alert": one.id})).json()
    assert case["drill"] is True
    report = (await centre.get(f"/api/v1/drills/{drill['id']}/report")).json()
    assert report["missing"] == ["sos"]
    assert [
        {name: told[name] for name in ("alert", "detection_s", "ack_s", "arrival_s", "close_s")} for told in report["alerts"]
    ] == [{"alert": one.id, "detection_s": 0.0, "ack_s": 20.0, "arrival_s": None, "close_s": None}]
    assert_problem(await centre.get(f"/api/v1/drills/{drill['id']}/report", whose="wuhan"), 404)
