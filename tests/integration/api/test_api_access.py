"""Who may ask what: tokens, roles, scopes, and requests that no honest client sends."""

import socket
from pathlib import Path
from typing import Any

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running

from ingest import tokens
from ingest.api import shield
from ingest.database import Database
from ingest.store import open_store
from telemetry.identity import GatewayRef
from telemetry.presence import State

GUARDED = [
    "/api/v1/alerts",
    "/api/v1/alerts/x",
    "/api/v1/alerts/stream",
    "/api/v1/readings",
    "/api/v1/devices",
    "/api/v1/gateways",
    f"/api/v1/devices/{HERE}/gw-1/b3-pump-level",
    f"/api/v1/gateways/{HERE}/gw-1",
]


@pytest.mark.parametrize("path", [*GUARDED, "/metrics"])
@pytest.mark.parametrize("whose", [None, "stranger"])
async def test_without_a_valid_token_nothing_is_told(centre: Centre, path: str, whose: str | None) -> None:
    answer = await centre.get(path, whose)
    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/alerts/check"),
        ("GET", "/api/v1/work-orders/check"),
        ("GET", "/api/v1/access-log/check"),
        ("POST", "/api/v1/notifications/targets/platform/on"),
    ],
)
async def test_what_is_of_the_whole_centre_is_not_for_the_admin_of_a_part(centre: Centre, method: str, path: str) -> None:
    centre.parts.registry.take_state(GatewayRef(HERE, "gw-1"), State(online=True, at=NOW), NOW)
    answer = await centre.client("wuhan-admin").request(method, path)
    assert_problem(answer, 403)
    assert "head" not in answer.text
    assert (await centre.client("admin").request(method, path)).status_code in (200, 404)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer  x", "Basic dXNlcjpwYXNz", "linli_x", "Bearer \xff\xfe"])
async def test_a_malformed_authorization_is_no_token(centre: Centre, header: str) -> None:
    answer = await centre.client(None).get("/api/v1/alerts", headers={b"authorization": header.encode("latin-1")})
    assert_problem(answer, 401)


@pytest.mark.parametrize(
    "target",
    [
        b"//api/v1/alerts",
        b"/api//v1/alerts",
        b"/api/v1/alerts/",
        b"/api/v1/alerts;x=1",
        b"/api/v1/%2e%2e/v1/alerts",
        b"/healthz/../api/v1/alerts",
        b"/healthz/%2e%2e/api/v1/alerts",
        b"/%61pi/v1/alerts",
        b"/api/v1/alerts%00",
        b"/api/v1/alerts/%00",
        b"/api/v1/alerts/%ff%fe",
        b"/API/v1/alerts",
        b"http://127.0.0.1/api/v1/alerts",
    ],
)
async def test_no_spelling_of_a_path_passes_without_a_token(centre: Centre, target: bytes) -> None:
    alert = await centre.raise_alert()
    status, _, body = await centre.ask_raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status in (400, 401, 404)
    assert alert.id.encode() not in body


async def test_a_token_that_was_removed_or_has_ended_opens_nothing(centre: Centre) -> None:
    assert (await centre.get("/api/v1/alerts")).status_code == 200
    tokens.remove(centre.tokens_file, "viewer")
    assert_problem(await centre.get("/api/v1/alerts"), 401)
    centre.made["visitor"] = tokens.add(centre.tokens_file, "visitor", [HERE], expires="2026-11-23T16:00:01+08:00")
    assert (await centre.get("/api/v1/alerts", "visitor")).status_code == 200
    centre.now[0] = NOW + 1_000_000
    assert_problem(await centre.get("/api/v1/alerts", "visitor"), 401)


async def test_a_token_in_the_query_is_refused_not_read(centre: Centre) -> None:
    answer = await centre.get("/api/v1/alerts", None, token=centre.made["viewer"])
    assert answer.status_code in (400, 401)


async def test_a_viewer_may_not_acknowledge(centre: Centre) -> None:
    alert = await centre.raise_alert()
    assert_problem(await centre.client().post(f"/api/v1/alerts/{alert.id}/ack"), 403)
    assert (await centre.get(f"/api/v1/alerts/{alert.id}")).json()["acked_at"] is None


