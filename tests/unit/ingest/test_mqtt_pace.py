"""Whether little or much comes is told by this second and the one before."""

import pytest

from ingest.mqtt.pace import FEW_A_SECOND, MANY, MUCH, Pace


def test_messages_of_one_second_add_up() -> None:
    pace = Pace()
    assert [pace.is_slow(1, 100, 7 + n / FEW_A_SECOND) for n in range(FEW_A_SECOND)] == [True] * (FEW_A_SECOND - 1) + [False]


def test_a_second_that_has_just_begun_does_not_hide_what_came_in_the_one_before() -> None:
    pace = Pace()
    for n in range(FEW_A_SECOND):
        pace.is_slow(1, 100, 7 + n / FEW_A_SECOND)
    assert not pace.is_slow(1, 100, 8.0)
    assert pace.is_slow(1, 100, 9.0)


def test_after_a_second_without_any_what_came_before_is_forgotten() -> None:
    pace = Pace()
    pace.is_slow(MANY, 100, 7.5)
    assert pace.is_slow(1, 100, 9.0)


@pytest.mark.parametrize(("came", "size"), [(MANY, 100), (1, MUCH)])
def test_a_sender_that_waits_for_us_is_not_held_up_by_a_rest(came: int, size: int) -> None:
    pace = Pace()
    assert pace.is_slow(MANY - 1, MUCH - 1, 7.0)
    assert not pace.is_slow(came, size, 7.1)
    assert not pace.is_slow(1, 100, 7.2)
    assert not pace.is_slow(1, 100, 8.9)
    assert pace.is_slow(1, 100, 9.1)
