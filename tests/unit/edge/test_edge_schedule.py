"""Fixed rate, no drift, nothing twice."""

from hypothesis import given
from hypothesis import strategies as st

from edge.schedule import EARLY_S, GRID_S, Timetable, anchor, by_interval, stagger


def start_of(device: str, interval_s: float, now: float = 1000.0) -> float:
    return now + stagger(device, interval_s)


def table(intervals: dict[str, float], device: str = "b3-meter", now: float = 1000.0) -> Timetable:
    timetable = Timetable()
    timetable.add(device, intervals, now)
    return timetable


def test_nothing_is_due_before_the_first_slot() -> None:
    timetable = table({"voltage": 2.0})
    first = start_of("b3-meter", 2.0)
    assert timetable.next_at() == first
    assert timetable.take(first - EARLY_S * 2) is None


def test_late_polls_do_not_shift_the_slots_after_them() -> None:
    timetable = table({"voltage": 2.0})
    first = start_of("b3-meter", 2.0)
    for slot in range(50):
        turn = timetable.take(first + slot * 2.0 + 0.7)
        assert turn is not None and turn.missed == 0 and abs(turn.lateness_s - 0.7) < 1e-6
    assert timetable.next_at() == first + 100.0


def test_missed_slots_are_counted_and_not_made_up_for() -> None:
    timetable = table({"voltage": 2.0})
    first = start_of("b3-meter", 2.0)
    turn = timetable.take(first + 7.0)
    assert turn is not None and turn.missed == 3
    assert timetable.take(first + 7.0) is None
    assert timetable.next_at() == first + 8.0


def test_points_due_together_are_one_turn() -> None:
    timetable = table({"voltage": 1.0, "current": 1.0, "energy": 60.0})
    turn = timetable.take(1000.0 + 120.0)
    assert turn is not None and set(turn.points) == {"voltage", "current", "energy"}


def test_intervals_of_one_unit_keep_their_own_rates() -> None:
    timetable = table({"fast": 1.0, "slow": 10.0})
    taken = {"fast": 0, "slow": 0}
    now = 1000.0
    while now < 1100.0:
        turn = timetable.take(now)
        for point in turn.points if turn else ():
            taken[point] += 1
        now += 0.25
    assert taken == {"fast": 100, "slow": 10}


def test_of_several_units_never_polled_the_one_that_waits_longest_comes_first() -> None:
    timetable = Timetable()
    for device in ("unit-a", "unit-b", "unit-c"):
        timetable.add(device, {"x": 10.0}, 0.0)
    due = sorted(("unit-a", "unit-b", "unit-c"), key=lambda device: stagger(device, 10.0))
    turns = [timetable.take(10.0) for _ in due]
    assert [turn.device for turn in turns if turn] == due
    assert timetable.take(10.0) is None


def test_of_several_units_the_one_polled_longest_ago_comes_first() -> None:
    timetable = Timetable()
    timetable.add("quick", {"x": 1.0}, 0.0)
    timetable.add("slow", {"x": 60.0}, 0.0)
    slot = stagger("slow", 60.0) + 60.0
    assert {turn.device for turn in (timetable.take(slot - 10.0), timetable.take(slot - 10.0)) if turn} == {"quick", "slow"}
    now = slot + 1.0  # the quick one's slot may be the older one
    assert [turn.device for turn in (timetable.take(now - 2.0), timetable.take(now), timetable.take(now)) if turn] == [
        "quick",
        "slow",
        "quick",
    ]


def test_an_overloaded_bus_serves_every_unit() -> None:
    timetable = Timetable()
    for number in range(5):
        timetable.add(f"unit-{number}", {"x": 1.0}, 0.0)
    served: dict[str, int] = {}
    for step in range(100):  # each poll takes 0.5 s: half of what is wanted cannot be done
        turn = timetable.take(2.0 + step * 0.5)
        assert turn is not None
        served[turn.device] = served.get(turn.device, 0) + 1
    assert set(served.values()) == {20}


def test_a_removed_unit_is_not_polled() -> None:
    timetable = table({"x": 1.0})
    timetable.remove("b3-meter")
    assert timetable.next_at() is None and timetable.take(2000.0) is None


