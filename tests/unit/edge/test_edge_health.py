"""The gateway's word about itself is sound and says what was counted."""

from edge.health import Measured, Tally, gateway_values, resident_bytes
from edge.outbox import Pending
from telemetry.metric import METRICS, Kind, fault_of

NOW = 1_790_000_000_000_000


def measured(pending: Pending, offset_s: float | None = None) -> Measured:
    return Measured(
        now=NOW, pending=pending, accepted=7, outbox_bytes=4096, memory_bytes=30_000_000, uptime_s=12.34, offset_s=offset_s
    )


def test_every_value_is_one_that_a_store_takes() -> None:
    values = gateway_values(Tally(polls=3), measured(Pending(2, 40, NOW - 1_500_000), offset_s=0.25))
    assert not [fault for name, value in values.items() if (fault := fault_of(Kind.GATEWAY, name, value))]
    assert values.keys() <= METRICS[Kind.GATEWAY].keys()


def test_the_age_of_the_oldest_unsent_reading_is_in_seconds() -> None:
    assert gateway_values(Tally(), measured(Pending(2, 40, NOW - 1_500_000)))["oldest_unsent"] == 1.5
    assert gateway_values(Tally(), measured(Pending(0, 0, 0)))["oldest_unsent"] == 0.0
    assert gateway_values(Tally(), measured(Pending(1, 1, NOW + 5)))["oldest_unsent"] == 0.0, "a clock that stepped back"


def test_the_clock_offset_is_said_once_it_is_known() -> None:
    assert "clock_offset" not in gateway_values(Tally(), measured(Pending(0, 0, 0)))


def test_the_largest_lateness_counts() -> None:
    tally = Tally()
    for lateness_s in (0.01, 0.5, 0.02):
        tally.late(lateness_s)
    assert gateway_values(tally, measured(Pending(0, 0, 0)))["poll_lateness"] == 0.5


def test_resident_memory_is_the_second_field_in_pages() -> None:
    assert resident_bytes("9000 2500 1200 600 0 800 0\n", 4096) == 2500 * 4096
