"""How fast gateways may make up for an outage."""

import pytest

from ingest.credit import LEAST, MUCH, Credit


def test_it_halves_while_much_waits_and_comes_back_slowly() -> None:
    credit = Credit(50.0)
    credit.advance(MUCH + 0.01)
    assert credit.batches_s == 25.0
    credit.advance(MUCH)
    assert credit.batches_s == pytest.approx(27.5)


def test_it_is_never_above_its_limit_and_never_nothing() -> None:
    credit = Credit(50.0)
    credit.advance(0.0)
    assert credit.batches_s == 50.0
    for _ in range(100):
        credit.advance(1.0)
    assert credit.batches_s == LEAST


def test_a_city_that_comes_back_at_once_can_be_held_to_fifty_batches_a_second() -> None:
    credit = Credit(2.0)
    for _ in range(20):
        credit.advance(1.0)
    assert 2_200 * credit.batches_s < 50