async def test_what_lies_outside_the_scope_is_not_there(centre: Centre) -> None:
    mine = await centre.raise_alert()
    other = await centre.raise_alert(community=ELSEWHERE)
    assert [item["id"] for item in (await centre.get("/api/v1/alerts")).json()["items"]] == [mine.id]
    assert (await centre.get("/api/v1/alerts", community=ELSEWHERE)).json() == {"items": [], "next": None}
    outside = assert_problem(await centre.get(f"/api/v1/alerts/{other.id}"), 404)
    missing = assert_problem(await centre.get("/api/v1/alerts/nothing"), 404)
    assert outside["detail"] == missing["detail"]
    assert_problem(await centre.client("handler").post(f"/api/v1/alerts/{other.id}/ack"), 404)
    assert (await centre.get(f"/api/v1/alerts/{other.id}", "wuhan")).json()["acked_at"] is None


@pytest.mark.parametrize("path", [*GUARDED, "/healthz"])
async def test_an_unknown_parameter_is_refused_where_it_could_be_a_filter(centre: Centre, path: str) -> None:
    if path == "/healthz":
        assert (await centre.get(path, colr="red")).status_code == 200
        return
    body = assert_problem(await centre.get(path, colr="red"), 400)
    assert body["errors"][0]["where"] == "query.colr"


@pytest.mark.parametrize("path", ["/api/v1/alerts", "/api/v1/readings", "/api/v1/work-orders", "/healthz"])
async def test_a_parameter_given_twice_is_refused_because_one_of_them_would_be_ignored(centre: Centre, path: str) -> None:
    answer = await centre.client().get(f"{path}?community={HERE}&community={ELSEWHERE}")
    assert assert_problem(answer, 400)["errors"] == [{"where": "query.community", "reason": "it stands twice"}]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/alerts?kind=%00",
        "/api/v1/alerts?kind=%ff%fe",
        "/api/v1/alerts?%00=x",
        "/api/v1/alerts/%00",
        "/api/v1/alerts/%00/journal",
        "/api/v1/alerts/%c3%28",
        "/api/v1/work-orders?unit=%00",
        "/api/v1/work-orders/a%0ab",
        "/api/v1/access-log?token=%00",
        "/api/v1/deadletters/%00",
        "/api/v1/notifications/targets/%00/on",
    ],
)
async def test_an_address_that_is_no_text_is_refused(centre: Centre, target: str) -> None:
    method = "POST" if target.endswith("/on") else "GET"
    body = assert_problem(await centre.client("admin").request(method, target), 400)
    assert body["errors"][0]["where"].startswith(("path", "query"))


@pytest.mark.parametrize(
    ("whose", "method", "path", "kind"),
    [
        ("viewer", "GET", "/api/v1/alerts?colr=red", "malformed"),
        ("viewer", "GET", "/api/v1/alerts?colour=green", "malformed"),
        ("viewer", "GET", "/api/v1/alerts?cursor=forged", "malformed"),
        ("viewer", "GET", "/api/v1/alerts?since=yesterday", "malformed"),
        ("viewer", "GET", "/api/v1/alerts?kind=%00", "malformed"),
        ("viewer", "POST", "/api/v1/alerts/bulk", "wrong-role"),
        ("handler", "POST", "/api/v1/alerts/bulk", "malformed"),
        ("handler", "POST", "/api/v1/works", "wrong-role"),
        ("viewer", "GET", "/api/v1/audit?from=2026-11-23T08:00:00Z&to=2026-11-23T07:00:00Z", "malformed"),
        ("viewer", "GET", "/api/v1/tokens", "wrong-role"),
        ("wuhan-admin", "GET", "/api/v1/alerts/check", "not-the-whole"),
        (None, "GET", "/api/v1/alerts", "no-token"),
        ("viewer", "GET", "/api/v1/alerts/nothing", "not-there"),
        ("viewer", "GET", f"/api/v1/devices/{HERE}/gw-1/none", "not-there"),
        ("viewer", "GET", "/nothing", "no-such-page"),
        ("viewer", "DELETE", "/api/v1/alerts", "no-such-method"),
    ],
)
async def test_whatever_is_refused_is_said_in_the_language_of_who_asks_with_a_type_for_programs(
    centre: Centre, whose: str | None, method: str, path: str, kind: str
) -> None:
    centre.parts.registry.take_state(GatewayRef(HERE, "gw-1"), State(online=True, at=NOW), NOW)
    said = {}
    for language in ("en", "zh-CN"):
        answer = await centre.client(whose).request(method, path, headers={"Accept-Language": language})
        said[language] = assert_problem(answer, answer.status_code)
        assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")
    for english, chinese in zip(_sentences(said["en"]), _sentences(said["zh-CN"]), strict=True):
        assert english.isascii()
        assert any("\u4e00" <= character <= "\u9fff" for character in chinese), chinese
    assert said["en"]["type"] == said["zh-CN"]["type"] == f"urn:linli:problem:{kind}"


