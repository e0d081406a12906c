"""When a notification is tried again, how much a channel takes, and when many become one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.alerts import Colour
from ingest.notify.allowance import Allowance, Limit, together
from ingest.notify.patience import MAX_PROBE_US, PROBE_US, RED_PROBE_US, SECOND_US, TRIPS_AT, Breaker, pause_after

MINUTE = 60 * SECOND_US


def pauses(colour: Colour, chance: float = 0.0) -> list[float]:
    found = []
    while (pause := pause_after(len(found) + 1, colour, chance)) is not None:
        found.append(pause / SECOND_US)
    return found


TABLE = [300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


def test_tries_follow_the_table_of_standard_webhooks() -> None:
    assert pauses(Colour.YELLOW) == pauses(Colour.BLUE) == pauses(Colour.ORANGE) == [5, *TABLE]


def test_red_is_tried_five_times_more_within_two_minutes() -> None:
    assert pauses(Colour.RED) == [2, 5, 15, 30, 60, *TABLE]


def test_chance_makes_a_pause_up_to_a_tenth_longer() -> None:
    assert pauses(Colour.YELLOW, 1.0) == pytest.approx([seconds * 1.1 for seconds in pauses(Colour.YELLOW)])


def after(failures: int) -> Breaker:
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.failed(MINUTE)
    return breaker


def test_a_target_that_fails_now_and_then_is_tried_at_once() -> None:
    assert not after(TRIPS_AT - 1).is_open
    assert after(TRIPS_AT - 1).free_at(red_waits=False) == 0


def test_a_dead_target_is_tried_ever_rarer_up_to_a_limit() -> None:
    assert after(TRIPS_AT).free_at(False) == MINUTE + PROBE_US
    assert after(TRIPS_AT + 1).free_at(False) == MINUTE + 2 * PROBE_US
    assert after(1000).free_at(False) == MINUTE + MAX_PROBE_US


def test_while_red_waits_a_dead_target_is_tried_every_ten_seconds() -> None:
    assert after(TRIPS_AT).free_at(True) == after(1000).free_at(True) == MINUTE + RED_PROBE_US


BOT = Limit(20, MINUTE, reserve=5)


@given(
    st.lists(st.tuples(st.integers(0, 20 * SECOND_US), st.booleans()), max_size=120),
    st.lists(st.sampled_from([BOT, Limit(5, SECOND_US, 1), Limit(3, 10 * SECOND_US)]), min_size=1, max_size=2),
)
def test_in_no_window_are_there_more_messages_than_the_limit(asked: list[tuple[int, bool]], limits: list[Limit]) -> None:
    allowance, now, sent, others = Allowance(limits), 0, [], []
    for step, red in asked:
        now += step
        if allowance.left(now, red):
            assert allowance.frees_at(now, red) == now
            allowance.note(now)
            sent.append(now)
            if not red:
                others.append(now)
        else:
            assert allowance.frees_at(now, red) > now
            assert allowance.left(allowance.frees_at(now, red), red)
    for limit in limits:
        for end in sent:
            assert sum(end - limit.within_us < at <= end for at in sent) <= limit.most
        for end in others:
            assert sum(end - limit.within_us < at <= end for at in others) <= limit.most - limit.reserve


def test_the_reserve_is_for_red_alone() -> None:
    allowance = Allowance([BOT])
    for _ in range(15):
        allowance.note(MINUTE)
    assert allowance.left(MINUTE, red=False) == 0
    assert allowance.left(MINUTE, red=True) == 5


def test_a_restart_opens_no_second_allowance() -> None:
    assert Allowance([BOT], sent=[MINUTE] * 20).left(MINUTE + 1, red=True) == 0
    assert Allowance([BOT], sent=[MINUTE] * 20).left(2 * MINUTE, red=True) == 20


def test_a_channel_that_has_had_enough_gets_nothing_not_even_red() -> None:
    allowance = Allowance([BOT])
    allowance.close(10 * MINUTE)
    assert allowance.left(10 * MINUTE - 1, red=True) == 0
    assert allowance.frees_at(MINUTE, red=True) == 10 * MINUTE
    assert allowance.left(10 * MINUTE, red=False) == 15


def test_without_a_limit_there_is_always_room() -> None:
    allowance = Allowance([])
    for _ in range(1000):
        allowance.note(1)
    assert allowance.left(1, red=False) is None
    assert allowance.frees_at(1, red=False) == 1


def test_many_become_one_message_before_the_limit_is_reached() -> None:
    waiting = list(range(30))
    assert together(waiting[:14], 15, 100) == [0]
    assert together(waiting[:15], 15, 100) == waiting[:15]
    assert together(waiting, 1, 20) == waiting[:20]
    assert together(waiting, None, 100) == [0]
    assert together(waiting, 1, 1) == [0]
