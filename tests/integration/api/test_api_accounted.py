"""Who did what: the access log, the use of tokens, how often they may ask, and how they are rotated."""

from pathlib import Path
from typing import Any

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running

from ingest import tokens
from ingest.api import Limits
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

DAY = 24 * 3600 * 1_000_000


async def noted(centre: Centre, whose: str = "admin", **query: Any) -> list[tuple[str, str, str, int]]:
    items = (await centre.get("/api/v1/access-log", whose, **query)).json()["items"]
    return [(item["token"], item["method"], item["path"], item["status"]) for item in items]


async def test_what_changes_something_is_noted_with_who_and_from_where(centre: Centre) -> None:
    alert = await centre.raise_alert()
    ack = f"/api/v1/alerts/{alert.id}/ack"
    await centre.client("handler").post(ack)
    await centre.client("handler").post(ack, json={"who": "me"})
    await centre.client("viewer").post(ack)
    await centre.get(f"/api/v1/alerts/{alert.id}")
    assert await noted(centre) == [("viewer", "POST", ack, 403), ("wuye", "POST", ack, 400), ("wuye", "POST", ack, 200)]
    (*_, entry) = (await centre.get("/api/v1/access-log", "admin")).json()["items"]
    assert (entry["at"], entry["role"], entry["scope"]) == ("2026-11-23T08:00:00.000000Z", "handler", ["4112"])
    assert entry["address"] == "127.0.0.1"


async def test_reading_who_was_where_is_noted_and_reading_water_is_not(centre: Centre) -> None:
    card = Reading(device="b3-door", kind=Kind.ACCESS, at=Micros(NOW), values={"event": "granted"}, event_id="b3-door:1")
    water = Reading(device="b3-level", kind=Kind.ENVIRONMENT, at=Micros(NOW), values={"level": 1.5})
    await centre.store(card, water)
    await centre.get("/api/v1/readings", device="b3-level")
    assert await noted(centre) == []
    await centre.get("/api/v1/readings", device="b3-door")
    assert await noted(centre) == [("viewer", "GET", "/api/v1/readings", 200)]
    (entry,) = (await centre.get("/api/v1/access-log", "admin")).json()["items"]
    assert entry["query"] == "device=b3-door"


RULES = """
rules:
  - {id: sump_high, kind: sump_high, family: environment, colour: yellow, title: {zh: 高, en: High}, text: {zh: 高, en: High},
     applies_to: {kinds: [environment]}, when: {type: threshold, metric: level, unit: m, raise_at: 1.5}}
  - {id: door_denied, kind: door_denied, family: access, colour: yellow, title: {zh: 拒, en: Denied}, text: {zh: 拒, en: Denied},
     applies_to: {kinds: [access]}, clear_after_quiet_s: 60, when: {type: match, where: {event: denied}}}
"""


async def test_reading_what_alerts_of_doors_stood_on_is_noted_and_of_water_is_not(tmp_path: Path) -> None:
    async with running(tmp_path, rules_text=RULES) as centre:
        water, door = await centre.raise_alert(rule="sump_high"), await centre.raise_alert(rule="door_denied", device="b3-door")
        card = Reading(device="b3-door", kind=Kind.ACCESS, at=Micros(NOW), values={"event": "denied"}, event_id="b3-door:1")
        await centre.store(card, Reading(device=water.device, kind=Kind.ENVIRONMENT, at=Micros(NOW), values={"level": 1.6}))
        await centre.parts.evidence.gather(NOW + DAY)
        for alert in (water, door):
            for what in ("evidence", "explanation", "journal"):
                assert (await centre.get(f"/api/v1/alerts/{alert.id}/{what}")).status_code == 200
        paths = [f"/api/v1/alerts/{door.id}/{what}" for what in ("explanation", "evidence")]
        assert [path for _, _, path, _ in await noted(centre)] == paths


async def test_an_admin_is_told_of_tokens_that_see_no_more_than_its_own(centre: Centre) -> None:
    for whose, community in (("handler", HERE), ("wuhan", ELSEWHERE)):
        alert = await centre.raise_alert(community=community)
        await centre.client(whose).post(f"/api/v1/alerts/{alert.id}/ack")
    assert [who for who, *_ in await noted(centre)] == ["wuye"]
    assert [who for who, *_ in await noted(centre, "wuhan-admin")] == ["wuhan"]
    assert {item["name"] for item in (await centre.get("/api/v1/tokens", "wuhan-admin")).json()["items"]} == {
        "wuhan",
        "wuhan-admin",
    }
    assert_problem(await centre.get("/api/v1/access-log", "handler"), 403)
    assert_problem(await centre.get("/api/v1/tokens", "handler"), 403)


