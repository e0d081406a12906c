"""Work orders over the real API: the five steps, who may do what, versions, keys, export, and what no honest client sends."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running
from msgspec.structs import replace

from ingest import tokens
from ingest.alerts import Alert
from ingest.alerts.episode import Episode, Key, over
from ingest.alerts.tables import record
from ingest.cases.export import NAMES
from ingest.tokens import Role

pytestmark = pytest.mark.both_databases

PATH = "/api/v1/work-orders"
PEOPLE = {
    "desk": (Role.DISPATCHER, None),
    "boss": (Role.SUPERVISOR, None),
    "wuye": (Role.HANDLER, "wuye-jianye"),
    "weibao": (Role.HANDLER, "weibao"),
    "pt": (Role.PLATFORM, None),
}


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with running(tmp_path) as centre:
        for name, (role, unit) in PEOPLE.items():
            centre.made[name] = tokens.add(centre.tokens_file, f"{name}-token", [HERE], role, unit=unit)
        yield centre


async def opened(centre: Centre, alert: Alert | None = None) -> dict[str, Any]:
    asked = {"alert": alert.id} if alert else {"community": HERE, "title": "楼道积水", "by": "小李"}
    answer = await centre.client("wuye").post(PATH, json=asked)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def say(centre: Centre, order: dict[str, Any], whose: str, action: str, **more: Any) -> httpx.Response:
    headers = {"If-Match": f'"{order["version"]}"', **more.pop("headers", {})}
    body = {"action": action, **more}
    return await centre.client(whose).post(f"{PATH}/{order['id']}/transitions", json=body, headers=headers)


async def done(centre: Centre, order: dict[str, Any], whose: str, action: str, **more: Any) -> dict[str, Any]:
    answer = await say(centre, order, whose, action, **more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


async def handed_in(centre: Centre, order: dict[str, Any]) -> dict[str, Any]:
    order = await done(centre, order, "desk", "accept", by="刘指挥")
    order = await done(centre, order, "desk", "file")
    order = await done(centre, order, "desk", "dispatch", unit="wuye-jianye")
    order = await done(centre, order, "wuye", "sign", by="王师傅")
    order = await done(centre, order, "wuye", "start", by="王师傅")
    return await done(centre, order, "wuye", "hand_in", by="王师傅", result="水泵已更换")


async def clear(centre: Centre, alert: Alert, at: int) -> None:
    key = Key(alert.rule, alert.community, f"gw-1/{alert.device}")
    episode = over(Episode(alert, latch=False), at)
    await centre.database.write(lambda connection: record(connection, key, episode, "cleared", at, at, "rule"))


async def test_a_work_order_goes_from_the_alert_to_its_closing_and_leaves_a_journal(centre: Centre) -> None:
    alert = await centre.raise_alert()
    order = await handed_in(centre, await opened(centre, alert))
    assert (order["stage"], order["court"], order["alerts"]) == ("verifying", "verifier", [alert.id])
    refused = assert_problem(await say(centre, order, "desk", "close"), 409)
    assert refused["type"] == "urn:linli:problem:condition-holds"
    await clear(centre, alert, NOW + 1)
    own = assert_problem(await say(centre, order, "desk", "close", by="王 师傅"), 409)
    assert own["type"] == "urn:linli:problem:own-work"
    closed = await done(centre, order, "desk", "close", by="刘指挥")
    assert (closed["stage"], closed["close_kind"], closed["court"]) == ("closed", "normal", "nobody")
    lines = (await centre.get(f"{PATH}/{order['id']}/journal")).json()["items"]
    assert [(line["version"], line["action"], line["by"], line["role"]) for line in lines] == [
        (1, "report", "wuye-token", "handler"),
        (2, "accept", "刘指挥", "dispatcher"),
        (3, "file", "desk-token", "dispatcher"),
        (4, "dispatch", "desk-token", "dispatcher"),
        (5, "sign", "王师傅", "handler"),
        (6, "start", "王师傅", "handler"),
        (7, "hand_in", "王师傅", "handler"),
        (8, "close", "刘指挥", "dispatcher"),
    ]
    assert lines[-1]["before"] == lines[-2]["digest"]
    checked = (await centre.get(f"{PATH}/check", "admin")).json()
    assert checked == {"whole": True, "lines": 8, "head": lines[-1]["digest"], "broken": None}


async def test_an_alert_has_one_intake(centre: Centre) -> None:
    alert = await centre.raise_alert()
    order = await opened(centre, alert)
    again = await centre.client("desk").post(PATH, json={"alert": alert.id})
    assert (again.status_code, again.json()["id"]) == (200, order["id"])
    assert again.headers["location"] == f"{PATH}/{order['id']}"


async def test_a_transition_names_the_version_it_was_decided_on(centre: Centre) -> None:
    order = await opened(centre)
    path = f"{PATH}/{order['id']}/transitions"
    client = centre.client("desk")
    for missing in ({}, {"If-Match": "*"}):
        problem = assert_problem(await client.post(path, json={"action": "accept"}, headers=missing), 428)
        assert problem["type"] == "urn:linli:problem:if-match-missing"
    for stale in ('"2"', 'W/"1"', '"x"', "1", '"1", "2"'):
        answer = await client.post(path, json={"action": "accept"}, headers={"If-Match": stale})
        assert_problem(answer, 412)
    assert (await client.post(path, json={"action": "accept"}, headers={"If-Match": '"2"'})).headers["etag"] == '"1"'
    assert (await centre.get(f"{PATH}/{order['id']}")).headers["etag"] == '"1"'
    await done(centre, order, "desk", "accept")
    assert_problem(await say(centre, order, "desk", "accept"), 412)


async def test_what_is_asked_again_under_its_key_is_done_once(centre: Centre) -> None:
    key = {"Idempotency-Key": "7f3c"}
    asked = {"community": HERE, "title": "楼道积水"}
    first, second = [await centre.client("pt").post(PATH, json=asked, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len((await centre.get(PATH)).json()["items"]) == 1
    other = await centre.client("pt").post(PATH, json={**asked, "title": "别的"}, headers=key)
    assert assert_problem(other, 422)["type"] == "urn:linli:problem:key-reused"
    order = first.json()
    accepted = await done(centre, order, "desk", "accept", headers=key)
    assert await done(centre, order, "desk", "accept", headers=key) == accepted
    for bad in ("", "a b", "x" * 256, "键"):
        answer = await centre.client("pt").post(PATH, json=asked, headers={b"idempotency-key": bad.encode()})
        assert_problem(answer, 400)


async def test_problems_speak_the_language_of_who_asks(centre: Centre) -> None:
    order = await opened(centre)
    for language, said in (("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en", "en"), ("de", "en"), ("zh;q=0", "en"), (";;", "en")):
        answer = await say(centre, order, "desk", "file", headers={"Accept-Language": language})
        assert answer.headers["content-language"] == said
        problem = assert_problem(answer, 409)
        assert problem["type"] == "urn:linli:problem:wrong-stage"
        assert problem["detail"].isascii() == (said == "en")
        assert problem["title"] == ("无法执行" if said == "zh-CN" else "Conflict")


async def test_outside_its_scope_a_token_finds_changes_and_exports_nothing(centre: Centre) -> None:
    alert = await centre.raise_alert()
    order = await opened(centre, alert)
    for whose in ("wuhan", "wuhan-admin"):
        assert_problem(await centre.get(f"{PATH}/{order['id']}", whose), 404)
        assert_problem(await centre.get(f"{PATH}/{order['id']}/journal", whose), 404)
        assert_problem(await say(centre, order, whose, "accept"), 404)
        assert_problem(await centre.client(whose).post(PATH, json={"alert": alert.id}), 404)
        assert_problem(await centre.client(whose).post(PATH, json={"community": HERE, "title": "x"}), 404)
        assert (await centre.get(PATH, whose)).json()["items"] == []
        assert (await centre.get(f"{PATH}/export", whose, format="json")).json() == []
    assert_problem(await centre.client("wuye").post(PATH, json={"community": ELSEWHERE, "title": "x"}), 404)


async def test_roles_may_do_what_is_theirs(centre: Centre) -> None:
    order = await opened(centre)
    assert_problem(await centre.client("viewer").post(PATH, json={"community": HERE, "title": "x"}), 403)
    for whose in ("viewer", "pt", "wuye"):
        assert assert_problem(await say(centre, order, whose, "accept"), 403)["type"] == "urn:linli:problem:wrong-role"
    order = await done(centre, order, "desk", "accept")
    order = await done(centre, order, "desk", "file")
    order = await done(centre, order, "desk", "dispatch", unit="wuye-jianye")
    assert assert_problem(await say(centre, order, "weibao", "sign"), 403)["type"] == "urn:linli:problem:not-your-unit"
    assert_problem(await say(centre, order, "desk", "supervise", grade=1, reason="x"), 403)
    assert_problem(await centre.get(f"{PATH}/check", "boss"), 403)


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b'"accept"',
    b"{}",
    b'{"action": "explode"}',
    b'{"action": "attach", "alerts": ["a"]}',
    b'{"action": "overdue", "step": "accept", "rung": 4}',
    b'{"action": "withdraw"}',
    b'{"action": "accept", "unknown": 1}',
    b'{"action": "reject"}',
    b'{"action": "reject", "reason": ""}',
    b'{"action": "reject", "reason": 7}',
    b'{"action": "reject", "reason": "\\u0007"}',
    b'{"action": "reject", "reason": "\\ud800"}',
    b'{"action": "reject", "reason": "\xff"}',
    b'{"action": "accept", "by": "a\\nb"}',
    b'{"action": "accept", "happened_at": "tomorrow"}',
    b'{"action": "accept", "happened_at": "2999-01-01T00:00:00Z"}',
    b'{"action": "dispatch", "unit": "x", "limit_s": -1}',
    b'{"action": "dispatch", "unit": "x", "limit_s": 1e308}',
    b'{"action": "reject", "reason": "' + b"x" * 501 + b'"}',
    b'{"action": "accept", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
]


async def test_a_malformed_transition_is_told_and_changes_nothing(centre: Centre) -> None:
    order = await opened(centre)
    client, path = centre.client("desk"), f"{PATH}/{order['id']}/transitions"
    headers = {"If-Match": '"1"', "Content-Type": "application/json"}
    for body in MALFORMED:
        assert assert_problem(await client.post(path, content=body, headers=headers), 400)["errors"], body[:80]
    assert (await centre.get(f"{PATH}/{order['id']}")).json()["version"] == 1


async def test_a_transition_that_is_not_said_to_be_json_is_refused(centre: Centre) -> None:
    order = await opened(centre)
    headers = {"If-Match": '"1"', "Content-Type": "text/plain"}
    path = f"{PATH}/{order['id']}/transitions"
    assert_problem(await centre.client("desk").post(path, content=b'{"action": "accept"}', headers=headers), 400)


MALFORMED_REPORTS: list[dict[str, object]] = [
    {},
    {"title": "x"},
    {"community": HERE},
    {"alert": "x", "title": "y"},
    {"community": "41120200200", "title": "x"},
    {"community": HERE, "title": ""},
    {"community": HERE, "title": "a\nb"},
    {"community": HERE, "title": "x", "source": "gossip"},
    {"community": HERE, "title": "x", "happened_at": "2999-01-01T00:00:00Z"},
    {"community": HERE, "title": "x", "version": 9},
]


async def test_a_malformed_report_is_told(centre: Centre) -> None:
    for body in MALFORMED_REPORTS:
        assert_problem(await centre.client("desk").post(PATH, json=body), 400)
    assert (await centre.get(PATH)).json()["items"] == []


async def test_an_alert_that_is_not_there_has_no_work_order(centre: Centre) -> None:
    assert_problem(await centre.client("desk").post(PATH, json={"alert": "x" * 20}), 404)
    assert_problem(await say(centre, {"id": "nothing", "version": 1}, "desk", "accept"), 404)


async def test_a_refused_transition_leaves_the_work_order_as_it_was(centre: Centre) -> None:
    order = await opened(centre)
    assert_problem(await say(centre, order, "desk", "close"), 409)
    assert (await centre.get(f"{PATH}/{order['id']}")).json() == order


async def test_what_happened_before_it_was_entered_stands_in_the_journal(centre: Centre) -> None:
    order = await opened(centre)
    await done(centre, order, "desk", "accept", happened_at="2026-11-23T15:00:00+08:00")
    line = (await centre.get(f"{PATH}/{order['id']}/journal")).json()["items"][-1]
    assert (line["event_at"], line["known_at"]) == ("2026-11-23T07:00:00.000000Z", "2026-11-23T08:00:00.000000Z")


async def test_pages_and_filters(centre: Centre) -> None:
    made = []
    for number in range(5):
        centre.now[0] = NOW + number
        made.append(await opened(centre))
    await done(centre, made[0], "desk", "accept")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await centre.get(PATH, limit=2, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [order["id"] for order in reversed(made)]
    assert [item["id"] for item in (await centre.get(PATH, stage="accepted")).json()["items"]] == [made[0]["id"]]
    assert len((await centre.get(PATH, since="2026-11-23T08:00:00.000003Z", ended=False)).json()["items"]) == 2
    assert [item["id"] for item in (await centre.get(PATH, stage="accepted", ended=False)).json()["items"]] == [made[0]["id"]]
    assert (await centre.get(PATH, stage="accepted", ended=True)).json() == {"items": [], "next": None}
    for bad in ({"stage": "x"}, {"colours": "red"}, {"cursor": "x"}, {"limit": 201}, {"supervision": 4}, {"unit": "x" * 65}):
        assert_problem(await centre.get(PATH, **bad), 400)


async def test_the_feed_of_changes_goes_on_where_it_ended_and_tells_reminders(centre: Centre) -> None:
    order = await opened(centre)
    await centre.raise_alert(community=ELSEWHERE)
    first = (await centre.get(f"{PATH}/changes", limit=1)).json()
    assert [(line["work_order"], line["action"]) for line in first["items"]] == [(order["id"], "report")]
    await centre.parts.work_orders.follow(NOW + 8 * 3600 * 1_000_000)
    second = (await centre.get(f"{PATH}/changes", after=first["next"])).json()
    assert [(line["action"], line["details"].get("rung"), line["supervision"]) for line in second["items"]] == [
        ("overdue", 1, 0),
        ("overdue", 2, 1),
    ]
    assert (await centre.get(f"{PATH}/changes", after=second["next"])).json() == {"items": [], "next": second["next"]}
    assert (await centre.get(f"{PATH}/changes", "wuhan")).json()["items"] == []
    assert_problem(await centre.get(f"{PATH}/changes", after=-1), 400)


async def test_the_export_has_the_names_of_the_city_and_no_formula(centre: Centre) -> None:
    asked = {
        "community": HERE,
        "title": "=HYPERLINK(1)",
        "description": "第一行\n第二行",
        "place": "3号楼,东侧",
        "source": "hotline",
    }
    assert (await centre.client("desk").post(PATH, json=asked)).status_code == 201
    alert = await centre.raise_alert()
    order = await handed_in(centre, await opened(centre, alert))
    answer = await centre.get(f"{PATH}/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith("\ufeff".encode())
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 2
    assert tuple(rows[0]) == NAMES
    by_source = {row["event_src_id"]: row for row in rows}
    assert by_source["hotline"]["sub_type"] == "'=HYPERLINK(1)"
    assert (by_source["hotline"]["address"], by_source["hotline"]["need_reply"]) == ("3号楼,东侧", "1")
    sensor = by_source["sensor"]
    assert (sensor["task_num"], sensor["rec_id"]) == (order["no"], order["id"])
    assert sensor["inst_time"] == sensor["dispatch_time"] == "2026-11-23 16:00:00"
    assert (sensor["dispose_unit"], sensor["street_id"], sensor["intime_dispose"]) == ("wuye-jianye", HERE[:9], "1")
    told = (await centre.get(f"{PATH}/export", format="json", stage="verifying")).json()
    assert [(row["rec_id"], row["event_level_name"], row["archive_time"]) for row in told] == [(order["id"], "黄色告警", "")]


async def test_an_export_says_what_may_tell_of_somebody_is_noted_and_leaves_drills_out(centre: Centre) -> None:
    plain, real = await opened(centre, await centre.raise_alert()), await centre.raise_alert(rule="elder-fall", device="b1-bed")
    person = await opened(centre, real)
    said = await opened(centre)
    practised = await centre.raise_alert(rule="smoke", device="b2-smoke")
    drill = Episode(replace(practised, drill=True), latch=False)
    key = Key(practised.rule, practised.community, f"gw-1/{practised.device}")
    await centre.database.write(lambda connection: record(connection, key, drill, "graded", NOW, NOW, "rule"))
    practice = await opened(centre, practised)
    rows = {row["rec_id"]: row for row in (await centre.get(f"{PATH}/export", format="json")).json()}
    assert {id: row["linli_personal"] for id, row in rows.items()} == {plain["id"]: 0, person["id"]: 1, said["id"]: 1}
    asked = (await centre.get(f"{PATH}/export", format="json", drills="true")).json()
    assert {row["rec_id"]: row["linli_drill"] for row in asked} == dict.fromkeys(rows, 0) | {practice["id"]: 1}
    items = (await centre.get("/api/v1/access-log", "admin")).json()["items"]
    noted = [(item["token"], item["query"]) for item in items if item["path"] == f"{PATH}/export"]
    assert noted == [("viewer", "format=json&drills=true"), ("viewer", "format=json")]


async def test_an_empty_export_still_names_its_columns(centre: Centre) -> None:
    text = (await centre.get(f"{PATH}/export")).content.decode("utf-8-sig")
    assert text.strip().split(",") == list(NAMES)
    assert_problem(await centre.get(f"{PATH}/export", format="xlsx"), 400)


async def test_the_description_shows_every_transition_whole(centre: Centre) -> None:
    described = (await centre.get("/openapi.json")).json()
    body = described["paths"][f"{PATH}/{{id}}/transitions"]["post"]["requestBody"]["content"]["application/json"]
    actions = {branch["properties"]["action"]["enum"][0] for branch in body["schema"]["anyOf"]}
    assert len(actions) == 28
    assert {"accept", "dispatch", "hand_in", "close", "supervise"} <= actions
    assert "$ref" not in json.dumps(body)
    names = {p["name"].lower() for p in described["paths"][f"{PATH}/{{id}}/transitions"]["post"]["parameters"]}
    assert {"if-match", "idempotency-key"} <= names
