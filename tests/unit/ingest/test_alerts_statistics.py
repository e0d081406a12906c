"""What people were told, counted."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.alerts.statistics import FLOOD_ALERTS, FLOOD_MINUTES, flooded


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 6)), max_size=40))
def test_a_minute_is_flooded_when_ten_alerts_came_in_the_ten_up_to_it(some: list[tuple[int, int]]) -> None:
    alerts = dict(some)
    expected = sum(
        sum(count for at, count in alerts.items() if minute - FLOOD_MINUTES < at <= minute) >= FLOOD_ALERTS
        for minute in range(100)
    )
    assert flooded(sorted(alerts.items())) == expected


def test_nine_in_ten_minutes_are_no_flood_and_a_tenth_later_neither() -> None:
    assert flooded([(0, 9)]) == 0
    assert flooded([(0, 9), (10, 1)]) == 0
    assert flooded([(0, 9), (9, 1)]) == 1
    assert flooded([(0, 10)]) == 10
