"""The live stream, read as a client reads it: line by line."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from api_centre import ELSEWHERE, NOW, Centre, assert_problem

from ingest import tokens
from ingest.alerts.alerts import Changes
from ingest.api import feed, listen, stream

Event = dict[str, str]


@asynccontextmanager
async def following(centre: Centre, whose: str = "viewer", last: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a stream; the first, which only says ``retry``, is taken: the stream is known to be open."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with centre.client(whose).stream("GET", "/api/v1/alerts/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = _events(answer)
        assert await anext(events) == {"retry": "3000"}
        yield events


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    event: Event = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            event[name] = value.strip()
        else:
            yield event
            event = {}


async def following_one(events: AsyncIterator[Event]) -> Event:
    return await asyncio.wait_for(anext(events), 5)


async def test_a_change_comes_as_it_happens_with_its_seq(centre: Centre) -> None:
    await centre.raise_alert(device="before")
    async with following(centre) as events:
        alert = await centre.raise_alert(device="after")
        event = await following_one(events)
        told: Any = json.loads(event["data"])
        assert (event["event"], event["id"]) == ("alert", "2")
        assert told == (await centre.get(f"/api/v1/alerts/{alert.id}")).json()


async def test_an_acknowledgement_is_a_change_too(centre: Centre) -> None:
    alert = await centre.raise_alert()
    async with following(centre) as events:
        await centre.client("handler").post(f"/api/v1/alerts/{alert.id}/ack")
        event = await following_one(events)
        assert json.loads(event["data"])["acked_by"] == "wuye"


async def test_a_reader_that_comes_back_gets_all_it_missed_in_order(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PAGE", 2)
    for number in range(6):
        await centre.raise_alert(device=f"device-{number}")
    async with following(centre, last=1) as events:
        assert [(await following_one(events))["id"] for _ in range(5)] == ["2", "3", "4", "5", "6"]


async def test_nothing_outside_the_scope_is_streamed(centre: Centre) -> None:
    async with following(centre) as events:
        await centre.raise_alert(community=ELSEWHERE)
        mine = await centre.raise_alert()
        assert json.loads((await following_one(events))["data"])["id"] == mine.id


async def test_an_id_from_another_time_resets_the_reader(centre: Centre) -> None:
    await centre.raise_alert()
    async with following(centre, last=99) as events:
        event = await following_one(events)
        assert (event["event"], event["id"]) == ("reset", "1")
        await centre.raise_alert(device="next")
        assert (await following_one(events))["id"] == "2"


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "1' or 1=1"])
async def test_a_malformed_last_event_id_is_refused(centre: Centre, last: str) -> None:
    assert_problem(await centre.client().get("/api/v1/alerts/stream", headers={"Last-Event-ID": last}), 400)


async def test_a_silent_stream_says_that_it_lives(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    async with following(centre) as events:
        assert await following_one(events) == {"": ""}
        assert await following_one(events) == {"": ""}


async def test_streams_are_bounded_for_each_token_and_a_place_is_free_again(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "READERS_OF_ONE", 1)
    async with following(centre):
        answer = await centre.client().get("/api/v1/alerts/stream")
        assert_problem(answer, 429)
        assert answer.headers["retry-after"] == "60"
        async with following(centre, "wuhan"):
            pass
    async with asyncio.timeout(5):
        while (await _status(centre)) != 200:
            await asyncio.sleep(0.02)


async def test_a_stream_ends_with_its_token(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    async with following(centre) as events:
        tokens.remove(centre.tokens_file, "viewer")
        async with asyncio.timeout(5):
            assert [event async for event in events if event != {"": ""}] == []


def test_an_answer_is_not_held_back_until_the_one_who_asked_confirms_its_head() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_stream_ends_when_the_program_does(centre: Centre) -> None:
    async with following(centre) as events:
        centre.parts.feed.close()
        with pytest.raises(StopAsyncIteration):
            await following_one(events)


async def test_a_reader_that_takes_nothing_is_let_go_and_keeps_nobody_waiting(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_TIMEOUT_S", 0.2)
    alert = await centre.raise_alert(NOW)
    monkeypatch.setattr(centre.parts.alerts, "changes", lambda scope, after, limit: _flood(alert, after, limit))
    _, writer = await asyncio.open_connection("127.0.0.1", centre.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    token = centre.made["viewer"]
    writer.write(f"GET /api/v1/alerts/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    readers = centre.parts.feed._readers
    async with asyncio.timeout(10):
        while not readers:
            await asyncio.sleep(0.01)
        while readers:
            await asyncio.sleep(0.01)
    assert (await centre.get("/healthz")).status_code == 200
    writer.close()


async def _flood(alert: Any, after: int, limit: int) -> Changes:
    import msgspec

    await asyncio.sleep(0)
    return Changes([msgspec.structs.replace(alert, seq=after + n + 1) for n in range(limit)], after + limit)


async def _status(centre: Centre) -> int:
    async with centre.client().stream("GET", "/api/v1/alerts/stream") as answer:
        return answer.status_code


async def test_a_reader_that_leaves_in_the_middle_of_what_it_missed_leaves_no_lines_in_the_log(
    centre: Centre, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(stream.PAGE):
        await centre.raise_alert(NOW + number, device=f"device-{number}")
    whose = f"Host: x\r\nAuthorization: Bearer {centre.made['viewer']}\r\nLast-Event-ID: 0"

    def leave() -> None:
        with socket.create_connection(("127.0.0.1", centre.port), timeout=30) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as a program that is killed
            reader.sendall(f"GET /api/v1/alerts/stream HTTP/1.1\r\n{whose}\r\n\r\n".encode())
            while b"event: alert" not in reader.recv(65_536):
                pass

    for _ in range(5):
        await asyncio.to_thread(leave)
    assert (await centre.get("/healthz")).status_code == 200
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []
