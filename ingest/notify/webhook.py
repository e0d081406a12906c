"""Webhooks: CloudEvents with Standard Webhooks signatures. Any 2xx is a success, 410 ends it for good."""

from collections.abc import Callable, Sequence

from ingest import address
from ingest.address import Url
from ingest.notify import signature
from ingest.notify.envelope import CONTENT_TYPE, cloud_event
from ingest.notify.outbox import Notice
from ingest.notify.post import NoAnswer, Poster
from ingest.notify.verdict import SENT, Fate, Verdict, failed

MAX_REST_S = 3600.0


class WebhookSender:
    """``secrets`` are asked anew at every try, so that they can be exchanged while the centre runs."""

    most = 1

    def __init__(
        self,
        poster: Poster,
        url: Url,
        secrets: Callable[[], Sequence[bytes]],
        source: str,
        clock: Callable[[], int],
        *,
        full: bool,
    ) -> None:
        self._poster = poster
        self._url = url
        self._secrets = secrets
        self._source = source
        self._clock = clock
        self._full = full

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        (notice,) = notices
        body = cloud_event(notice, self._source, full=self._full)
        now_s = self._clock() // 1_000_000
        secrets = self._secrets()
        if not secrets:
            return failed("the file of secrets is gone")
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": notice.message,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature.webhook(secrets, notice.message, now_s, body),
        }
        try:
            answer = await self._poster.post(self._url, body, headers, read=False)
        except (NoAnswer, address.Refused) as error:
            return failed(str(error))
        return judged(answer.status, answer.headers.get("retry-after", ""))


def judged(status: int, retry_after: str) -> Verdict:
    """A redirect is a failure: where it leads was not checked."""
    if 200 <= status < 300:
        return SENT
    if status == 410:
        return Verdict(Fate.GONE, "the receiver answered 410: it wants nothing more")
    if status in (429, 503) and retry_after.isascii() and retry_after.isdigit():
        return Verdict(Fate.ENOUGH, f"the receiver answered {status}", min(float(retry_after[:9]), MAX_REST_S))
    return failed(f"the receiver answered {status}")
