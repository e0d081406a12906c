"""Whether little or much comes is told by this second and the one before."""

from ingest.mqtt.pace import Pace


def test_messages_of_one_second_add_up() -> None:
    pace = Pace()
    assert [pace.a_second(3, 7.0), pace.a_second(2, 7.9)] == [3, 5]


def test_a_second_that_has_just_begun_does_not_hide_what_came_in_the_one_before() -> None:
    pace = Pace()
    pace.a_second(800, 7.5)
    assert pace.a_second(1, 8.0) == 800
    assert pace.a_second(900, 8.5) == 901


def test_after_a_second_without_any_what_came_before_is_forgotten() -> None:
    pace = Pace()
    pace.a_second(800, 7.5)
    assert pace.a_second(1, 9.0) == 1
    assert pace.a_second(1, 10.0) == 1