async def test_the_log_is_read_by_pages_token_and_time(centre: Centre) -> None:
    alert = await centre.raise_alert()
    for number in range(3):
        centre.now[0] = NOW + number
        await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/comment", json={"text": "x"})
    first = (await centre.get("/api/v1/access-log", "admin", limit=2)).json()
    rest = (await centre.get("/api/v1/access-log", "admin", limit=2, before=first["next"])).json()
    assert [item["seq"] for item in (*first["items"], *rest["items"])] == [3, 2, 1]
    assert rest["next"] is None
    assert len(await noted(centre, since=NOW + 1, until=NOW + 2)) == 1
    assert await noted(centre, token="nobody") == []


async def test_what_was_noted_goes_when_its_time_is_over_and_not_before(centre: Centre) -> None:
    alert = await centre.raise_alert()
    await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/ack")
    centre.now[0] = NOW + 200 * DAY
    await centre.parts.access_log.tidy()
    assert len(await noted(centre)) == 1
    centre.now[0] += 1
    await centre.parts.access_log.tidy()
    assert await noted(centre) == []


async def test_the_last_use_of_a_token_is_told_and_outlives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as centre:
        used = {item["name"]: item["last_used_at"] for item in (await centre.get("/api/v1/tokens", "admin")).json()["items"]}
        assert (used["admin"], used["wuye"]) == ("2026-11-23T08:00:00.000000Z", None)
        await centre.get("/api/v1/alerts", "handler")
        await centre.parts.access_log.tidy()
        uses = await centre.parts.access_log.uses()
        centre.parts.access_log._uses.clear()
        assert await centre.parts.access_log.uses() == uses
        assert uses["wuye"] == (NOW, "127.0.0.1")


async def test_a_token_that_asks_too_often_is_told_when_to_come_back_and_others_are_not_kept_waiting(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(2, 3)) as centre:
        answers = [(await centre.get("/api/v1/alerts")).status_code for _ in range(4)]
        assert answers == [200, 200, 200, 429]
        refused = await centre.get("/api/v1/alerts")
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert (await centre.get("/api/v1/alerts", "handler")).status_code == 200
        assert_problem(await centre.get("/api/v1/alerts", "stranger"), 401)
        centre.now[0] += 500_000
        assert [(await centre.get("/api/v1/alerts")).status_code for _ in range(2)] == [200, 429]


async def test_a_rotated_token_and_the_one_before_it_open_the_same_for_a_while(centre: Centre) -> None:
    centre.made["new"] = tokens.rotate(centre.tokens_file, "viewer", "2026-11-23T16:00:01+08:00") or ""
    for whose in ("viewer", "new"):
        assert (await centre.get("/api/v1/alerts", whose)).status_code == 200
    listed = [item for item in (await centre.get("/api/v1/tokens", "admin")).json()["items"] if item["name"] == "viewer"]
    assert [(item["former"], item["expires"]) for item in listed] == [(False, None), (True, "2026-11-23T08:00:01.000000Z")]
    centre.now[0] = NOW + 1_000_000
    assert_problem(await centre.get("/api/v1/alerts", "viewer"), 401)
    assert (await centre.get("/api/v1/alerts", "new")).status_code == 200


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        ([f"{HERE}@2026-11-23..2026-11-23"], True),
        ([f"{HERE}@..2026-11-22", "411203"], False),
        ([f"{HERE}@2026-11-24.."], False),
        ([f"{HERE}@2026-11-24..", "411202"], True),
    ],
)
async def test_a_part_of_a_scope_is_seen_on_its_days_of_beijing_alone(centre: Centre, scope: list[str], seen: bool) -> None:
    alert = await centre.raise_alert()
    centre.made["dated"] = tokens.add(centre.tokens_file, "dated", scope)
    assert (await centre.get(f"/api/v1/alerts/{alert.id}", "dated")).status_code == (200 if seen else 404)
