import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from api_centre import ELSEWHERE, Centre, assert_problem, running

from ingest.api import Feed, ListenRefused, create_app, docs, listen, serve


async def test_healthz_needs_no_token_and_says_little(centre: Centre) -> None:
    answer = await centre.get("/healthz", None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_healthz_names_the_parts_that_fail(tmp_path: Path) -> None:
    async with running(tmp_path, failing=lambda: ["store", "alerts"]) as centre:
        answer = await centre.get("/healthz", None)
        assert (answer.status_code, answer.json()) == (503, {"status": "failing", "failing": ["alerts", "store"]})


async def test_metrics_are_counted_within_the_tokens_scope(centre: Centre) -> None:
    await centre.raise_alert()
    await centre.raise_alert(community=ELSEWHERE)
    centre.parts.stats.batches = 3
    answer = await centre.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "linli_batches_total 3" in answer.text
    assert 'linli_alerts{colour="yellow",state="open"} 1' in answer.text


async def test_metrics_are_open_on_loopback_to_who_asks_loopback(tmp_path: Path) -> None:
    async with running(tmp_path, open_metrics=True) as centre:
        await centre.raise_alert()
        await centre.raise_alert(community=ELSEWHERE)
        answer = await centre.get("/metrics", None)
        assert 'linli_alerts{colour="yellow",state="open"} 2' in answer.text
        for host in ("linli.example.org", "127.0.0.1.example.org", "localhost.example.org:80", ""):
            refused = await centre.client(None).get("/metrics", headers={"Host": host})
            assert_problem(refused, 401)


async def test_the_api_describes_itself_with_examples(centre: Centre) -> None:
    described = (await centre.get("/openapi.json", None)).json()
    assert described["openapi"].startswith("3.1")
    assert {"/api/v1/alerts", "/api/v1/work-orders", "/healthz", "/metrics"} < set(described["paths"])
    assert "'422'" not in str(described["paths"])
    for path, operations in described["paths"].items():
        if path.startswith("/api/"):
            assert all(operation["security"] for operation in operations.values()), path


async def test_the_documentation_is_readable_without_a_network(centre: Centre) -> None:
    answer = await centre.get("/docs", None)
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    assert 'src="http' not in answer.text
    assert "POST /api/v1/alerts/{id}/ack" in answer.text
    assert "集水井水位高" in answer.text
    assert "red | orange | yellow | blue" in answer.text


def test_a_description_is_escaped() -> None:
    assert "<img" not in docs.page({"info": {"title": "<img>", "version": "<img>"}, "paths": {"/<img>": {"get": {}}}})


async def test_a_port_in_use_is_said_in_one_line(centre: Centre) -> None:
    with pytest.raises(ListenRefused, match=f"cannot listen on 127.0.0.1:{centre.port}: .*another program") as caught:
        listen("127.0.0.1", centre.port)
    assert "\n" not in str(caught.value)


async def test_a_certificate_that_cannot_be_used_is_said_in_one_line(centre: Centre, tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("no certificate")
    for name in ("chain.pem", "missing.pem"):
        with listen("127.0.0.1", 0) as listener, pytest.raises(ListenRefused, match=f"{name} cannot be used"):
            chain = str(tmp_path / name)
            await serve(create_app(centre.parts), Feed(), listener, asyncio.Event(), (chain, chain))


async def test_the_server_ends_soon_whatever_its_readers_do(tmp_path: Path) -> None:
    async with running(tmp_path) as centre:
        _, writer = await asyncio.open_connection("127.0.0.1", centre.port)
        token = centre.made["viewer"]
        writer.write(f"GET /api/v1/alerts/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        await centre.get("/healthz")
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 2
    writer.close()


@pytest.mark.parametrize("half", [b"", b"GET / HTTP/1.1\r\nHos"])
async def test_half_a_request_keeps_its_place_for_a_short_time_only(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    monkeypatch.setattr(sys.modules["ingest.api.listen"], "HEAD_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    writer.write(half)
    assert await asyncio.wait_for(reader.read(), 3) == b""
    writer.close()


async def test_half_a_request_after_a_whole_one_keeps_no_place_either(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ingest.api.listen"], "HEAD_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b'"ok"}'), 3)
    writer.write(b"GET /healthz HTTP/1.1\r\nHos")
    assert await asyncio.wait_for(reader.read(), 3) == b""
    writer.close()


async def test_a_whole_request_is_answered_however_long_its_answer_takes(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ingest.api.listen"], "HEAD_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    token = centre.made["viewer"]
    writer.write(f"GET /api/v1/alerts/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await asyncio.wait_for(reader.readuntil(b"retry:"), 3)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readuntil(b"no such thing"), 0.5)
    writer.close()


async def test_every_reference_of_the_description_points_somewhere(centre: Centre) -> None:
    described = (await centre.get("/openapi.json")).json()
    for reference in re.findall(r'"\$ref":\s*"#/([^"]+)"', json.dumps(described)):
        place = described
        for step in reference.split("/"):
            assert step in place, reference
            place = place[step]
