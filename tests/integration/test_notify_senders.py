"""Senders against servers that answer as documented: what each is asked, and what its answers mean."""

import asyncio
import email
import email.policy
import shlex
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingest.address import OnSite, Refused, parse
from ingest.alerts import Colour
from ingest.notify import post, signature
from ingest.notify.bots import BotSender, Dialect, DingTalkDialect, FeishuDialect, WeComDialect
from ingest.notify.mail import MailSender
from ingest.notify.post import NoAnswer, Poster
from ingest.notify.targets import Mail
from ingest.notify.verdict import Fate, Verdict
from ingest.notify.webhook import WebhookSender
from tests.notices import changed, notice, numbered
from tests.receivers import Receiver, answer, mailbox, receiver

NOW = 1_700_000_000_000_000
SECRET = b"s" * 32


class Names:
    """A resolver that says one answer after the other, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def poster(*ports: int, names: Names | None = None, network: str = "127.0.0.0/8") -> Poster:
    site = (OnSite(network, ports),) if ports else ()
    return Poster(site, names or Names(["127.0.0.1"]))


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    async with receiver() as one:
        yield one


def webhook(other: Receiver, through: Poster | None = None, full: bool = False) -> WebhookSender:
    url = parse(f"http://platform.test:{other.port}/hooks/linli?a=%3D&b=2")
    return WebhookSender(through or poster(other.port), url, lambda: [SECRET], "/linli", lambda: NOW, full=full)


async def test_a_webhook_is_a_signed_cloud_event_at_the_url_as_it_was_written(other: Receiver) -> None:
    assert await webhook(other).send([notice()]) == Verdict(Fate.SENT)
    (asked,) = other.asked
    assert asked.target == "/hooks/linli?a=%3D&b=2"
    assert asked.headers["host"] == f"platform.test:{other.port}"
    assert asked.headers["content-type"] == "application/cloudevents+json"
    assert asked.headers["webhook-id"] == asked.said["id"] == "5f1c9b2e7a3d4c6b8e90.7"
    assert asked.headers["webhook-timestamp"] == "1700000000"
    assert asked.headers["webhook-signature"] == signature.webhook([SECRET], asked.said["id"], 1_700_000_000, asked.body)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_a_success(other: Receiver, status: int) -> None:
    other.say = lambda asked: answer(status)
    assert (await webhook(other).send([notice()])).fate is Fate.SENT


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 409, 429, 500, 503])
async def test_anything_else_is_tried_again(other: Receiver, status: int) -> None:
    other.say = lambda asked: answer(status)
    assert await webhook(other).send([notice()]) == Verdict(Fate.FAILED, f"the receiver answered {status}")


async def test_410_is_for_good_and_a_receiver_may_ask_for_a_rest(other: Receiver) -> None:
    other.say = lambda asked: answer(410)
    assert (await webhook(other).send([notice()])).fate is Fate.GONE
    other.say = lambda asked: answer(429, Retry_After="120")
    assert await webhook(other).send([notice()]) == Verdict(Fate.ENOUGH, "the receiver answered 429", 120.0)
    other.say = lambda asked: answer(503, Retry_After="999999999999999999")
    assert (await webhook(other).send([notice()])).rest_s == 3600.0


async def test_a_redirect_is_not_followed(other: Receiver) -> None:
    async with receiver() as inside:
        other.say = lambda asked: answer(302, Location=f"http://127.0.0.1:{inside.port}/secret")
        assert (await webhook(other, poster(other.port, inside.port)).send([notice()])).fate is Fate.FAILED
        assert not inside.asked


async def test_a_receiver_that_says_nothing_or_never_ends_costs_a_limited_time(
    other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "LIMIT_S", 0.3)
    other.silent = asyncio.Event()
    began = time.monotonic()
    assert await webhook(other).send([notice()]) == Verdict(Fate.FAILED, "no answer within 0.3 s")
    assert time.monotonic() - began < 2
    other.silent.set()
    other.endless = True
    other.say = lambda asked: b"HTTP/1.1 200 OK\r\n\r\n"
    assert (await webhook(other).send([notice()])).fate is Fate.SENT


async def test_of_an_endless_answer_the_beginning_is_read(other: Receiver) -> None:
    other.endless = True
    other.say = lambda asked: b"HTTP/1.1 200 OK\r\n\r\n"
    got = await poster(other.port).post(parse(f"http://platform.test:{other.port}/"), b"{}", {}, read=True)
    assert len(got.body) == post.MAX_ANSWER


async def test_a_receiver_that_is_away_or_talks_nonsense_is_a_failure(other: Receiver) -> None:
    other.say = lambda asked: b"SSH-2.0-OpenSSH_9.2\r\n"
    assert (await webhook(other).send([notice()])).fate is Fate.FAILED
    away = Receiver(port=1)
    assert (await webhook(away, poster(1)).send([notice()])).fate is Fate.FAILED


async def test_a_name_that_leads_inside_is_refused_when_it_is_sent(other: Receiver) -> None:
    for addresses in (["127.0.0.1"], ["203.107.32.1", "127.0.0.1"], ["10.0.0.1"], ["::ffff:127.0.0.1"]):
        guarded = poster(names=Names(addresses))
        with pytest.raises(Refused):
            await guarded.post(parse("https://platform.test/"), b"", {}, read=False)
    assert (await webhook(other, poster(names=Names(["127.0.0.1"]))).send([notice()])).fate is Fate.FAILED
    assert not other.asked


async def test_a_name_is_asked_once_and_what_was_checked_is_what_is_reached(other: Receiver) -> None:
    """A name that leads elsewhere the second time it is asked (rebinding) gets nothing from it."""
    async with receiver(host="127.0.0.2") as inside:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        through = poster(other.port, inside.port, names=names, network="127.0.0.1/32")
        assert (await webhook(other, through).send([notice()])).fate is Fate.SENT
        assert names.asked == 1
        assert len(other.asked) == 1
        assert not inside.asked


async def test_when_one_address_does_not_answer_the_next_is_tried(other: Receiver) -> None:
    assert (await webhook(other, poster(other.port, names=Names(["127.0.0.9", "127.0.0.1"]))).send([notice()])).fate is Fate.SENT


async def test_a_proxy_of_the_environment_is_not_used(other: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await webhook(other).send([notice()])).fate is Fate.SENT


async def test_a_name_that_cannot_be_found_is_a_failure_that_may_pass(other: Receiver) -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(NoAnswer):
        await Poster((), nowhere).post(parse("https://platform.test/"), b"", {}, read=False)


def bot(other: Receiver, dialect: Dialect, path: str = "/robot/send?access_token=x") -> BotSender:
    return BotSender(poster(other.port), dialect, parse(f"http://robot.test:{other.port}{path}"), lambda: NOW)


async def test_dingtalk_is_asked_with_its_signature_in_the_query_encoded_once(other: Receiver) -> None:
    other.say = lambda asked: answer(200, {"errcode": 0, "errmsg": "ok"})
    assert (await bot(other, DingTalkDialect("SECtest")).send([notice()])).fate is Fate.SENT
    (asked,) = other.asked
    assert asked.target.endswith("&timestamp=1700000000000&sign=aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D")
    assert dict(parse_qsl(urlsplit(asked.target).query))["access_token"] == "x"
    assert asked.said["msgtype"] == "text"
    assert "强行开门" in asked.said["text"]["content"]


async def test_feishu_is_asked_with_its_signature_in_the_body_in_seconds(other: Receiver) -> None:
    other.say = lambda asked: answer(200, {"code": 0, "msg": "success"})
    assert (await bot(other, FeishuDialect("SECtest"), "/open-apis/bot/v2/hook/x").send([notice()])).fate is Fate.SENT
    (asked,) = other.asked
    assert (asked.said["timestamp"], asked.said["sign"]) == ("1700000000", "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk=")
    assert asked.said["msg_type"] == "text"


async def test_wecom_is_asked_without_a_signature_and_within_its_size(other: Receiver) -> None:
    other.say = lambda asked: answer(200, {"errcode": 0, "errmsg": "ok"})
    many = [notice(numbered(seq)) for seq in range(100)]
    assert (await bot(other, WeComDialect(), "/cgi-bin/webhook/send?key=x").send(many)).fate is Fate.SENT
    (asked,) = other.asked
    assert len(asked.said["text"]["content"].encode()) <= 2048
    assert asked.said["text"]["content"].startswith("100 条告警")


@pytest.mark.parametrize(
    ("dialect", "said", "fate", "rest_s"),
    [
        (DingTalkDialect("s"), {"errcode": 310000, "errmsg": "sign not match"}, Fate.FAILED, 0),
        (DingTalkDialect("s"), {"errcode": 130101, "errmsg": "send too fast"}, Fate.ENOUGH, 600),
        (DingTalkDialect("s"), {"errcode": "0"}, Fate.FAILED, 0),
        (DingTalkDialect("s"), {"errcode": False}, Fate.FAILED, 0),
        (DingTalkDialect("s"), {"code": 0}, Fate.FAILED, 0),
        (DingTalkDialect("s"), [], Fate.FAILED, 0),
        (DingTalkDialect("s"), b"<html>", Fate.FAILED, 0),
        (DingTalkDialect("s"), b"", Fate.FAILED, 0),
        (DingTalkDialect("s"), b"\xff\xfe\x00", Fate.FAILED, 0),
        (FeishuDialect("s"), {"code": 19021, "msg": "sign match fail"}, Fate.FAILED, 0),
        (FeishuDialect("s"), {"code": 11232, "msg": "frequency limited"}, Fate.ENOUGH, 60),
        (WeComDialect(), {"errcode": 93000, "errmsg": "invalid webhook url"}, Fate.FAILED, 0),
        (WeComDialect(), {"errcode": 45009, "errmsg": "api freq out of limit"}, Fate.ENOUGH, 60),
    ],
)
async def test_200_is_no_success_until_the_robot_says_so(
    other: Receiver, dialect: Dialect, said: object, fate: Fate, rest_s: float
) -> None:
    other.say = lambda asked: answer(200, said)
    verdict = await bot(other, dialect).send([notice()])
    assert (verdict.fate, verdict.rest_s) == (fate, rest_s)
    assert "access_token" not in verdict.reason


async def test_feishu_says_too_many_with_http_400_and_a_zero_with_another_status_is_no_success(other: Receiver) -> None:
    other.say = lambda asked: answer(400, {"code": 9499, "msg": "too many request"})
    assert (await bot(other, FeishuDialect("")).send([notice()])).fate is Fate.ENOUGH
    other.say = lambda asked: answer(500, {"code": 0})
    assert (await bot(other, FeishuDialect("")).send([notice()])).fate is Fate.FAILED


def mail(port: int, *to: str) -> MailSender:

    target = Mail(host="127.0.0.1", sender="linli@example.org", to=to or ("a@example.org",), tls="none", port=port)
    return MailSender(target, "", ssl.create_default_context(), lambda: NOW, ThreadPoolExecutor(1))


async def test_a_mail_says_it_in_chinese_with_an_id_that_is_the_same_at_every_try() -> None:
    async with mailbox() as box:
        for _ in range(2):
            assert (await mail(box.port, "a@example.org", "b@example.org").send([notice()])).fate is Fate.SENT
        first, second = (email.message_from_bytes(one, policy=email.policy.default) for one in box.mails)
    assert first["Subject"] == "[红色告警] 强行开门 Door forced 发生"
    assert first["To"] == "a@example.org, b@example.org"
    assert first["Message-ID"] == second["Message-ID"]
    assert "请立即到场查看" in first.get_content()


async def test_many_alerts_are_one_mail() -> None:
    async with mailbox() as box:
        many = [notice(numbered(seq)) for seq in range(3)] + [notice(changed(colour=Colour.BLUE))]
        assert (await mail(box.port).send(many)).fate is Fate.SENT
        (one,) = box.mails
    assert email.message_from_bytes(one, policy=email.policy.default)["Subject"] == "[黄色告警] 4 条告警 / 4 alerts"


async def test_a_mail_server_that_refuses_or_is_away_is_a_failure_and_one_recipient_too_few_is_said() -> None:
    async with mailbox() as box:
        box.refuses = {"a@example.org"}
        assert await mail(box.port).send([notice()]) == Verdict(Fate.FAILED, "the mail server refuses every recipient")
        both = await mail(box.port, "a@example.org", "b@example.org").send([notice()])
        assert both == Verdict(Fate.SENT, "1 of 2 recipients refused")
        box.greeting = b"554 no service\r\n"
        assert await mail(box.port).send([notice()]) == Verdict(Fate.FAILED, "the mail server answered 554")
    assert (await mail(1).send([notice()])).fate is Fate.FAILED


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate of its own for ``name``, which stands in ``folder``."""
    words = shlex.split("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem -out cert.pem")
    words += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return secure


@pytest.mark.parametrize(
    ("name", "fate"), [("platform.test", Fate.SENT), ("other.test", Fate.FAILED), ("127.0.0.1", Fate.FAILED)]
)
async def test_over_tls_the_receiver_is_known_by_its_name_though_an_address_is_reached(
    tmp_path: Path, name: str, fate: Fate
) -> None:
    async with receiver(certificate(tmp_path, name)) as other:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        through = Poster((OnSite("127.0.0.1/32", (other.port,)),), Names(["127.0.0.1"]), trusting)
        url = parse(f"https://platform.test:{other.port}/")
        sender = WebhookSender(through, url, lambda: [SECRET], "/linli", lambda: NOW, full=False)
        assert (await sender.send([notice()])).fate is fate
        assert len(other.asked) == (fate is Fate.SENT)


async def test_a_receiver_whose_authority_nobody_knows_gets_nothing(tmp_path: Path) -> None:
    async with receiver(certificate(tmp_path, "platform.test")) as other:
        url = parse(f"https://platform.test:{other.port}/")
        sender = WebhookSender(poster(other.port), url, lambda: [SECRET], "/linli", lambda: NOW, full=False)
        assert (await sender.send([notice()])).fate is Fate.FAILED
        assert not other.asked
