"""Cursors as clients carry them: opaque text, checked when it comes back. ``write`` and ``read`` are inverse."""

import base64
import re

from ingest.paging import Cursor

_TEXT = re.compile("([0-9]{16})\\.([0-9A-Za-z_-]{1,64})")


def write(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(f"{cursor.at}.{cursor.id}".encode()).decode().rstrip("=")


def read(text: str) -> Cursor:
    """Raises ``ValueError`` for a cursor that we never gave."""
    try:
        found = _TEXT.fullmatch(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii"))
    except ValueError:
        found = None
    if found is None:
        raise ValueError("it is not a cursor of this API; take the one in 'next' as it is")
    return Cursor(int(found[1]), found[2])