def _sentences(problem: dict[str, Any]) -> list[str]:
    return [problem["title"], problem["detail"], *(fault["reason"] for fault in problem.get("errors", ()))]


async def test_an_unknown_page_or_method_is_a_problem_too(centre: Centre) -> None:
    assert_problem(await centre.get("/nothing"), 404)
    answer = await centre.client().delete("/api/v1/alerts")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"note": "' + b"x" * 70_000 + b'"}', 413),
        (b"[" * 60_000, 400),
        (b'{"by":' * 9_000, 400),
        (b'{"note": "\xff\xfe"}', 400),
        (b'{"note": "\\ud800"}', 400),
        (b'{"note": "\\u0000"}', 400),
        (b'{"note": "a\\u001bb"}', 400),
        (b'{"note": 1e400}', 400),
        (b'{"note": "x", "who": "me"}', 400),
        (b'{"by": ""}', 400),
        ('{"by": "\u200b\u202e "}'.encode(), 400),
        (b'{"by": "' + b"x" * 65 + b'"}', 400),
        (b'{"note": "' + b"x" * 501 + b'"}', 400),
        (b"note=x", 400),
        (b"[]", 400),
        (b"\x00", 400),
    ],
)
async def test_a_hostile_body_is_refused_and_changes_nothing(centre: Centre, body: bytes, status: int) -> None:
    alert = await centre.raise_alert()
    path = f"/api/v1/alerts/{alert.id}/ack"
    answer = await centre.client("handler").post(path, content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, status)
    assert (await centre.get(f"/api/v1/alerts/{alert.id}")).json()["acked_at"] is None


async def test_a_body_without_a_length_is_bounded_too(centre: Centre) -> None:
    async def endless() -> object:
        for _ in range(40):
            yield b" " * 4096

    answer = await centre.client("handler").post(
        "/api/v1/alerts/x/ack", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 413)


async def test_a_body_that_does_not_come_is_not_waited_for(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shield, "BODY_TIMEOUT_S", 0.1)
    token = centre.made["handler"].encode()
    head = b"POST /api/v1/alerts/x/ack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token
    status, _, body = await centre.ask_raw(head + b"\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{")
    assert status == 408
    assert b"did not come in time" in body


async def test_a_form_is_refused_with_the_cure(centre: Centre) -> None:
    alert = await centre.raise_alert()
    answer = await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/ack", data={"note": "x"})
    assert "Content-Type: application/json" in assert_problem(answer, 400)["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/nothing", "/api/v1/alerts"])
async def test_every_answer_is_guarded_against_browsers(centre: Centre, path: str) -> None:
    answer = await centre.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


async def test_a_failure_inside_tells_nothing_of_the_inside(tmp_path: Path) -> None:
    def broken() -> list[str]:
        raise RuntimeError("secret of the inside")

    async with running(tmp_path, failing=broken) as centre:
        answer = await centre.get("/healthz", None)
        assert "secret" not in answer.text
        assert_problem(answer, 500)


async def test_a_store_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    database = Database(tmp_path / "watermarks.db")
    store = open_store(f"influx:http://127.0.0.1:{port}/linli", tmp_path, database)
    async with running(tmp_path, store=store) as centre:
        answer = await centre.get("/api/v1/readings")
        assert_problem(answer, 503)
        assert answer.headers["retry-after"] == "5"
    database.close()


async def test_a_request_with_two_lengths_is_refused_and_what_follows_it_is_not_read(centre: Centre) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /api/v1/works HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, _, body = await centre.ask_raw(head + b"0\r\n\r\n" + smuggled)
    assert status == 400
    assert b"HTTP/1.1" not in body
