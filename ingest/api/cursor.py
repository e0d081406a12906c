"""Cursors as clients carry them: opaque text, checked when it comes back.

1. ``write`` and ``read`` are inverse, for the same token and the same list.
2. Anything else is refused: what was altered or made up, what another token was given, what belongs to another list.
"""

import base64
import hmac
import re

from ingest.api.faults import malformed
from ingest.paging import Cursor
from telemetry.presence import Words

_TEXT = re.compile(r"([0-9]{16})\.([0-9A-Za-z_-]{1,64})\.([0-9a-f]{16})")

NOT_OURS = Words(
    "不是此列表给该令牌的游标，请原样使用 'next'",
    "it is no cursor that this list gave to this token; take the one in 'next' as it is",
)


def write(cursor: Cursor, of: str, whose: str) -> str:
    """What the token with the digest ``whose`` goes on with in the list ``of``."""
    place = f"{cursor.at}.{cursor.id}"
    return base64.urlsafe_b64encode(f"{place}.{_sealed(place, of, whose)}".encode()).decode().rstrip("=")


def read(text: str | None, of: str, whose: str, where: str = "query.cursor") -> Cursor | None:
    """Where to go on; ``None`` from the start. Raises ``RequestValidationError`` at ``where`` for a cursor that we never gave."""
    if text is None:
        return None
    try:
        found = _TEXT.fullmatch(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii"))
    except ValueError:
        found = None
    if found is None or not hmac.compare_digest(found[3], _sealed(f"{found[1]}.{found[2]}", of, whose)):
        raise malformed(where, NOT_OURS)
    return Cursor(int(found[1]), found[2])


def _sealed(place: str, of: str, whose: str) -> str:
    return hmac.digest(whose.encode(), f"{of} {place}".encode(), "sha256").hex()[:16]
