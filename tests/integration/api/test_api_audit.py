"""``/api/v1/audit``, ``/api/v1/replays`` and ``/api/v1/deadletters``: who may ask, what they see, how errors are told."""

import asyncio

import msgspec
import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem

from ingest.arrival import Arrival
from ingest.deadletter import DeadLetter, set_aside
from telemetry import command
from telemetry.batch import Lane, Poison
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Span, State
from telemetry.reading import Micros, Reading
from tests.rooms import KEY

REF = GatewayRef(HERE, "gw-1")
SPAN = {"from": str(NOW - 1), "to": str(NOW + 1)}
HOUR = {"from": "2026-11-23T07:00:00.000000Z", "to": "2026-11-23T09:00:00.000000Z"}


def level(at: int, metres: float = 1.0) -> Reading:
    return Reading(device="b3-pump-level", kind=Kind.ENVIRONMENT, at=at, values={"level": metres})


async def take(centre: Centre, *readings: Reading, poison: tuple[Poison, ...] = (), community: str = HERE, seq: int = 1) -> None:
    """As both sinks do."""
    arrival = Arrival(Stream(community, "gw-1", "0" * 16, "bulk"), seq, readings, Micros(NOW), poison)
    await centre.rooms.engine.take([arrival], NOW)
    await centre.parts.store.write([arrival])


def greet(centre: Centre, ref: GatewayRef = REF) -> None:
    centre.parts.registry.take_state(ref, State(online=True, at=NOW), NOW)


async def letter(centre: Centre, body: bytes = b"\xff\x00", ref: GatewayRef = REF, at: int = NOW) -> None:
    await set_aside(centre.database, [DeadLetter(ref, "0000000000000000 bulk 1", "why", body)], Micros(at))


async def test_whole_hours_are_compared_and_proved(centre: Centre) -> None:
    await take(centre, level(NOW), level(NOW - 1))
    answer = (await centre.get("/api/v1/audit", **SPAN)).json()
    assert answer == HOUR | {
        "accepted": 2,
        "stored": 2,
        "missing": 0,
        "surplus": 0,
        "unexplained": 0,
        "proved": True,
        "findings": [],
        "more_findings": 0,
        "pending": [],
    }


async def test_what_is_missing_is_named_with_its_hour_and_cause(centre: Centre) -> None:
    await take(centre, level(NOW), poison=(Poison(b'{"at":%d}' % (NOW - 1), "why"),))
    answer = (await centre.get("/api/v1/audit", gateway="gw-1", community=HERE, **SPAN)).json()
    assert (answer["accepted"], answer["stored"], answer["missing"], answer["proved"]) == (2, 1, 1, True)
    assert answer["findings"] == [
        {
            "community": HERE,
            "gateway": "gw-1",
            "from": HOUR["from"],
            "to": "2026-11-23T08:00:00.000000Z",
            "readings": 1,
            "cause": "dead_letter",
            "device": "",
            "reason": "set aside: it cannot be taken",
        }
    ]


async def test_an_audit_sees_its_scope_alone(centre: Centre) -> None:
    await take(centre, level(NOW))
    await take(centre, level(NOW), level(NOW + 1), community=ELSEWHERE)
    assert (await centre.get("/api/v1/audit", **SPAN)).json()["accepted"] == 1
    assert (await centre.get("/api/v1/audit", "wuhan", **SPAN)).json()["accepted"] == 2
    assert_problem(await centre.get("/api/v1/audit", community=ELSEWHERE, **SPAN), 404)
    assert_problem(await centre.get("/api/v1/audit", gateway="gw-2", **SPAN), 404)


async def test_an_audit_waits_for_a_store_that_is_behind_and_then_says_so(centre: Centre) -> None:
    arrival = Arrival(Stream(HERE, "gw-1", "0" * 16, "bulk"), 1, (level(NOW),), Micros(NOW))
    await centre.rooms.engine.take([arrival], NOW)
    answer = (await centre.get("/api/v1/audit", **SPAN)).json()
    assert [(one["cause"], one["readings"]) for one in answer["findings"]] == [("pending", 1)]
    asking = asyncio.create_task(centre.get("/api/v1/audit", **SPAN))
    await asyncio.sleep(0.05)
    await centre.parts.store.write([arrival])
    assert (await asking).json()["findings"] == []


