"""Each way in which the store can differ from the truth is found, and nothing else is."""

from collections.abc import Sequence

from simulators.products import Said
from simulators.truth import Ailing, Held, Line, Truth, spoken
from simulators.verify import Stored, verify
from telemetry.metric import Value

T = 1_760_000_000_000_000


def at(second: float) -> int:
    return T + round(second * 1e6)


def message(id_: str, second: float, said: Said, sent: bool = True, qos: int = 1) -> list[Line]:
    lines: list[Line] = [spoken(at(second), second, id_, "sending", said, qos)]
    return [*lines, spoken(at(second + 0.01), second, id_, "sent", said, qos)] if sent else lines


def found(lines: Sequence[Line], stored: Sequence[Stored], end: float = 100) -> list[tuple[str, float]]:
    verdicts = verify(Truth(lines), stored, at(0), at(end))
    return [(difference.kind, (difference.at - T) / 1e6) for verdict in verdicts for difference in verdict.differences]


SUMP: list[Line] = [Held(at(0), 0, "sump", "level", 0.5), Held(at(10), 10, "sump", "level", 0.7)]


def level(second: float, value: Value | None) -> Stored:
    return Stored("sump", "level", at(second), value)


def test_a_value_in_force_within_the_tolerance_is_right() -> None:
    assert found(SUMP, [level(5, 0.5), level(9, 0.7), level(11, 0.5), level(50, 0.7)]) == []


def test_a_value_that_was_not_in_force_is_wrong() -> None:
    assert found(SUMP, [level(5, 0.7), level(12, 0.5), level(13, 0.7000001), level(14, True)]) == [
        ("wrong", 5),
        ("wrong", 12),
        ("wrong", 13),
        ("wrong", 14),
    ]


def test_a_fault_without_a_value_is_no_difference() -> None:
    assert found(SUMP, [level(5, None), Stored("sump", "*", at(6), None)]) == []


def test_a_metric_that_the_unit_does_not_have_is_wrong() -> None:
    assert found(SUMP, [Stored("sump", "humidity", at(5), 4.0)]) == [("wrong", 5)]


def test_a_silent_unit_cannot_have_been_read() -> None:
    silence: list[Line] = [Ailing(at(20), 20, "sump", "silent"), Ailing(at(30), 30, "sump", "")]
    assert found(SUMP + silence, [level(21, 0.7), level(25, 0.7), level(31, 0.7)]) == [("silent", 25)]


PLATE = Said("gate", {"event": "plate", "plate": "豫M·****8"}, event=True, at=at(20))


def plate(second: float, text: str = "豫M·****8") -> list[Stored]:
    return [Stored("gate", "event", at(second), "plate"), Stored("gate", "plate", at(second), text)]


HEARD = [level(1, 0.5)]


def test_an_event_stored_once_is_right() -> None:
    assert found(SUMP + message("a", 20, PLATE), HEARD + plate(20)) == []


def test_an_event_stored_twice_or_not_at_all_differs() -> None:
    assert found(SUMP + message("a", 20, PLATE), HEARD + plate(20) + plate(20.5)) == [("twice", 20.5)]
    assert found(SUMP + message("a", 20, PLATE), HEARD) == [("missing", 20)]


def test_an_event_that_nobody_sent_is_invented() -> None:
    assert found(SUMP + message("a", 20, PLATE), HEARD + plate(20) + plate(20, "京A·****5")[1:] + plate(40)) == [
        ("invented", 20),
        ("invented", 40),
        ("missing", 20),
    ]


def test_two_equal_events_need_two_readings() -> None:
    sent = message("a", 20, PLATE) + message("b", 21, PLATE._replace(at=at(21)))
    assert found(SUMP + sent, HEARD + plate(20) + plate(21)) == []
    assert found(SUMP + sent, HEARD + plate(20)) == [("missing", 21)]


def test_without_the_brokers_word_or_at_qos_0_an_event_may_be_there_or_not() -> None:
    for lines in (message("a", 20, PLATE, sent=False), message("a", 20, PLATE, qos=0)):
        assert found(SUMP + lines, HEARD + plate(20)) == []
        assert found(SUMP + lines, HEARD) == []


def test_nothing_is_missed_before_the_first_reading_nor_in_the_last_seconds() -> None:
    assert found(message("a", 20, PLATE), [Stored("gate", "online", at(30), True)]) == []
    assert found(SUMP + message("a", 20, PLATE), HEARD, end=24) == []
    assert found(SUMP + message("a", 20, PLATE), HEARD, end=26) == [("missing", 20)]


OPEN, SHUT = Said("door", {"door_open": True}, event=False), Said("door", {"door_open": False}, event=False)
DOOR: list[Line] = SUMP + message("a", 5, SHUT) + message("b", 20, OPEN) + message("c", 30, SHUT) + message("d", 31, SHUT)


def door(second: float, value: bool) -> Stored:
    return Stored("door", "door_open", at(second), value)


def test_states_are_right_in_order_whenever_they_arrive() -> None:
    assert found(DOOR, [*HEARD, door(5, False), door(60, True), door(60.1, False)]) == []


def test_a_lost_change_is_missing_and_a_change_too_many_is_invented() -> None:
    assert found(DOOR, [*HEARD, door(5, False), door(30, False)]) == [("missing", 20)]
    assert found(DOOR, [*HEARD, door(5, False), door(20, True), door(30, False), door(40, True)]) == [("invented", 40)]


def test_a_verdict_counts_what_was_compared() -> None:
    (verdict,) = verify(Truth(message("a", 20, PLATE)), plate(20), at(0), at(100))
    assert (verdict.device, verdict.values, verdict.sent, verdict.found) == ("gate", 2, 1, 1)