def test_the_place_in_the_interval_depends_on_the_id_alone() -> None:
    places = {device: stagger(device, 10.0) for device in (f"device-{n}" for n in range(100))}
    assert places == {device: stagger(device, 10.0) for device in places}
    assert all(0 <= place < 10.0 for place in places.values())
    assert max(places.values()) - min(places.values()) > 9.0


def test_places_stand_on_a_grid_but_for_units_polled_often() -> None:
    units = [f"device-{n}" for n in range(200)]
    grid = {round(stagger(unit, 1.0) / GRID_S, 6) for unit in units}
    assert grid == set(range(20)), "units meet in one awakening, and no place of the second is left out"
    assert len({stagger(unit, 0.2) for unit in units}) == 200, "a short interval is shared out finer"


def test_points_are_grouped_by_interval() -> None:
    assert by_interval({"a": 5.0, "b": 1.0, "c": 5.0}) == {1.0: ("b",), 5.0: ("a", "c")}


@given(st.floats(0.05, 100.0), st.lists(st.floats(0.0, 500.0), max_size=30))
def test_no_slot_is_ever_taken_twice_and_every_slot_is_taken_or_counted(interval_s: float, pauses: list[float]) -> None:
    timetable = table({"x": interval_s}, now=0.0)
    now, slots = stagger("b3-meter", interval_s), 0
    for pause in pauses:
        now += pause
        turn = timetable.take(now)
        slots += 1 + turn.missed if turn else 0
        next_at = timetable.next_at()
        assert next_at is not None and next_at > now
    assert next_at_is(timetable, slots, interval_s)


def next_at_is(timetable: Timetable, slots: int, interval_s: float) -> bool:
    next_at = timetable.next_at()
    return next_at is not None and abs(next_at - (stagger("b3-meter", interval_s) + slots * interval_s)) < 1e-6


def test_slow_points_stand_on_slots_of_the_fast_ones() -> None:
    timetable = table({"fast": 1.0, "slow": 10.0, "slower": 60.0})
    turns, now = [], 1000.0
    while now < 1120.0:
        turn = timetable.take(now)
        if turn is None:
            now = timetable.next_at() or now
        else:
            turns.append(turn.points)
    assert len(turns) == 120, "one poll a second, whatever is due in it"
    assert sum("slow" in points for points in turns) == 12 and sum("slower" in points for points in turns) == 2


@given(st.text("abc-0123", min_size=3, max_size=12), st.sampled_from([1.0, 2.0, 5.0]), st.sampled_from([10.0, 60.0, 300.0]))
def test_an_anchor_lies_in_the_points_own_interval(device: str, fastest_s: float, interval_s: float) -> None:
    assert 0 <= anchor(device, interval_s, fastest_s) < interval_s
    assert anchor(device, fastest_s, fastest_s) == stagger(device, fastest_s)


def test_points_put_off_have_one_more_turn_between_two_slots() -> None:
    timetable = table({"fast": 1.0, "slow": 10.0})
    now = start_of("b3-meter", 1.0) + 10.0
    turn = timetable.take(now)
    assert turn is not None and turn.tries == 0
    assert timetable.put_off(turn, ["slow"], now + 0.2)
    assert timetable.next_at() == now + 0.2
    again = timetable.take(now + 0.2)
    assert again is not None and (again.points, again.tries, again.lateness_s, again.missed) == (("slow",), 1, 0.0, 0)
    assert timetable.take(now + 0.2) is None


def test_points_put_off_join_the_slots_of_others_and_never_take_their_own() -> None:
    timetable = table({"fast": 1.0, "slow": 10.0})
    now = start_of("b3-meter", 1.0) + 10.0
    turn = timetable.take(now)
    assert turn is not None
    assert not timetable.put_off(turn, ["fast"], now + 1.0)
    assert timetable.put_off(turn, ["slow"], now + 1.0)
    joined = timetable.take(now + 1.0)
    assert joined is not None and set(joined.points) == {"fast", "slow"} and joined.tries == 1


def test_a_unit_that_leaves_takes_along_what_was_put_off() -> None:
    timetable = table({"fast": 1.0})
    turn = timetable.take(1001.0)
    assert turn is not None and timetable.put_off(turn, ["fast"], 1001.0)
    timetable.remove("b3-meter")
    assert timetable.next_at() is None and timetable.take(2000.0) is None