@pytest.mark.parametrize(
    ("first", "cause"), [(1, "pending"), (2, "unexplained"), (None, "unexplained")], ids=["held", "let go", "not named"]
)
async def test_only_what_its_gateway_still_holds_is_pending(centre: Centre, first: int | None, cause: str) -> None:
    arrival = Arrival(Stream(HERE, "gw-1", "0" * 16, "bulk"), 1, (level(NOW),), Micros(NOW))
    await centre.rooms.engine.take([arrival], NOW)
    hello = [] if first is None else [Span("0" * 16, Lane.BULK, first, 1)]
    centre.parts.registry.take_state(REF, State(online=True, at=NOW, hello=hello), NOW)
    answer = (await centre.get("/api/v1/audit", **SPAN)).json()
    assert [(one["cause"], one["readings"]) for one in answer["findings"]] == [(cause, 1)]


async def test_what_a_gateway_said_it_had_to_send_is_told_until_it_is_durable_on_both_sides(centre: Centre) -> None:
    hello = [Span("0" * 16, Lane.BULK, 3, 9), Span("1" * 16, Lane.URGENT, 1, 2), Span("2" * 16, Lane.BULK, 5, 4)]
    centre.parts.registry.take_state(REF, State(online=True, at=NOW, hello=hello), NOW + 7)
    told = {"community": HERE, "gateway": "gw-1", "said_at": "2026-11-23T08:00:00.000007Z"}
    assert (await centre.get("/api/v1/audit", **SPAN)).json()["pending"] == [told | {"batches": 9}]
    stream = Stream(HERE, "gw-1", "0" * 16, "bulk")
    await centre.parts.store.advance(stream, 9)
    assert (await centre.get("/api/v1/audit", **SPAN)).json()["pending"] == [told | {"batches": 9}]
    await centre.rooms.engine.advance(stream, 8)
    assert (await centre.get("/api/v1/audit", **SPAN)).json()["pending"] == [told | {"batches": 3}]
    assert (await centre.get("/api/v1/audit", "wuhan", **SPAN)).json()["pending"] == []


