"""A topic filter matches level by level."""

import pytest

from device_profiles import load_library
from device_profiles.topics import address_faults, matches


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/B", False),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("+/b", "a/c", False),
        ("+/+", "a/b\n", True),
        ("a/+/c", "a/+/c", True),
        ("a.c/+", "abc/d", False),
    ],
)
def test_a_plus_is_any_one_level_and_everything_else_itself(topic_filter: str, topic: str, fits: bool) -> None:
    assert matches(topic_filter, topic) is fits


@pytest.mark.parametrize(
    ("parameters", "faults"),
    [
        ({"sn": "0f1e"}, {}),
        ({"sn": "0f1e", "way": "in"}, {}),
        ({"way": "out"}, {"sn": "is missing"}),
        ({"sn": "0f1e", "lane": "3"}, {"lane": "is no parameter of vzenith-mqtt"}),
        ({"sn": "0f1e", "way": "inn"}, {"way": "'inn' is no direction"}),
    ],
)
def test_what_an_address_says_of_a_value_is_checked_and_may_be_left_out(
    parameters: dict[str, str], faults: dict[str, str]
) -> None:
    assert address_faults(load_library().profiles["vzenith-mqtt"], parameters) == faults
