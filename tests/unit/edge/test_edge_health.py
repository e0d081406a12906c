"""The gateway's word about itself is sound and says what was counted."""

from edge.board import BoardState
from edge.health import Measured, Safety, Since, busiest, gateway_values, unit_values, written_per_reading
from edge.outbox import Pending
from edge.tally import Lateness, Rates, Tally
from telemetry.metric import METRICS, Kind, Value, fault_of

NOW = 1_790_000_000_000_000
BOARD = BoardState(30_000_000, 4096, 51.5, False, True)
NO_BOARD = BoardState(None, None, None, None, None)


def measured(pending: Pending, offset_s: float | None = None, board: BoardState = BOARD) -> Measured:
    return Measured(
        now=NOW,
        pending=pending,
        accepted=7,
        outbox_bytes=4096,
        uptime_s=12.34,
        offset_s=offset_s,
        lateness=Lateness(0.5, 0.02),
        board=board,
        wire_use=("rs485-1", 0.25),
        written_per_reading=512.0,
    )


def is_sound(values: dict[str, Value]) -> bool:
    assert values.keys() <= METRICS[Kind.GATEWAY].keys()
    return not [fault for name, value in values.items() if (fault := fault_of(Kind.GATEWAY, name, value))]


def test_every_value_is_one_that_a_store_takes() -> None:
    values = gateway_values(Tally(polls=3), measured(Pending(2, 40, NOW - 1_500_000), offset_s=0.25))
    assert is_sound(values)
    assert (values["wire_bus"], values["wire_use"]) == ("rs485-1", 25.0)
    lost = gateway_values(Tally(), measured(Pending(0, 0, 0))._replace(safety=Safety(failing=True, lost=5, refused=2)))
    assert (lost["outbox_failing"], lost["outbox_lost"]) == (True, 7)
    assert is_sound(unit_values("b3-meter", Rates(12.5, 0.0)))


def test_the_age_of_the_oldest_unsent_reading_is_in_seconds() -> None:
    assert gateway_values(Tally(), measured(Pending(2, 40, NOW - 1_500_000)))["oldest_unsent"] == 1.5
    assert gateway_values(Tally(), measured(Pending(0, 0, 0)))["oldest_unsent"] == 0.0
    assert gateway_values(Tally(), measured(Pending(1, 1, NOW + 5)))["oldest_unsent"] == 0.0, "a clock that stepped back"


def test_what_is_not_known_is_left_out() -> None:
    known = gateway_values(Tally(), measured(Pending(0, 0, 0), offset_s=0.1)).keys()
    bare = measured(Pending(0, 0, 0), board=NO_BOARD)._replace(wire_use=None, written_per_reading=None)
    left = gateway_values(Tally(), bare).keys()
    assert known - left == {
        "clock_offset",
        "memory",
        "written",
        "written_per_reading",
        "device_temperature",
        "undervoltage",
        "clock_synchronised",
        "wire_bus",
        "wire_use",
    }


def test_the_busiest_bus_counts() -> None:
    before = Since(100.0, 0, 0, {"rs485-1": 10.0, "meters": 500.0})
    now = Since(110.0, 0, 0, {"rs485-1": 19.0, "meters": 501.0})
    assert busiest(before, now) == ("rs485-1", 0.9)
    assert busiest(now, now) is None
    assert busiest(before, now._replace(used_s={})) is None


def test_what_a_reading_costs_the_card_is_bytes_by_readings_since_the_last() -> None:
    assert written_per_reading(Since(0, 10_000, 5, {}), Since(10, 60_000, 105, {})) == 500
    assert written_per_reading(Since(0, 10_000, 5, {}), Since(10, 60_000, 5, {})) is None
