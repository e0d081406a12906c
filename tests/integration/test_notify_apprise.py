"""Channels by way of apprise: what a group may read, and what its HTTP status says, which is all that apprise looks at."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.notify import notify_problems
from ingest.notify.long_tail import AppriseSender, installed
from ingest.notify.routes import targets_of
from ingest.notify.verdict import Fate
from tests.notices import changed, notice, notify_of, numbered, secret
from tests.receivers import answer, receiver

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

NOTIFY = notify_of("{targets: {tail: {type: apprise, url_file: url}}, routes: [{to: [tail]}]}")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.mark.parametrize(("status", "fate"), [(200, Fate.SENT), (500, Fate.FAILED)])
async def test_a_status_is_all_that_is_known_of_it(threads: ThreadPoolExecutor, status: int, fate: Fate) -> None:
    apprise = installed()
    assert apprise is not None
    async with receiver() as other:
        other.say = lambda _asked: answer(status, {"errcode": 310000, "errmsg": "sign not match"})
        sender = AppriseSender(apprise, f"json://127.0.0.1:{other.port}/", threads)
        verdict = await sender.send([notice(changed(value="豫M88Q21", note="王师傅")), notice(numbered(8))])
        (asked,) = other.asked
    assert verdict.fate is fate
    said = asked.said["message"]
    assert "强行开门 Door forced 3号楼东门" in said
    assert said.startswith("2 条告警 / 2 alerts")
    assert "豫M88Q21" not in said
    assert "王师傅" not in said


async def test_a_channel_that_is_not_there_fails(threads: ThreadPoolExecutor) -> None:
    apprise = installed()
    assert apprise is not None
    verdict = await AppriseSender(apprise, "json://127.0.0.1:1/", threads).send([notice()])
    assert (verdict.fate, verdict.reason) == (Fate.FAILED, "apprise could not deliver it")


def test_what_is_about_a_person_does_not_go_there() -> None:
    assert targets_of(NOTIFY, changed()) == ["tail"]
    assert targets_of(NOTIFY, changed(kind="elder_not_seen")) == []


@pytest.mark.parametrize(
    ("url", "reasons"), [("json://example.org/", []), ("nowhere://x", ["apprise knows no way to what it says"])]
)
def test_a_url_that_apprise_does_not_know_is_refused(tmp_path: Path, url: str, reasons: list[str]) -> None:
    secret(tmp_path, "url", url)
    assert [problem.reason for problem in notify_problems(NOTIFY, tmp_path.joinpath, "centre.yaml")] == reasons


def test_without_the_extra_the_centre_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (problem,) = notify_problems(NOTIFY, tmp_path.joinpath, "centre.yaml")
    assert (problem.reason, problem.cure) == ("apprise is not installed", "pip install 'linli[apprise]'")
