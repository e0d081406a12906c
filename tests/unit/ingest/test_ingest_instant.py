import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import instant
from telemetry.reading import EARLIEST, LATEST


@given(st.integers(EARLIEST, LATEST))
def test_text_and_parse_are_inverse(at: int) -> None:
    assert instant.parse(instant.text(at)) == at


def test_text_is_rfc_3339_in_utc_with_microseconds() -> None:
    assert instant.text(1_795_420_800_123_456) == "2026-11-23T08:00:00.123456Z"
    assert instant.text(1_795_420_800_000_000) == "2026-11-23T08:00:00.000000Z"


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-23T08:00:00Z",
        "2026-11-23T16:00:00+08:00",
        "2026-11-23T16:00:00 08:00",  # a plus that a query made a blank
        "2026-11-23T16:00:00.000 0800",
        "1795420800000000",
    ],
)
def test_one_instant_can_be_written_several_ways(written: str) -> None:
    assert instant.parse(written) == 1_795_420_800_000_000


@pytest.mark.parametrize(
    "written",
    [
        "",
        "now",
        "2026-11-23T08:00:00",
        "2026-11-23",
        "1795420800",
        "1795420800000",
        "17954208000000001",
        "１７９５４２０８００００００００",
    ],
)
def test_an_instant_without_an_offset_or_of_another_unit_is_refused_with_the_cure(written: str) -> None:
    with pytest.raises(ValueError, match="is not an instant; write 2026"):
        instant.parse(written)


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_the_ends_of_the_calendar_are_no_crash(written: str) -> None:
    try:
        assert isinstance(instant.parse(written), int)
    except ValueError as error:
        assert "is not an instant" in str(error)
