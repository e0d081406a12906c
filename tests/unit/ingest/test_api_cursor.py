import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.api import cursor
from ingest.paging import Cursor
from telemetry.reading import EARLIEST, LATEST


@given(st.integers(EARLIEST, LATEST), st.text("0123456789abcdef", min_size=1, max_size=64))
def test_write_and_read_are_inverse(at: int, id_: str) -> None:
    assert cursor.read(cursor.write(Cursor(at, id_))) == Cursor(at, id_)


@given(st.text() | st.binary().map(lambda body: body.decode("latin-1")))
def test_anything_else_is_refused_as_such(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of this API"):
        cursor.read(text)
