"""钉钉, 飞书 and 企业微信 group robots.

Each answers HTTP 200 also to what it rejects; only the code in the body says whether the group has read it. The texts are
for groups: place and kind (``words.for_group``). What each wants and says is pure, in the three classes below.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from ingest import address
from ingest.address import Url
from ingest.notify import signature
from ingest.notify.allowance import Limit
from ingest.notify.outbox import Notice
from ingest.notify.post import Answer, NoAnswer, Poster
from ingest.notify.verdict import SENT, Fate, Verdict, failed
from ingest.notify.words import for_group, together

MOST = 100
_MINUTE_US = 60_000_000
_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class Letter(NamedTuple):
    """What is posted."""

    url: Url
    body: Mapping[str, Any]


class Dialect(Protocol):
    """One kind of robot: how much it takes, how it is written to, what its answers mean."""

    @property
    def most_bytes(self) -> int:
        """Of a text."""

    @property
    def limits(self) -> Sequence[Limit]: ...

    def letter(self, url: Url, text: str, now: int) -> Letter: ...

    def judge(self, answer: Answer) -> Verdict: ...


class DingTalkDialect:
    """20 messages a minute, then it is deaf for ten; the signature stands in the query."""

    most_bytes = 15_000
    limits = (Limit(20, _MINUTE_US, reserve=5),)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def letter(self, url: Url, text: str, now: int) -> Letter:
        if self._secret:
            stamp = now // 1000
            signed = f"timestamp={stamp}&sign={signature.dingtalk(self._secret, stamp)}"
            url = url._replace(path=f"{url.path}{'&' if '?' in url.path else '?'}{signed}")
        return Letter(url, {"msgtype": "text", "text": {"content": text}})

    def judge(self, answer: Answer) -> Verdict:
        return _judged(answer, "errcode", "errmsg", enough={130101: 600.0})


class FeishuDialect:
    """100 messages a minute and 5 a second; the signature stands in the body."""

    most_bytes = 15_000
    limits = (Limit(100, _MINUTE_US, reserve=25), Limit(5, 1_000_000, reserve=1))

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def letter(self, url: Url, text: str, now: int) -> Letter:
        body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
        if self._secret:
            stamp = now // 1_000_000
            body |= {"timestamp": str(stamp), "sign": signature.feishu(self._secret, stamp)}
        return Letter(url, body)

    def judge(self, answer: Answer) -> Verdict:
        return _judged(answer, "code", "msg", enough={9499: 60.0, 11232: 60.0})


class WeComDialect:
    """20 messages a minute, 2048 bytes of text."""

    most_bytes = 2_048
    limits = (Limit(20, _MINUTE_US, reserve=5),)

    def letter(self, url: Url, text: str, now: int) -> Letter:
        return Letter(url, {"msgtype": "text", "text": {"content": text}})

    def judge(self, answer: Answer) -> Verdict:
        return _judged(answer, "errcode", "errmsg", enough={45009: 60.0})


class BotSender:
    most = MOST

    def __init__(self, poster: Poster, dialect: Dialect, url: Url, clock: Callable[[], int]) -> None:
        self._poster = poster
        self._dialect = dialect
        self._url = url
        self._clock = clock

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        text = together([notice.news for notice in notices], for_group, self._dialect.most_bytes)
        try:
            letter = self._dialect.letter(self._url, text, self._clock())
            answer = await self._poster.post(letter.url, msgspec.json.encode(letter.body), _HEADERS, read=True)
        except (NoAnswer, address.Refused) as error:
            return failed(str(error))
        return self._dialect.judge(answer)


def _judged(answer: Answer, code_key: str, words_key: str, enough: Mapping[int, float]) -> Verdict:
    """A success is HTTP 200 and the code 0; nothing else is."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    code = said.get(code_key) if isinstance(said, dict) else None
    if isinstance(code, bool) or not isinstance(code, int):
        return failed(f"HTTP {answer.status} without a code of the robot")
    words = f"HTTP {answer.status}, code {code}: {str(said.get(words_key, ''))[:120]}"
    if code in enough:
        return Verdict(Fate.ENOUGH, words, enough[code])
    return SENT if answer.status == 200 and code == 0 else failed(words)
