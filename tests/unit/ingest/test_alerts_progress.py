"""When a timer may fire: never before what could stop it has had its time to come."""

import pytest

from ingest.alerts.progress import SILENT_US, Progress
from telemetry.identity import GatewayRef

REF = GatewayRef("411202002001", "gw-test-1")
S = 1_000_000


def test_a_bulk_timer_fires_once_the_lane_has_spoken_of_its_time_or_nothing_came_for_long() -> None:
    progress = Progress(0)
    progress.note(REF, "bulk", 99 * S, 100 * S)
    assert progress.permits(REF, "bulk", 99 * S, 100 * S)
    assert not progress.permits(REF, "bulk", 99 * S + 1, 100 * S)
    assert not progress.permits(REF, "bulk", 100 * S, 113 * S - 1)
    assert progress.permits(REF, "bulk", 100 * S, 113 * S)


def test_a_reading_from_the_future_is_not_believed() -> None:
    progress = Progress(0)
    progress.note(REF, "bulk", 500 * S, 100 * S)
    assert not progress.permits(REF, "bulk", 101 * S, 101 * S)
    assert progress.permits(REF, "bulk", 101 * S, 113 * S)


def test_an_older_batch_does_not_turn_progress_back() -> None:
    progress = Progress(0)
    progress.note(REF, "bulk", 100 * S, 100 * S)
    progress.note(REF, "bulk", 10 * S, 101 * S)
    assert progress.permits(REF, "bulk", 100 * S, 101 * S)


def test_an_urgent_timer_is_held_back_by_the_less_late_of_both_lanes() -> None:
    """One device with a slow clock must not hold back the doors of its gateway."""
    progress = Progress(0)
    progress.note(REF, "urgent", 40 * S, 100 * S)
    assert not progress.permits(REF, "urgent", 99 * S, 100 * S)
    progress.note(REF, "bulk", 99 * S, 100 * S)
    assert not progress.permits(REF, "urgent", 99 * S + 1, 100 * S)
    assert progress.permits(REF, "urgent", 99 * S, 100 * S)


def test_what_is_urgent_says_nothing_of_bulk() -> None:
    progress = Progress(0)
    progress.note(REF, "urgent", 100 * S, 100 * S)
    assert not progress.permits(REF, "bulk", 50 * S, SILENT_US - 1)


@pytest.mark.parametrize("lane", ["urgent", "bulk"])
def test_a_gateway_that_says_nothing_after_our_start_is_waited_for_so_long_and_no_longer(lane: str) -> None:
    progress = Progress(1000 * S)
    assert not progress.permits(REF, lane, 900 * S, 1000 * S + SILENT_US - 1)
    assert progress.permits(REF, lane, 900 * S, 1000 * S + SILENT_US)
    assert not progress.permits(REF, lane, 2000 * S, 1000 * S + SILENT_US)
