"""Whoever reaches the broker must not be able to fill the journal with names of gateways."""

from structlog.testing import capture_logs

from ingest.strangers import EVERY_US, MAX_NAMED, MAX_WAITING, NAMED, Strangers
from telemetry.identity import GatewayRef
from telemetry.reading import Micros

T0 = 1_700_000_000_000_000


def ref(number: int) -> GatewayRef:
    return GatewayRef("411202002001", f"gw-{number}")


class Journal:
    """What is said, as (count, names)."""

    def __init__(self) -> None:
        self._strangers = Strangers()

    def hear(self, at: int, *numbers: int) -> list[tuple[int, list[str]]]:
        with capture_logs() as lines:
            for number in numbers:
                self._strangers.heard(ref(number), Micros(at))
        return [(line["count"], line["gateways"]) for line in lines]


def names(*numbers: int) -> list[str]:
    return [str(ref(number)) for number in numbers]


def test_the_first_is_told_at_once_and_the_others_together_after_a_minute() -> None:
    journal = Journal()
    assert journal.hear(T0, 1) == [(1, names(1))]
    assert journal.hear(T0 + EVERY_US - 1, 2, 3, 2) == []
    assert journal.hear(T0 + EVERY_US, 1) == [(2, names(2, 3))]


def test_one_that_was_named_is_not_told_again() -> None:
    journal = Journal()
    journal.hear(T0, 1)
    assert journal.hear(T0 + 9 * EVERY_US, 1, 1) == []


def test_one_that_was_only_counted_is_named_when_it_comes_again() -> None:
    journal = Journal()
    journal.hear(T0, 0)
    journal.hear(T0 + 1, *range(1, NAMED + 2))
    assert journal.hear(T0 + EVERY_US, 0) == [(NAMED + 1, names(*range(1, NAMED + 1)))]
    assert journal.hear(T0 + 2 * EVERY_US, NAMED + 1) == [(1, names(NAMED + 1))]


def test_a_clock_that_stepped_back_keeps_nothing_untold() -> None:
    journal = Journal()
    journal.hear(T0, 1)
    assert journal.hear(T0 - EVERY_US * 1_440, 2) == [(1, names(2))]


def test_what_is_remembered_is_bounded() -> None:
    journal = Journal()
    journal.hear(T0, *range(MAX_WAITING + 2))
    assert journal.hear(T0 + EVERY_US, 0) == [(MAX_WAITING, names(*range(1, NAMED + 1)))]
    for minute in range(2, MAX_NAMED // NAMED + 9):
        journal.hear(T0 + minute * EVERY_US, *range(MAX_WAITING + minute * NAMED, MAX_WAITING + (minute + 1) * NAMED))
    assert journal.hear(T0 + 10**6 * EVERY_US, 0, 10**6) == []
