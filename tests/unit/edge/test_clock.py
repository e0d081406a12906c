"""The gateway's clock: known when somebody vouches for it, and never thrown about by one that nobody does."""

import pytest

from edge.clock import REDATE_US, WORDS, Clock, Stamp, correction_of

S = 1_000_000
TRUE = 1_700_000_000 * S


class Board:
    """A board whose wall clock is ``off`` by so much; ``held``: a time service holds it."""

    def __init__(self, off: int = 0, held: bool | None = False) -> None:
        self.uptime = 40 * S
        self.off = off
        self.held = held

    @property
    def true(self) -> int:
        return TRUE + self.uptime

    def clock(self, floor: int = 0) -> Clock:
        return Clock(
            floor, boot="b", wall=lambda: self.true + self.off, monotonic=lambda: self.uptime, synchronised=lambda: self.held
        )

    def passes(self, seconds: float) -> None:
        self.uptime += int(seconds * S)


def test_a_kernel_that_a_time_service_holds_is_known_and_followed() -> None:
    board = Board(held=True)
    clock = board.clock()
    assert clock.stamp().known
    board.passes(5)
    board.off = 3 * S  # the service steps it
    board.passes(2)
    assert clock.utc() == board.true + 3 * S


@pytest.mark.parametrize("held", [False, None])
def test_without_a_time_service_the_first_word_of_the_centre_makes_it_known(held: bool | None) -> None:
    board = Board(off=S, held=held)
    clock = board.clock()
    assert not clock.stamp().known
    assert clock.hear(board.true) == -1.0
    assert clock.stamp().known
    assert clock.utc() == board.true + S  # within what two clocks may differ by


def test_the_centre_corrects_a_clock_that_is_far_off() -> None:
    board = Board(off=-7200 * S)
    clock = board.clock()
    assert clock.hear(board.true) == 7200.0
    assert clock.utc() == board.true
    board.passes(3600)
    assert clock.utc() == board.true


def test_the_centre_does_not_correct_what_a_time_service_holds() -> None:
    board = Board(held=True)
    clock = board.clock()
    assert clock.hear(board.true + 60 * S) == 60.0
    assert clock.utc() == board.true


def test_a_board_without_a_battery_goes_on_from_its_newest_reading() -> None:
    board = Board(off=-TRUE)  # 1970
    clock = board.clock(floor=TRUE - 3600 * S)
    assert clock.utc() == TRUE - 3600 * S
    board.passes(10)
    assert clock.utc() == TRUE - 3590 * S
    assert not clock.known


def test_a_clock_that_is_set_before_anybody_vouches_is_followed_and_stays_unknown() -> None:
    board = Board(off=-TRUE)
    clock = board.clock(floor=TRUE - 3600 * S)
    board.off = 0
    board.passes(2)
    assert clock.utc() == board.true
    assert not clock.known


@pytest.mark.parametrize("jump_s", [3600, -7200, -1_700_000_000])
def test_once_known_a_wall_clock_that_jumps_changes_nothing(jump_s: int) -> None:
    board = Board()
    clock = board.clock()
    clock.hear(board.true)
    board.off = jump_s * S
    board.passes(2)
    assert clock.utc() == board.true
    assert clock.known
    board.passes(100)
    assert clock.utc() == board.true


def test_a_clock_that_is_slewed_is_followed() -> None:
    board = Board()
    clock = board.clock()
    clock.hear(board.true)
    for _ in range(10):
        board.off += S // 2
        board.passes(2)
        clock.utc()
    assert clock.utc() == board.true + 5 * S


def test_words_of_the_centre_that_come_late_or_again_do_not_put_it_back() -> None:
    board = Board()
    clock = board.clock()
    clock.hear(board.true)
    old = board.true
    for _ in range(3):
        board.passes(60)
        clock.hear(old)
        clock.hear(board.true)
        assert clock.utc() == board.true


def test_a_clock_that_ran_ahead_is_put_back_when_all_words_say_so() -> None:
    board = Board(off=3600 * S)
    clock = board.clock()
    clock.hear(board.true + 3600 * S)  # the centre was wrong too
    for n in range(WORDS):
        board.passes(10)
        clock.hear(board.true)
        assert clock.utc() == board.true + (3600 * S if n < WORDS - 1 else 0)


def test_a_first_word_that_may_have_been_long_on_its_way_does_not_put_a_clock_back_by_as_much() -> None:
    board = Board(off=S)
    clock = board.clock()
    word = board.true
    board.passes(5)
    clock.hear(word, late_us=5 * S)
    assert clock.known
    assert clock.utc() == board.true + S


@pytest.mark.parametrize(("ahead_s", "late_s"), [(8, 5), (60, 3600)])
def test_a_clock_that_is_further_ahead_than_a_word_can_be_late_is_put_back(ahead_s: int, late_s: int) -> None:
    board = Board(off=ahead_s * S)
    clock = board.clock()
    clock.hear(board.true, late_us=late_s * S)
    assert clock.known
    assert clock.utc() == board.true


def test_words_in_a_row_put_back_what_the_first_left_because_it_might_have_been_late() -> None:
    board = Board(off=4 * S)
    clock = board.clock()
    for n in range(WORDS):
        clock.hear(board.true, late_us=5 * S)
        assert clock.utc() == board.true + (4 * S if n < WORDS - 1 else 0)
        board.passes(10)


def test_instants_of_an_unknown_clock_can_be_dated_anew_within_one_boot_only() -> None:
    stamped, now = Stamp("b", TRUE - 50 * S, False), Stamp("b", TRUE, True)
    assert correction_of(stamped, now) == 50 * S
    assert correction_of(stamped, now._replace(boot="c")) is None
    assert correction_of(stamped, now._replace(known=False)) is None
    assert correction_of(stamped._replace(known=True), now) == 0
    assert correction_of(stamped._replace(base=TRUE - REDATE_US + 1), now) == 0
    assert correction_of(stamped._replace(base=TRUE - REDATE_US), now) == REDATE_US
