"""What a receiver checks a message by: Standard Webhooks, and the bots of DingTalk and Feishu, which are not alike. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64


def webhook_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a file, one a line, newest first; all of them sign while one takes the place of another.

    Raises ``ValueError`` without repeating what it read.
    """
    found = []
    for number, line in enumerate(text.split(), 1):
        try:
            secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(f"secret {number} is not base64") from error
        if not SHORTEST <= len(secret) <= LONGEST:
            raise ValueError(f"secret {number} has {len(secret)} bytes, not {SHORTEST} to {LONGEST}")
        found.append(secret)
    if not found:
        raise ValueError("it holds no secret")
    return tuple(found)


def webhook(secrets: Sequence[bytes], id: str, timestamp_s: int, body: bytes) -> str:
    """The header ``webhook-signature``."""
    signed = f"{id}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{_base64(hmac.digest(secret, signed, hashlib.sha256))}" for secret in secrets)


def dingtalk(secret: str, timestamp_ms: int) -> str:
    """The query parameter ``sign``: the secret is the key, the text is signed, and it is URL-encoded once."""
    return quote(_base64(hmac.digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)), safe="")


def feishu(secret: str, timestamp_s: int) -> str:
    """The body's ``sign``: the text is the key, and nothing is signed."""
    return _base64(hmac.digest(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256))


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
