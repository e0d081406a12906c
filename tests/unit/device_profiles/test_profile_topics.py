"""A topic filter matches level by level."""

import pytest

from device_profiles.topics import matches


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
