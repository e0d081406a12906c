"""Channels that Linli does not speak itself, by way of apprise (``linli[apprise]``), each message in a process of its own.

1. What is said is what a group may read: where it ends is not known here.
2. Whether it arrived is not known either: apprise looks at the HTTP status alone, so what a robot rejects with a 200 counts as
   sent. For 钉钉, 飞书 and 企业微信 use their own targets, which read the answer.
3. It reaches no address that a webhook would not (``ingest.apprise_program``), but on any port of the public ones.
4. It ends within ``LIMIT_S``: the process is killed, whatever hangs in it.
"""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from ingest.address import OnSite
from ingest.apprise_program import Errand, Outcome
from ingest.notify.outbox import Notice
from ingest.notify.verdict import SENT, Verdict, failed
from ingest.notify.words import for_group, together

MOST = 100
MAX_BYTES = 2_000
LIMIT_S = 30.0
PROGRAM = (sys.executable, "-P", "-W", "ignore", "-m", "ingest.apprise_program")
_ITS_OWN = ("PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Of the environment: neither our secrets nor a proxy, which would connect where we do not look."""


def is_installed() -> bool:
    return find_spec("apprise") is not None


def is_channel(url: str) -> bool:
    """Whether apprise knows a way there."""
    errand, environment = _written(Errand(url)), _environment()
    try:
        said = subprocess.check_output(PROGRAM, input=errand, stderr=subprocess.DEVNULL, env=environment, timeout=LIMIT_S)  # noqa: S603 - our own program
    except subprocess.SubprocessError:
        return False
    return msgspec.json.decode(said, type=Outcome).known


class AppriseSender:
    most = MOST

    def __init__(self, url: str, on_site: tuple[OnSite, ...]) -> None:
        self._url = url
        self._on_site = on_site

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        text = together([notice.news for notice in notices], for_group, MAX_BYTES)
        try:
            async with asyncio.timeout(LIMIT_S):
                outcome = await _done(Errand(self._url, text, self._on_site))
        except TimeoutError:
            return failed(f"apprise has not ended within {LIMIT_S:g} s")
        if outcome is not None and outcome.refused:
            where = ", ".join(outcome.refused)
            return failed(f"{where}: not a public address; name its network in on_site if it is meant")
        return SENT if outcome is not None and outcome.taken else failed("apprise could not deliver it")


async def _done(errand: Errand) -> Outcome | None:
    """``None`` when the program failed."""
    running = await asyncio.create_subprocess_exec(*PROGRAM, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment())
    try:
        said, _ = await running.communicate(_written(errand))
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return msgspec.json.decode(said, type=Outcome) if running.returncode == 0 else None


def _written(errand: Errand) -> bytes:
    return msgspec.json.encode(errand)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _ITS_OWN if name in os.environ}
