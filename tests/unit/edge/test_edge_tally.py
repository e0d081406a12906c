"""Lateness by rank, and rates that are told when they are news."""

from edge.tally import LATENESSES_KEPT, REQUESTS_JUDGED, Lateness, Rates, Tally, UnitRates, UnitTally, taken_lateness


def late(*latenesses_s: float) -> Lateness:
    tally = Tally()
    for lateness_s in latenesses_s:
        tally.late(lateness_s)
    return taken_lateness(tally)


def test_the_ninety_ninth_percentile_leaves_one_in_a_hundred_out() -> None:
    assert late(*[0.001] * 99, 5.0) == Lateness(5.0, 0.001)
    assert late(*[0.001] * 98, 4.0, 5.0) == Lateness(5.0, 4.0)
    assert late(0.5) == Lateness(0.5, 0.5)
    assert late() == Lateness(0.0, 0.0)


def test_latenesses_are_of_the_time_since_they_were_taken_and_bounded() -> None:
    tally = Tally()
    tally.late(9.0)
    taken_lateness(tally)
    assert taken_lateness(tally) == Lateness(0.0, 0.0)
    for _ in range(LATENESSES_KEPT * 2):
        tally.late(0.1)
    assert len(tally.latenesses) == LATENESSES_KEPT


def told(rates: UnitRates, tally: UnitTally, requests: int, timeouts: int = 0, damaged: int = 0) -> Rates | None:
    tally.requests += requests
    tally.timeouts += timeouts
    tally.damaged += damaged
    return rates.news({"b3-meter": tally}).get("b3-meter")


def test_of_a_unit_that_never_fails_nothing_is_said() -> None:
    rates, tally = UnitRates(), UnitTally()
    assert [told(rates, tally, 200, timeouts=2) for _ in range(10)] == [None] * 10


def test_a_rate_is_said_when_it_moves_by_five_points_and_when_it_moves_back() -> None:
    rates, tally = UnitRates(), UnitTally()
    assert told(rates, tally, 200, timeouts=10) == Rates(5.0, 0.0)
    assert told(rates, tally, 200, timeouts=18) is None
    assert told(rates, tally, 200, timeouts=18, damaged=40) == Rates(9.0, 20.0)
    assert told(rates, tally, 200) == Rates(0.0, 0.0)
    assert told(rates, tally, 200) is None


def test_a_rate_is_of_many_requests() -> None:
    rates, tally = UnitRates(), UnitTally()
    assert told(rates, tally, REQUESTS_JUDGED - 1, timeouts=REQUESTS_JUDGED - 1) is None
    assert told(rates, tally, 1) == Rates(99.0, 0.0)


def test_a_unit_that_was_replaced_or_left_begins_anew() -> None:
    rates = UnitRates()
    assert told(rates, UnitTally(), 200, timeouts=200) == Rates(100.0, 0.0)
    assert told(rates, UnitTally(), 150, timeouts=150) is None, "as bad as was said"
    assert rates.news({}) == {}
    assert told(rates, UnitTally(), 150, timeouts=150) == Rates(100.0, 0.0)
