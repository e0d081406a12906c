"""Channels by way of apprise: what a group may read, where it may lead, and what its HTTP status says, which is all that apprise
looks at."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from ingest.address import OnSite
from ingest.notify import long_tail, notify_problems
from ingest.notify.long_tail import AppriseSender
from ingest.notify.routes import targets_of
from ingest.notify.verdict import Fate
from tests.notices import changed, notice, notify_of, numbered, secret
from tests.receivers import answer, receiver

NOTIFY = notify_of("{targets: {tail: {type: apprise, url_file: url}}, routes: [{to: [tail]}]}")


def here(port: int) -> tuple[OnSite, ...]:
    return (OnSite("127.0.0.0/8", (port,)),)


@pytest.mark.parametrize(("status", "fate"), [(200, Fate.SENT), (500, Fate.FAILED)])
async def test_a_status_is_all_that_is_known_of_it(status: int, fate: Fate) -> None:
    async with receiver() as other:
        other.say = lambda _asked: answer(status, {"errcode": 310000, "errmsg": "sign not match"})
        sender = AppriseSender(f"json://127.0.0.1:{other.port}/", here(other.port))
        verdict = await sender.send([notice(changed(value="豫M88Q21", note="王师傅")), notice(numbered(8))])
        (asked,) = other.asked
    assert verdict.fate is fate
    said = asked.said["message"]
    assert "强行开门 Door forced 3号楼东门" in said
    assert said.startswith("2 条告警 / 2 alerts")
    assert "豫M88Q21" not in said
    assert "王师傅" not in said


async def test_a_channel_that_is_not_there_fails() -> None:
    verdict = await AppriseSender("json://127.0.0.1:1/", here(1)).send([notice()])
    assert (verdict.fate, verdict.reason) == (Fate.FAILED, "apprise could not deliver it")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_nothing_reaches_our_own_network_that_on_site_does_not_name(host: str) -> None:
    async with receiver() as other:
        verdict = await AppriseSender(f"json://{host}:{other.port}/", here(1)).send([notice()])
        assert other.asked == []
    assert verdict.fate is Fate.FAILED
    assert f"port {other.port}: not a public address; name its network in on_site" in verdict.reason


async def test_a_redirect_leads_nowhere_that_a_url_may_not() -> None:
    async with receiver() as other, receiver() as inner:
        other.say = lambda _asked: answer(307, location=f"http://127.0.0.1:{inner.port}/")
        verdict = await AppriseSender(f"json://127.0.0.1:{other.port}/", here(other.port)).send([notice()])
        assert (len(other.asked), inner.asked) == (1, [])
    assert verdict.fate is Fate.FAILED


async def test_a_message_goes_neither_by_a_proxy_nor_with_secrets_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as other, receiver() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        verdict = await AppriseSender(f"json://127.0.0.1:{other.port}/", here(other.port)).send([notice()])
        assert (len(other.asked), proxy.asked) == (1, [])
    assert verdict.fate is Fate.SENT
    assert not [name for name in long_tail._environment() if "proxy" in name.lower() or name.startswith("LINLI")]


async def test_a_channel_that_never_answers_is_given_up_and_leaves_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_tail, "LIMIT_S", 2.0)
    async with receiver() as other:
        other.silent = asyncio.Event()
        verdict = await AppriseSender(f"json://127.0.0.1:{other.port}/?rto=60", here(other.port)).send([notice()])
        other.silent.set()
    assert verdict.reason == "apprise has not ended within 2 s"
    assert not [child for child in psutil.Process().children() if "ingest.apprise_program" in child.cmdline()]


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
