"""Channels that Linli does not speak itself, by way of apprise (``linli[apprise]``).

1. What is said is what a group may read: where it ends is not known here.
2. Whether it arrived is not known either: apprise looks at the HTTP status alone, so what a robot rejects with a 200 counts as
   sent. For 钉钉, 飞书 and 企业微信 use their own targets, which read the answer.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from types import ModuleType

from ingest.notify.outbox import Notice
from ingest.notify.verdict import SENT, Verdict, failed
from ingest.notify.words import for_group, together

MOST = 100
MAX_BYTES = 2_000
LIMIT_S = 30.0


def installed() -> ModuleType | None:
    """apprise, if it is."""
    try:
        import apprise  # an extra, and it takes its time
    except ImportError:
        return None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would say each try
    return apprise


def is_channel(apprise: ModuleType, url: str) -> bool:
    """Whether apprise knows a way there."""
    return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None


class AppriseSender:
    most = MOST

    def __init__(self, apprise: ModuleType, url: str, threads: Executor) -> None:
        self._channel = apprise.Apprise(asset=apprise.AppriseAsset(storage_mode="memory"))
        self._channel.add(url)
        self._threads = threads

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        text = together([notice.news for notice in notices], for_group, MAX_BYTES)
        posting = partial(self._channel.notify, body=text)
        try:
            async with asyncio.timeout(LIMIT_S):
                taken = await asyncio.get_running_loop().run_in_executor(self._threads, posting)
        except TimeoutError:
            return failed(f"apprise has not ended within {LIMIT_S:g} s")
        return SENT if taken else failed("apprise could not deliver it")
