"""Plates of mainland China, as cameras tell them."""

import pytest

from device_profiles.plates import clean


@pytest.mark.parametrize(
    ("told", "plate"),
    [
        ("京A12345", "京A12345"),
        ("京AD12345", "京AD12345"),
        ("京A12345D", "京A12345D"),
        ("蓝京A12345", "京A12345"),
        ("绿京AD12345", "京AD12345"),
        ("黄沪BK0001挂", "沪BK0001挂"),
        ("黑A12345", "黑A12345"),
        ("黑AD12345", "黑AD12345"),  # new energy of Heilongjiang: eight characters, and the first is a colour too
        ("黑黑A12345", "黑A12345"),
        ("京A·12345", "京A12345"),
        (" 京a-１２３４５ ", "京A12345"),
        ("_无_", ""),
        ("无车牌", ""),
        ("unknown", ""),
        ("", ""),
        ("蓝", "蓝"),
    ],
)
def test_a_plate_has_one_spelling(told: str, plate: str) -> None:
    assert clean(told) == plate
