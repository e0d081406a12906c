"""Notifications over the API: an operator sees what was sent and what was not, within the scope, and sends it again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running

from ingest.notify import Notifications
from ingest.notify.outbox import Outbox, enqueue
from ingest.notify.standing import Standing
from ingest.notify.verdict import SENT
from tests.notices import changed, notify_of

pytestmark = pytest.mark.both_databases

TARGETS = notify_of("targets: {platform: {type: webhook, url: 'https://example.org/', secrets_file: s}}").targets
WHERE = "/api/v1/notifications"


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with running(tmp_path) as centre:
        standing = Standing(centre.database)
        object.__setattr__(centre.parts, "notifications", Notifications(centre.database, TARGETS, standing))
        yield centre


async def put(centre: Centre, seq: int, community: str = HERE) -> None:
    one = changed(known_at=NOW + seq, id=f"{seq:020x}", seq=seq, community=community)
    await centre.database.write(lambda connection: enqueue(connection, one, ["platform"]))


async def seqs(centre: Centre, whose: str = "admin", **query: object) -> list[int]:
    answer = await centre.get(WHERE, whose, **query)
    assert answer.status_code == 200, answer.text
    return [int(one["message"].partition(".")[2]) for one in answer.json()["items"]]


async def test_notifications_are_for_admins_and_unknown_filters_are_refused(centre: Centre) -> None:
    for path in (WHERE, f"{WHERE}/targets"):
        assert_problem(await centre.get(path, None), 401)
        assert_problem(await centre.get(path, "viewer"), 403)
        assert_problem(await centre.get(path, "handler"), 403)
        assert_problem(await centre.get(path, "admin", colr="red"), 400)
    assert_problem(await centre.client("handler").post(f"{WHERE}/replay", json={"target": "platform"}), 403)
    assert_problem(await centre.client("handler").post(f"{WHERE}/targets/platform/on"), 403)


async def test_what_waits_is_told_newest_first_page_by_page(centre: Centre) -> None:
    for seq in range(1, 6):
        await put(centre, seq)
    first = (await centre.get(WHERE, "admin", limit=2)).json()
    assert [one["message"][-1] for one in first["items"]] == ["5", "4"]
    assert first["items"][0]["state"] == "waiting"
    assert first["items"][0]["next_at"] == first["items"][0]["known_at"]
    assert await seqs(centre, limit=2, cursor=first["next"]) == [3, 2]
    assert_problem(await centre.get(WHERE, "admin", cursor="eA"), 400)


async def test_nothing_outside_the_scope_is_told_counted_or_sent_again(centre: Centre) -> None:
    await put(centre, 1)
    await put(centre, 2, ELSEWHERE)
    assert await seqs(centre) == [1]
    assert await seqs(centre, "wuhan-admin") == [2]
    (target,) = (await centre.get(f"{WHERE}/targets", "admin")).json()["items"]
    assert target["waiting"] == 1
    outbox = Outbox(centre.database, "platform")
    await outbox.give_up_all(NOW + 10, "receiver answered 500")
    answer = await centre.client("admin").post(f"{WHERE}/replay", json={"state": "given_up"})
    assert answer.json() == {"replayed": 1}
    assert await seqs(centre, "wuhan-admin", state="given_up") == [2]


async def test_what_was_sent_or_given_up_is_sent_again_under_the_same_name(centre: Centre) -> None:
    for seq in (1, 2, 3):
        await put(centre, seq)
    outbox = Outbox(centre.database, "platform")
    first, second, third = await outbox.due(NOW + 100, 10)
    await outbox.sent([first], NOW + 100)
    await outbox.given_up([second], NOW + 100, "the receiver answered 500")
    given_up = (await centre.get(WHERE, "admin", state="given_up")).json()["items"]
    assert [(one["tries"], one["reason"], one["next_at"]) for one in given_up] == [(1, "the receiver answered 500", None)]
    answer = await centre.client("admin").post(
        f"{WHERE}/replay", json={"target": "platform", "since": str(NOW + 1), "until": str(NOW + 3)}
    )
    assert answer.json() == {"replayed": 2}
    assert {notice.message for notice in await outbox.due(NOW + 100, 10)} == {first.message, second.message, third.message}


async def test_what_is_sent_again_under_a_key_is_sent_again_once(centre: Centre) -> None:
    await put(centre, 1)
    outbox = Outbox(centre.database, "platform")
    for _ in range(2):
        await outbox.sent(await outbox.due(NOW + 100, 10), NOW + 100)
        again = await centre.client("admin").post(
            f"{WHERE}/replay", json={"target": "platform"}, headers={"Idempotency-Key": "k"}
        )
        assert again.json() == {"replayed": 1}
    assert await outbox.due(NOW + 100, 10) == []


@pytest.mark.parametrize(
    "body", [{}, {"targets": "platform"}, {"state": "lost"}, {"target": "a b"}, {"since": "yesterday"}, {"since": 5}, []]
)
async def test_a_replay_of_everything_by_a_slip_is_refused(centre: Centre, body: object) -> None:
    await put(centre, 1)
    await Outbox(centre.database, "platform").give_up_all(NOW, "")
    assert_problem(await centre.client("admin").post(f"{WHERE}/replay", json=body), 400)
    assert await seqs(centre, state="given_up") == [1]


async def test_how_each_target_does_is_told_also_to_prometheus(centre: Centre) -> None:
    standing = centre.parts.notifications._standing
    await standing.switch_off("platform", "the receiver answered 410: it wants nothing more", NOW)
    standing.note("platform", SENT, NOW)
    (target,) = (await centre.get(f"{WHERE}/targets", "admin")).json()["items"]
    assert (target["type"], target["sent"], target["off"][:25]) == ("webhook", 1, "the receiver answered 410")
    told = (await centre.get("/metrics", "admin")).text
    assert 'linli_notify_off{target="platform"} 1' in told
    assert 'linli_notify_sent_total{target="platform"} 1' in told
    assert (await centre.client("admin").post(f"{WHERE}/targets/platform/on")).status_code == 204
    assert not await standing.is_off("platform")
    assert_problem(await centre.client("admin").post(f"{WHERE}/targets/nobody/on"), 404)
