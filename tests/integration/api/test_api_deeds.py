"""What people do with alerts: given to somebody, remarked on, many at once, on what they have seen."""

from typing import Any

import httpx
import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem

from ingest import tokens
from ingest.alerts import Colour
from ingest.tokens import Role


async def post(centre: Centre, path: str, body: object, whose: str = "handler", **headers: str) -> httpx.Response:
    return await centre.client(whose).post(f"/api/v1/alerts/{path}", json=body, headers=headers)


async def journal(centre: Centre, id_: str) -> list[tuple[str, str, str]]:
    lines = (await centre.get(f"/api/v1/alerts/{id_}/journal")).json()["items"]
    return [(line["transition"], line["actor"], line["note"]) for line in lines]


async def test_an_alert_is_given_to_somebody_and_taken_back(centre: Centre) -> None:
    alert = await centre.raise_alert()
    given = await post(centre, f"{alert.id}/assign", {"to": "王师傅", "by": "值班室", "note": "顺路"})
    assert (given.status_code, given.json()["assigned_to"]) == (200, "王师傅")
    again = await post(centre, f"{alert.id}/assign", {"to": "王师傅"})
    assert again.json()["seq"] == given.json()["seq"]
    back = await post(centre, f"{alert.id}/assign", {"to": ""})
    assert back.json()["assigned_to"] == ""
    assert (await journal(centre, alert.id))[1:] == [("assigned", "值班室", "→ 王师傅 顺路"), ("assigned", "wuye", "→")]


async def test_a_remark_is_kept_each_time(centre: Centre) -> None:
    alert = await centre.raise_alert()
    for _ in range(2):
        assert (await post(centre, f"{alert.id}/comment", {"text": "已联系维保"})).status_code == 200
    assert (await journal(centre, alert.id))[1:] == [("commented", "wuye", "已联系维保")] * 2


async def test_what_is_over_is_given_to_nobody(centre: Centre) -> None:
    alert = await centre.raise_alert(over_at=NOW + 1, acked=True)
    answer = await post(centre, f"{alert.id}/assign", {"to": "王师傅"})
    assert assert_problem(answer, 409)["type"] == "urn:linli:problem:alert-ended"
    assert (await post(centre, f"{alert.id}/comment", {"text": "事后补记"})).status_code == 200


DEEDS: list[tuple[str, dict[str, Any]]] = [
    ("ack", {}),
    ("assign", {"to": "李"}),
    ("comment", {"text": "x"}),
    ("shelve", {"until_normal": True, "reason": "x"}),
    ("unshelve", {}),
]


@pytest.mark.parametrize(("deed", "body"), DEEDS)
async def test_a_deed_on_what_has_changed_meanwhile_is_not_done(centre: Centre, deed: str, body: dict[str, str]) -> None:
    alert = await centre.raise_alert()
    seen = (await centre.get(f"/api/v1/alerts/{alert.id}")).headers["etag"]
    assert seen == '"1"'
    if deed == "unshelve":
        await post(centre, f"{alert.id}/shelve", {"until_normal": True, "reason": "faster"})
    else:
        await post(centre, f"{alert.id}/comment", {"text": "faster"})
    refused = await post(centre, f"{alert.id}/{deed}", body, **{"If-Match": seen})
    assert_problem(refused, 412)
    assert refused.headers["etag"] == '"2"'
    assert len(await journal(centre, alert.id)) == 2
    done = await post(centre, f"{alert.id}/{deed}", body, **{"If-Match": refused.headers["etag"]})
    assert (done.status_code, done.headers["etag"]) == (200, '"3"')


async def test_an_etag_that_is_none_of_ours_matches_nothing(centre: Centre) -> None:
    alert = await centre.raise_alert()
    assert_problem(await post(centre, f"{alert.id}/ack", {}, **{"If-Match": 'W/"1"'}), 412)
    assert (await post(centre, f"{alert.id}/ack", {}, **{"If-Match": "*"})).status_code == 200


async def test_of_many_each_has_its_answer_and_what_is_elsewhere_is_missing(centre: Centre) -> None:
    mine, over = await centre.raise_alert(), await centre.raise_alert(NOW - 9, device="over", over_at=NOW, acked=True)
    other = await centre.raise_alert(community=ELSEWHERE)
    ids = [mine.id, other.id, over.id, "0" * 20, mine.id]
    answer = await post(centre, "bulk", {"action": "assign", "ids": ids, "to": "王师傅"})
    assert answer.json() == {
        "items": [
            {"id": mine.id, "result": "done", "seq": 4},
            {"id": other.id, "result": "missing", "seq": None},
            {"id": over.id, "result": "ended", "seq": None},
            {"id": "0" * 20, "result": "missing", "seq": None},
        ],
        "more": False,
    }
    assert (await centre.get(f"/api/v1/alerts/{other.id}", "wuhan")).json()["assigned_to"] == ""


async def test_many_are_acknowledged_by_a_filter(centre: Centre) -> None:
    red = [await centre.raise_alert(device=f"d-{n}", colour=Colour.RED) for n in range(3)]
    blue = await centre.raise_alert(colour=Colour.BLUE)
    answer = (await post(centre, "bulk", {"action": "ack", "filter": {"colour": "red"}, "by": "值班室"})).json()
    assert {item["id"] for item in answer["items"]} == {alert.id for alert in red}
    assert (await centre.get(f"/api/v1/alerts/{red[0].id}")).json()["acked_by"] == "值班室"
    assert (await centre.get(f"/api/v1/alerts/{blue.id}")).json()["acked_by"] is None