async def test_a_malformed_audit_is_refused(centre: Centre) -> None:
    for query in (
        {},
        {"from": "x", "to": "y"},
        SPAN | {"colour": "red"},
        {"from": SPAN["to"], "to": SPAN["from"]},
        {"from": SPAN["from"], "to": SPAN["from"]},
        {"from": "2024-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        SPAN | {"gateway": "UP"},
    ):
        assert assert_problem(await centre.get("/api/v1/audit", **query), 400)["errors"]


async def test_a_replay_is_opened_for_the_gateways_of_the_scope_and_followed(centre: Centre) -> None:
    greet(centre)
    greet(centre, GatewayRef(ELSEWHERE, "gw-9"))
    answer = await centre.client("admin").post("/api/v1/replays", json=SPAN)
    assert answer.status_code == 202
    opened = answer.json()
    assert [(part["gateway"], part["stage"]) for part in opened["gateways"]] == [("gw-1", "asked")]
    ref, message = centre.rooms.commands.get_nowait()
    asked = command.decode(message, ref, KEY)
    assert (ref, asked.id, asked.start, asked.end) == (REF, opened["id"], NOW - 1, NOW + 1)
    centre.parts.replays.replied(REF, command.Reply(id=opened["id"], at=NOW, done=True))
    centre.parts.replays.advance()
    path = f"/api/v1/replays/{opened['id']}"
    followed = (await centre.get(path, "admin")).json()
    assert (followed["done"], followed["well"], followed["from"]) == (True, True, "2026-11-23T07:59:59.999999Z")
    assert_problem(await centre.get(path, "wuhan-admin"), 404)
    assert_problem(await centre.get("/api/v1/replays/0000", "admin"), 404)


async def test_a_replay_that_cannot_be_is_refused(centre: Centre) -> None:
    greet(centre)
    for body, status in (
        ({}, 400),
        (SPAN | {"colour": "red"}, 400),
        ({"from": SPAN["to"], "to": SPAN["from"]}, 400),
        (SPAN | {"gateway": "gw-2"}, 404),
        (SPAN | {"community": ELSEWHERE}, 404),
    ):
        assert_problem(await centre.client("admin").post("/api/v1/replays", json=body), status)
    assert centre.rooms.commands.empty()


async def test_only_an_admin_replays_and_decides_on_dead_letters(centre: Centre) -> None:
    for method, path in (
        ("POST", "/api/v1/replays"),
        ("GET", "/api/v1/replays/0000"),
        ("GET", "/api/v1/deadletters"),
        ("GET", "/api/v1/deadletters/x"),
        ("POST", "/api/v1/deadletters/x/replay"),
        ("DELETE", "/api/v1/deadletters/x"),
    ):
        for whose in ("viewer", "handler"):
            answer = await centre.client(whose).request(method, path, json=SPAN if path.endswith("replays") else None)
            assert "admin" in assert_problem(answer, 403)["detail"]
        assert_problem(await centre.client(None).request(method, path), 401)


async def test_dead_letters_come_in_pages_without_their_bytes(centre: Centre) -> None:
    for number in range(3):
        await letter(centre, b"%d" % number, at=NOW + number)
    await letter(centre, ref=GatewayRef(ELSEWHERE, "gw-9"))
    page = (await centre.get("/api/v1/deadletters", "admin", limit=2)).json()
    rest = (await centre.get("/api/v1/deadletters", "admin", limit=2, cursor=page["next"])).json()
    found = page["items"] + rest["items"]
    assert [one["last_at"][-4:] for one in found] == ["002Z", "001Z", "000Z"]
    assert rest["next"] is None
    assert found[0].keys() == {
        "id", "community", "gateway", "first_at", "last_at", "times", "origin", "reason", "size",
    }  # fmt: skip
    assert (await centre.get("/api/v1/deadletters", "admin", gateway="gw-9")).json()["items"] == []
    for query in ({"cursor": "x"}, {"limit": 0}, {"limit": 501}, {"colour": "red"}):
        assert_problem(await centre.get("/api/v1/deadletters", "admin", **query), 400)


@pytest.mark.parametrize(
    ("body", "encoding", "told"),
    [
        (b'{"device":"x"}', "text", '{"device":"x"}'),
        (b"\xff\x00", "hex", "ff00"),
        (bytes.fromhex("789cab562a4b2d52b2523032d2512a2d4e2d52b2ac050033b30550"), "hex", None),
    ],
)
async def test_a_letter_is_shown_as_text_or_hex(centre: Centre, body: bytes, encoding: str, told: str | None) -> None:
    await letter(centre, body)
    (listed,) = (await centre.get("/api/v1/deadletters", "admin")).json()["items"]
    shown = (await centre.get(f"/api/v1/deadletters/{listed['id']}", "admin")).json()
    assert (shown["encoding"], shown["body"]) == (encoding, told or body.hex())


async def test_a_letter_that_can_be_read_now_is_stored_and_gone(centre: Centre) -> None:
    await letter(centre, msgspec.json.encode(level(NOW)))
    (listed,) = (await centre.get("/api/v1/deadletters", "admin")).json()["items"]
    path = f"/api/v1/deadletters/{listed['id']}"
    assert_problem(await centre.client("wuhan-admin").post(f"{path}/replay"), 404)
    answer = await centre.client("admin").post(f"{path}/replay")
    assert answer.json() == {"stored": 1, "gone": True, "reason": ""}
    assert len((await centre.get("/api/v1/readings")).json()["items"]) == 1
    assert_problem(await centre.get(path, "admin"), 404)


async def test_a_letter_is_dropped_once(centre: Centre) -> None:
    await letter(centre)
    (listed,) = (await centre.get("/api/v1/deadletters", "admin")).json()["items"]
    path = f"/api/v1/deadletters/{listed['id']}"
    assert_problem(await centre.client("wuhan-admin").delete(path), 404)
    assert (await centre.client("admin").delete(path)).status_code == 204
    assert_problem(await centre.client("admin").delete(path), 404)
