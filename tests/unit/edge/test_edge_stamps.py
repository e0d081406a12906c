"""Instants are unique per device; events are taken once."""

from hypothesis import given
from hypothesis import strategies as st

from edge.stamps import ATS_KEPT, EVENTS_KEPT, Repeats, Stamps

AT = 1_790_000_000_000_000


def test_a_tie_moves_by_one_microsecond_until_it_is_free() -> None:
    stamps = Stamps()
    assert [stamps.stamp("b3-door", AT) for _ in range(3)] == [AT, AT + 1, AT + 2]


def test_devices_do_not_disturb_each_other() -> None:
    stamps = Stamps()
    assert stamps.stamp("b3-door", AT) == stamps.stamp("b4-door", AT) == AT


def test_a_restart_does_not_use_an_instant_twice() -> None:
    stamps = Stamps()
    stamps.recall("b3-door", AT + 1)
    stamps.recall("b3-door", AT)
    assert stamps.stamp("b3-door", AT) == AT + 2


def test_of_many_instants_of_an_earlier_run_the_newest_are_remembered() -> None:
    stamps = Stamps()
    for n in range(ATS_KEPT * 2):
        stamps.recall("b3-door", AT - 10 * n)
    assert stamps.stamp("b3-door", AT) == AT + 1
    assert stamps.stamp("b3-door", AT - 50) == AT - 49
    forgotten = AT - 10 * ATS_KEPT - 50
    assert stamps.stamp("b3-door", forgotten) == forgotten, "the older half is forgotten"


def test_an_earlier_instant_is_legal() -> None:
    stamps = Stamps()
    stamps.stamp("b3-door", AT)
    assert stamps.stamp("b3-door", AT - 1_000_000) == AT - 1_000_000


@given(st.lists(st.integers(AT, AT + 5), max_size=200))
def test_no_two_readings_of_a_device_share_an_instant(ats: list[int]) -> None:
    stamps = Stamps()
    given_ = [stamps.stamp("b3-door", at) for at in ats]
    assert len(set(given_)) == len(given_)
    assert all(at <= stamped for at, stamped in zip(ats, given_, strict=True))


def test_the_memory_of_instants_is_bounded() -> None:
    stamps = Stamps()
    for n in range(ATS_KEPT + 10):
        stamps.stamp("b3-door", AT + 10 * n)
    assert stamps.stamp("b3-door", AT + 200) == AT + 201, "a remembered instant moves to the first free one"
    assert stamps.stamp("b3-door", AT) == AT, "the oldest instants are forgotten"


def test_a_clock_that_stands_still_uses_no_instant_twice_however_long() -> None:
    stamps = Stamps()
    given_ = [stamps.stamp("b3-door", AT) for _ in range(5_000)]
    assert len(set(given_)) == len(given_)


def test_a_clock_that_stands_still_uses_no_instant_twice_over_restarts() -> None:
    used: list[int] = []
    for _ in range(4):
        stamps = Stamps()
        for at in reversed(used[-ATS_KEPT:]):
            stamps.recall("b3-door", at)
        used += [stamps.stamp("b3-door", AT) for _ in range(700)]
    assert len(set(used)) == len(used)


def test_a_clock_that_goes_again_after_it_stood_still_is_believed() -> None:
    stamps = Stamps()
    for _ in range(ATS_KEPT * 2):
        stamps.stamp("b3-door", AT)
    assert stamps.stamp("b3-door", AT + 1_000_000) == AT + 1_000_000
    assert stamps.stamp("b3-door", AT) == AT + ATS_KEPT * 2


def test_an_event_that_an_earlier_run_took_is_a_repeat() -> None:
    repeats = Repeats()
    repeats.recall("b3-door", "e1", {"event": "granted"})
    assert repeats.is_repeat("b3-door", "e1", {"event": "granted"})
    assert not repeats.is_repeat("b3-door", "e2", {"event": "granted"})


def test_the_same_event_is_a_repeat_and_another_is_not() -> None:
    repeats = Repeats()
    seen = {"event": "granted", "door_open": True}
    assert not repeats.is_repeat("b3-door", "e1", seen)
    assert repeats.is_repeat("b3-door", "e1", dict(reversed(seen.items())))
    assert not repeats.is_repeat("b4-door", "e1", seen)
    assert not repeats.is_repeat("b3-door", "e2", seen)
    assert not repeats.is_repeat("b3-door", "e1", {"event": "denied"})


def test_the_memory_of_events_is_bounded() -> None:
    repeats = Repeats()
    for n in range(EVENTS_KEPT + 1):
        repeats.is_repeat("b3-door", str(n), {})
    assert repeats.is_repeat("b3-door", str(EVENTS_KEPT), {})
    assert not repeats.is_repeat("b3-door", "0", {})
