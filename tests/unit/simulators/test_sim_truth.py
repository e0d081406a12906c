"""The truth log keeps every line that was written whole, and answers what was in force when."""

from pathlib import Path

import pytest

from simulators.products import Said
from simulators.truth import Ailing, Held, Truth, TruthLog, spoken
from telemetry.errors import ConfigInvalid

T = 1_760_000_000_000_000


def held(second: float, value: float) -> Held:
    return Held(T + round(second * 1e6), second, "sump", "level", value)


def at(second: float) -> int:
    return T + round(second * 1e6)


TRUTH = Truth([held(0, 0.5), held(10, 0.7), held(11, 0.9), Ailing(at(20), 20, "sump", "silent"), Ailing(at(30), 30, "sump", "")])


@pytest.mark.parametrize(
    ("start", "end", "values"),
    [(1, 2, {0.5}), (9, 10, {0.5, 0.7}), (9.5, 11.5, {0.5, 0.7, 0.9}), (10, 10.5, {0.7}), (12, 99, {0.9}), (-5, -1, set())],
)
def test_every_value_in_force_during_a_window_is_held(start: float, end: float, values: set[float]) -> None:
    assert TRUTH.held("sump", "level", at(start), at(end)) == values


def test_a_fault_counts_only_where_it_lasts_through_the_window() -> None:
    assert TRUTH.fault("sump", at(21), at(29)) == "silent"
    assert TRUTH.fault("sump", at(19), at(29)) == ""
    assert TRUTH.fault("sump", at(21), at(31)) == ""
    assert TRUTH.fault("other", at(21), at(29)) == ""


def test_a_message_is_certain_once_the_broker_confirmed_it() -> None:
    said = Said("door", {"door_open": True}, event=False)
    lines = [
        spoken(at(1), 1, "a", "sending", said, 1),
        spoken(at(2), 1, "a", "sent", said, 1),
        spoken(at(3), 3, "b", "sending", said, 1),
        spoken(at(4), 4, "c", "dropped", said, 0),
    ]
    assert [(event.id, event.certain, event.first, event.last) for event in Truth(lines).events("door")] == [
        ("a", True, at(1), at(2)),
        ("b", False, at(3), at(3)),
    ]


def test_what_was_written_is_read_back_and_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log" / "truth.jsonl"
    with TruthLog(path) as log:
        log.write(held(0, 0.5), Held(at(0), 0, "door", "open", True))
    with path.open("ab") as torn:
        torn.write(b'{"k":"held","t":17600')
    with TruthLog(path) as log:
        log.write(held(1, 0.6))
    truth = Truth.load(path)
    assert truth.held("sump", "level", at(0), at(1)) == {0.5, 0.6}
    assert truth.held("door", "open", at(0), at(0)) == {True}
    assert (truth.devices(), truth.metrics("sump")) == (["door", "sump"], ["level"])


@pytest.mark.parametrize("content", [b'{"k":"other"}\n', b'{"t":1}\n'])
def test_another_file_is_refused_with_its_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(b"\n" + content)
    with pytest.raises(ConfigInvalid, match="line 2"):
        Truth.load(tmp_path / "x")


def test_a_missing_file_is_said_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="sim run --truth"):
        Truth.load(tmp_path / "none")
