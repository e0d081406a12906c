"""Units convert exactly inside their dimension; identifiers are normalised, hashed with a key, and masked."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.metric import METRICS, Kind
from telemetry.privacy import mask, normalise, reference, unnamed
from telemetry.unit import UNITS, conversion, convertible


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (1.234, "m", "mm", 1234.0),
        (98.6, "degF", "degC", 37.0),
        (300.0, "K", "degC", 26.85),
        (1.5, "kW", "W", 1500.0),
        (250.0, "mbar", "kPa", 25.0),
        (60.0, "L/min", "m3/h", 3.6),
    ],
)
def test_known_conversions(value: float, source: str, target: str, expected: float) -> None:
    factor, offset = conversion(source, target)
    assert value * factor + offset == pytest.approx(expected)


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)), st.floats(-1e6, 1e6))
def test_there_and_back_is_the_same_value(source: str, target: str, value: float) -> None:
    if not convertible(source, target):
        with pytest.raises(ValueError, match="cannot convert"):
            conversion(source, target)
        return
    there, back = conversion(source, target), conversion(target, source)
    result = (value * there[0] + there[1]) * back[0] + back[1]
    assert math.isclose(result, value, rel_tol=1e-9, abs_tol=1e-6)


def test_every_metric_has_a_known_unit() -> None:
    assert {metric.unit for kind in Kind for metric in METRICS[kind].values()} <= UNITS.keys()


@pytest.mark.parametrize("spelling", ["京A12345", "京A·12345", "京a 12345", "京Ａ１２３４５", "京A-12345"])
def test_one_plate_has_one_reference_however_it_is_written(spelling: str) -> None:
    assert reference(spelling, b"k" * 32) == reference("京A12345", b"k" * 32)


def test_a_reference_depends_on_the_key() -> None:
    assert reference("京A12345", b"k" * 32) != reference("京A12345", b"j" * 32)


@pytest.mark.parametrize(
    ("identifier", "shown"),
    [("京A12345", "京A·****5"), ("豫MD12345", "豫M·*****5"), ("a1b2c3d4", "A1****D4"), ("12", "**"), ("", "")],
)
def test_what_is_shown_is_masked(identifier: str, shown: str) -> None:
    assert mask(identifier) == shown


@given(st.text(min_size=5, max_size=20))
def test_a_mask_never_shows_the_whole(identifier: str) -> None:
    text = normalise(identifier)
    if len(text) > 4:
        assert mask(identifier).replace("·", "") != text or "*" in text


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("plate", "京A12345", "京A·****5"),
        ("plate", "京A·****5", "京A·****5"),
        ("credential", "a1b2c3d4", "A1****D4"),
        ("credential", "A1****D4", "A1****D4"),
        ("credential", "1234", "****"),
        ("plate_ref", "5f1c9b2e7a3d4c6b8e90", None),
        ("person_ref", "5f1c9b2e7a3d4c6b8e90", None),
        ("disposition", "stolen", "stolen"),
        ("people", 3, 3),
        (None, 90.0, 90.0),
        ("plate", None, None),
    ],
)
def test_a_value_that_is_kept_for_long_names_nobody(metric: str | None, value: object, shown: object) -> None:
    assert unnamed(metric, value) == shown  # type: ignore[arg-type]  # as values come