async def test_many_are_shelved_for_a_while(centre: Centre) -> None:
    alert = await centre.raise_alert()
    await post(centre, "bulk", {"action": "shelve", "ids": [alert.id], "for_s": 3600, "note": "检修"})
    assert (await centre.get(f"/api/v1/alerts/{alert.id}")).json()["shelved_until"] == "2026-11-23T09:00:00.000000Z"


async def test_asked_again_under_its_key_it_is_done_once_with_the_same_answer(centre: Centre) -> None:
    alert = await centre.raise_alert()
    body = {"action": "comment", "ids": [alert.id], "note": "once"}
    first = await post(centre, "bulk", body, **{"Idempotency-Key": "k-1"})
    again = await post(centre, "bulk", body, **{"Idempotency-Key": "k-1"})
    assert again.json() == first.json()
    assert len(await journal(centre, alert.id)) == 2
    other = await post(centre, "bulk", body | {"note": "other"}, **{"Idempotency-Key": "k-1"})
    assert_problem(other, 422)
    centre.now[0] = NOW + 25 * 3600 * 1_000_000
    await post(centre, "bulk", body, **{"Idempotency-Key": "k-2"})
    await post(centre, "bulk", body, **{"Idempotency-Key": "k-1"})
    assert len(await journal(centre, alert.id)) == 4


@pytest.mark.parametrize(("deed", "body"), DEEDS)
async def test_a_deed_asked_again_under_its_key_is_done_once_with_the_same_answer(
    centre: Centre, deed: str, body: dict[str, Any]
) -> None:
    alert = await centre.raise_alert()
    if deed == "unshelve":
        await post(centre, f"{alert.id}/shelve", {"until_normal": True, "reason": "x"})
    seen = (await centre.get(f"/api/v1/alerts/{alert.id}")).headers["etag"]
    first = await post(centre, f"{alert.id}/{deed}", body, **{"Idempotency-Key": "k", "If-Match": seen})
    lines = await journal(centre, alert.id)
    await post(centre, f"{alert.id}/comment", {"text": "meanwhile"})
    again = await post(centre, f"{alert.id}/{deed}", body, **{"Idempotency-Key": "k", "If-Match": seen})
    assert first.status_code == 200
    assert (again.status_code, again.json(), again.headers["etag"]) == (200, first.json(), first.headers["etag"])
    assert (await journal(centre, alert.id))[:-1] == lines


async def test_a_key_of_one_thing_is_of_no_other_and_of_nobody_else(centre: Centre) -> None:
    alert = await centre.raise_alert()
    key = {"Idempotency-Key": "k"}
    await post(centre, f"{alert.id}/comment", {"text": "x"}, **key)
    for path, body in (("comment", {"text": "y"}), ("ack", {}), ("assign", {"to": "x"})):
        refused = assert_problem(await post(centre, f"{alert.id}/{path}", body, **key), 422)
        assert refused["type"] == "urn:linli:problem:key-reused"
    report = {"community": HERE, "title": "x", "by": "y"}
    assert_problem(await centre.client("handler").post("/api/v1/work-orders", json=report, headers=key), 422)
    await post(centre, f"{alert.id}/comment", {"text": "y"}, "admin", **key)
    assert [note for _, _, note in (await journal(centre, alert.id))[1:]] == ["x", "y"]


@pytest.mark.parametrize("key", ["a b", "x" * 256, "钥匙".encode().decode("latin-1")])
async def test_a_key_that_is_none_is_refused_and_nothing_is_done(centre: Centre, key: str) -> None:
    alert = await centre.raise_alert()
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    for deed, body in DEEDS:
        answer = await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/{deed}", json=body, headers=headers)
        assert assert_problem(answer, 400)["errors"][0]["where"] == "header.idempotency-key"
    assert len(await journal(centre, alert.id)) == 1


async def test_what_is_answered_again_is_within_the_scope_of_now(centre: Centre) -> None:
    alert, key = await centre.raise_alert(), {"Idempotency-Key": "k"}
    assert (await post(centre, f"{alert.id}/comment", {"text": "x"}, **key)).status_code == 200
    tokens.remove(centre.tokens_file, "wuye")
    centre.made["handler"] = tokens.add(centre.tokens_file, "wuye", ["42"], Role.HANDLER)
    assert_problem(await post(centre, f"{alert.id}/comment", {"text": "x"}, **key), 404)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "ack"},
        {"action": "ack", "ids": [], "by": "x"},
        {"action": "ack", "ids": ["x"]},
        {"action": "ack", "ids": [f"{n:020x}" for n in range(501)]},
        {"action": "ack", "ids": ["0" * 20], "filter": {"colour": "red"}},
        {"action": "ack", "filter": {}},
        {"action": "ack", "filter": {"colr": "red"}},
        {"action": "ack", "ids": ["0" * 20], "to": "x"},
        {"action": "assign", "ids": ["0" * 20]},
        {"action": "comment", "ids": ["0" * 20]},
        {"action": "shelve", "ids": ["0" * 20], "note": "x"},
        {"action": "shelve", "ids": ["0" * 20], "note": "x", "for_s": 86_401},
        {"action": "withdraw", "ids": ["0" * 20]},
    ],
)
async def test_a_malformed_order_for_many_is_refused_whole(centre: Centre, body: dict[str, Any]) -> None:
    assert_problem(await post(centre, "bulk", body), 400)


@pytest.mark.parametrize("path", ["bulk", "x/assign", "x/comment"])
async def test_a_viewer_does_nothing_with_alerts(centre: Centre, path: str) -> None:
    assert_problem(await post(centre, path, {"to": "x"}, "viewer"), 403)
