import base64

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.api import cursor
from ingest.paging import Cursor
from telemetry.reading import EARLIEST, LATEST

MINE, THEIRS = "a" * 64, "b" * 64
CURSORS = st.builds(Cursor, st.integers(EARLIEST, LATEST), st.text("0123456789abcdef", min_size=1, max_size=64))


@given(CURSORS)
def test_write_and_read_are_inverse(there: Cursor) -> None:
    assert cursor.read(cursor.write(there, "alerts", MINE), "alerts", MINE) == there
    assert cursor.read(None, "alerts", MINE) is None


def refused(text: str, of: str = "alerts", whose: str = MINE) -> None:
    with pytest.raises(RequestValidationError) as found:
        cursor.read(text, of, whose, "body.cursor")
    (fault,) = found.value.errors()
    assert fault["loc"] == ("body", "cursor")


@given(st.text() | st.binary().map(lambda body: body.decode("latin-1")))
def test_what_is_none_is_refused(text: str) -> None:
    refused(text)


@given(CURSORS)
def test_one_of_another_list_or_token_is_refused(there: Cursor) -> None:
    given_ = cursor.write(there, "alerts", MINE)
    refused(given_, of="work-orders")
    refused(given_, whose=THEIRS)


@given(CURSORS, st.integers(0), st.sampled_from(b"0123456789abcdef."))
def test_one_that_was_altered_is_refused(there: Cursor, place: int, byte: int) -> None:
    given_ = cursor.write(there, "alerts", MINE)
    body = bytearray(base64.urlsafe_b64decode(given_ + "=" * (-len(given_) % 4)))
    assume(body[place % len(body)] != byte)
    body[place % len(body)] = byte
    refused(base64.urlsafe_b64encode(body).decode().rstrip("="))
