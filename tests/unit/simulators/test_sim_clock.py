"""The virtual clock goes on through restarts, changes of speed and a wall clock that is set back."""

from pathlib import Path

import pytest

from simulators.clock import Anchor, Journal
from telemetry.errors import ConfigInvalid

BORN = 1_760_000_000_000_000


def seconds(count: float) -> int:
    return BORN + round(count * 1e6)


def test_virtual_time_is_wall_time_since_the_first_start_times_the_speed() -> None:
    anchor = Anchor(born=BORN, wall=BORN, speed=10.0)
    assert anchor.virtual_at(seconds(3)) == 30.0


def test_a_new_speed_counts_from_the_virtual_second_reached_so_far() -> None:
    faster = Anchor(born=BORN, wall=BORN).at_speed(60.0, seconds(20))
    assert faster.virtual_at(seconds(20)) == 20.0
    assert faster.virtual_at(seconds(21)) == 80.0


def test_a_wall_clock_set_back_does_not_undo_what_was_played() -> None:
    anchor = Anchor(born=BORN, wall=BORN, played=50.0)
    assert anchor.virtual_at(seconds(40)) == 50.0
    assert anchor.virtual_at(seconds(51)) == 51.0


def test_a_restart_goes_on_from_the_first_start(tmp_path: Path) -> None:
    Journal(tmp_path / "run" / "world.json").open(1.0, BORN)
    again = Journal(tmp_path / "run" / "world.json").open(1.0, seconds(100))
    assert again.virtual_at(seconds(100)) == 100.0
    assert again.born == BORN


def test_a_damaged_file_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text('{"born": 1}')
    with pytest.raises(ConfigInvalid, match="remove it"):
        Journal(tmp_path / "world.json").open(1.0, BORN)
