"""Mail over SMTP, in a thread: one connection for a message, everything with a limit.

``Message-ID`` is made of the notifications it tells of, so that a mail sent twice can be known for one.
"""

import asyncio
import hashlib
import smtplib
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

from ingest.notify.outbox import Notice
from ingest.notify.targets import Mail
from ingest.notify.verdict import SENT, Verdict, failed
from ingest.notify.words import for_persons, subject, together

LIMIT_S = 10.0
MOST = 100
MAX_BYTES = 60_000
_PORTS = {"tls": 465, "starttls": 587, "none": 25}
_START = datetime(1970, 1, 1, tzinfo=UTC)


class MailSender:
    most = MOST

    def __init__(self, target: Mail, password: str, secure: ssl.SSLContext, clock: Callable[[], int], threads: Executor) -> None:
        self._target = target
        self._password = password
        self._secure = secure
        self._clock = clock
        self._threads = threads

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        message = compose(self._target, notices, self._clock())
        try:
            refused = await asyncio.get_running_loop().run_in_executor(self._threads, self._deliver, message)
        except smtplib.SMTPResponseException as error:
            return failed(f"the mail server answered {error.smtp_code}")
        except smtplib.SMTPRecipientsRefused:
            return failed("the mail server refuses every recipient")
        except (smtplib.SMTPException, OSError) as error:
            return failed(f"no mail server: {error}"[:200])
        return SENT._replace(reason=f"{refused} of {len(self._target.to)} recipients refused") if refused else SENT

    def _deliver(self, message: EmailMessage) -> int:
        """How many recipients were refused."""
        with self._connected() as server:
            if self._target.user:
                server.login(self._target.user, self._password)
            return len(server.send_message(message))

    def _connected(self) -> smtplib.SMTP:
        target = self._target
        port = target.port or _PORTS[target.tls]
        if target.tls == "tls":
            return smtplib.SMTP_SSL(target.host, port, timeout=LIMIT_S, context=self._secure)
        server = smtplib.SMTP(target.host, port, timeout=LIMIT_S)
        if target.tls == "starttls":
            try:
                server.starttls(context=self._secure)
            except BaseException:
                server.close()
                raise
        return server


def compose(target: Mail, notices: Sequence[Notice], now: int) -> EmailMessage:
    news = [notice.news for notice in notices]
    named = hashlib.sha256("\n".join(notice.message for notice in notices).encode()).hexdigest()[:32]
    message = EmailMessage()
    message["From"] = target.sender
    message["To"] = ", ".join(target.to)
    message["Subject"] = subject(news)
    message["Date"] = _START + timedelta(microseconds=now)
    message["Message-ID"] = f"<{named}@{target.sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(together(news, for_persons, MAX_BYTES))
    return message
