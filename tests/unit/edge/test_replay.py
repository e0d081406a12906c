"""What the gateway makes of a command to send history again."""

from edge.outbox import Sealed
from edge.replay import Replay
from telemetry.batch import Batch, Lane
from telemetry.command import Command, Verb
from telemetry.reading import Micros

T0 = Micros(1_700_000_000_000_000)
SECOND = 1_000_000
HOUR = 3600 * SECOND


def asked(id: str = "1" * 16, start: int = T0, end: int = T0 + HOUR) -> Command:
    return Command(id=id, verb=Verb.REPLAY, at=T0, expires_at=T0 + HOUR, start=start, end=end)


def sealed(seq: int, n: int = 1, readings: int = 10) -> Sealed:
    head = Batch(gateway="gw-test", epoch="a" * 16, lane=Lane.BULK, seq=seq, sealed_at=T0, sent_at=T0, readings=[])
    return Sealed(n, readings, head, [])


def test_a_replay_goes_on_after_the_last_batch_that_was_sent_and_ends_with_its_counts() -> None:
    replay = Replay()
    answer = replay.begin(asked(), T0, T0)
    assert (answer.done, answer.problem) == (False, "")
    replay.sent(sealed(4), T0)
    replay.sent(sealed(5, n=2), T0)
    assert replay.wanted is not None
    assert replay.wanted.after == (2, Lane.BULK, 5)
    last = replay.ended(T0)
    assert last is not None
    assert (last.done, last.batches, last.readings, last.problem) == (True, 2, 20, "")
    assert replay.wanted is None


def test_the_centre_hears_every_second() -> None:
    replay = Replay()
    replay.begin(asked(), T0, T0)
    assert replay.sent(sealed(1), Micros(T0 + SECOND - 1)) is None
    said = replay.sent(sealed(2), Micros(T0 + SECOND))
    assert said is not None
    assert (said.batches, said.done) == (2, False)
    assert replay.sent(sealed(3), Micros(T0 + SECOND + 1)) is None


def test_an_expired_command_and_one_of_which_nothing_is_kept_are_done_at_once() -> None:
    for command, at, kept, problem in (
        (asked(), Micros(T0 + HOUR), T0, "expired"),
        (asked(), T0, None, "nothing is kept"),
        (asked(), T0, T0 + HOUR, "nothing is kept"),
    ):
        replay = Replay()
        answer = replay.begin(command, at, kept)
        assert answer.done and problem in answer.problem
        assert replay.wanted is None


def test_what_is_kept_only_in_part_is_sent_and_said_at_the_end() -> None:
    replay = Replay()
    assert not replay.begin(asked(), T0, T0 + 5).done
    last = replay.ended(T0)
    assert last is not None
    assert str(T0 + 5) in last.problem


def test_another_replay_waits_for_nobody_and_the_same_one_is_answered_again() -> None:
    replay = Replay()
    first = replay.begin(asked(), T0, T0)
    other = replay.begin(asked("2" * 16), T0, T0)
    assert other.done and "busy" in other.problem
    assert replay.begin(asked(), T0, T0) == first
    last = replay.ended(T0)
    assert replay.begin(asked(), T0, T0) == last
    assert replay.wanted is None
