"""What a bus is asked to do, by the arithmetic of its frames, and what becomes of it when that is too much."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from device_profiles import Profile, Request, Table
from device_profiles.library import load_text
from edge.agent import warn_of
from edge.bus_config import BusConfig, RtuBus, RtuOverTcpBus, TcpBus, UdpBus
from edge.bus_load import bus_load, frame_bytes, request_s
from edge.unit import Unit
from linli.commands.edge import edge
from tests.installers import write_gateway

PROFILE = """
id: test-meter
kind: energy
vendor: Test
model: M1
name: {zh: 测试, en: Test}
confidence: confirmed
sources: [test]
modbus: {max_gap: 0, gap_ms: 5}
points:
  voltage: {unit: V, interval_s: 1, modbus: {table: holding, address: 0}}
  current: {unit: A, interval_s: 1, modbus: {table: holding, address: 4}}
  frequency: {unit: Hz, interval_s: 10, modbus: {table: holding, address: 5}}
  energy_total: {unit: kWh, interval_s: 60, modbus: {table: holding, address: 100, type: uint32}}
examples:
  vectors: [{origin: computed, point: voltage, words: [230], gives: 230}]
"""
LINE = RtuBus(id="rs485-1", port="/dev/ttyUSB0", baud=9600)


@pytest.fixture(scope="module")
def meter() -> Profile:
    return load_text(PROFILE, "test-meter.yaml")


@pytest.mark.parametrize(
    ("table", "count", "bus", "sent", "received"),
    [
        (Table.HOLDING, 5, LINE, 8, 15),
        (Table.COIL, 9, LINE, 8, 7),
        (Table.HOLDING, 5, RtuOverTcpBus(id="bus", host="h"), 8, 15),
        (Table.HOLDING, 5, TcpBus("bus", "h"), 12, 19),
        (Table.DISCRETE, 8, UdpBus("bus", "h"), 12, 10),
    ],
)
def test_frames_have_the_bytes_of_the_standard(table: Table, count: int, bus: BusConfig, sent: int, received: int) -> None:
    assert frame_bytes(bus, Request(table, 0, count, ())) == (sent, received)


@pytest.mark.parametrize(
    ("line", "ms"),
    [
        (LINE, 23 * 10 / 9.6 + 2 * 35 / 9.6 + 20 + 5),
        (RtuBus(id="bus", port="p", baud=19_200, parity="E"), 23 * 11 / 19.2 + 2 * 38.5 / 19.2 + 20 + 5),
        (RtuBus(id="bus", port="p", baud=115_200), 23 * 10 / 115.2 + 2 * 1.75 + 20 + 5),
        (RtuBus(id="bus", port="p", baud=9600, gap_ms=30), 23 * 10 / 9.6 + 2 * 30 + 20 + 5),
        (TcpBus("bus", "h"), 20 + 5),
    ],
)
def test_a_request_takes_its_characters_two_silences_the_delay_and_the_devices_gap(
    meter: Profile, line: BusConfig, ms: float
) -> None:
    assert request_s(line, Unit("m", meter, 1), Request(Table.HOLDING, 0, 5, ()), 0.02) == pytest.approx(ms / 1000)


def test_slow_points_count_as_what_they_add_to_the_fast_ones_poll(meter: Profile) -> None:
    (unit,) = bus_load(LINE, [Unit("b3-meter", meter, 1)]).units
    assert [(poll.interval_s, poll.requests, poll.bytes_sent, poll.bytes_received) for poll in unit.polls] == [
        (1.0, 2, 16, 14),
        (10.0, 0, 0, 2),
        (60.0, 1, 8, 9),
    ]
    assert unit.polls[1].seconds == pytest.approx(2 * 10 / 9600)


def test_the_share_is_time_needed_by_time_there_is(meter: Profile) -> None:
    load = bus_load(LINE, [Unit(f"meter-{n}", meter, n) for n in range(1, 6)])
    one = sum(poll.seconds / poll.interval_s for poll in load.units[0].polls)
    assert load.share == pytest.approx(5 * one) and load.fits
    assert all(poll.becomes_s == poll.interval_s for unit in load.units for poll in unit.polls)


def test_a_schedule_that_cannot_be_kept_says_what_it_becomes(meter: Profile) -> None:
    load = bus_load(LINE, [Unit(f"meter-{n}", meter, n, 1.0) for n in range(1, 21)])
    assert not load.fits and load.share > 2
    becomes = [poll.becomes_s for unit in load.units for poll in unit.polls]
    assert max(becomes) / min(becomes) < 1.05, "every unit has its turn"
    assert min(becomes) == pytest.approx(load.share, rel=0.05)


@pytest.mark.parametrize("interval_s", [0.3, 0.5, 0.7])
def test_a_bus_with_a_little_too_much_to_do_is_slow_for_all_alike(meter: Profile, interval_s: float) -> None:
    load = bus_load(LINE, [Unit(f"meter-{n}", meter, n, interval_s) for n in range(1, 9)])
    assert not load.fits
    becomes = [poll.becomes_s for unit in load.units for poll in unit.polls]
    assert max(becomes) / min(becomes) < 1.1


def test_of_an_overloaded_bus_only_what_it_cannot_keep_is_stretched(meter: Profile) -> None:
    fast = [Unit(f"meter-{n}", meter, n, 0.2) for n in range(1, 6)]
    load = bus_load(LINE, [*fast, Unit("meter-slow", meter, 6, 60.0)])
    assert not load.fits
    assert all(unit.polls[0].becomes_s > 0.3 for unit in load.units[:5])
    assert load.units[5].polls[0].becomes_s == 60.0


def test_a_gateway_warns_of_it_and_is_silent_else(meter: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    warn_of(bus_load(LINE, [Unit("b3-meter", meter, 1)]))
    assert capsys.readouterr().out == ""
    warn_of(bus_load(LINE, [Unit("b3-meter", meter, 1, 0.1)]))
    assert "bus cannot keep its schedule" in capsys.readouterr().out


def gateway(folder: Path, interval_s: float) -> Path:
    devices = "devices:\n" + "".join(
        f"  - {{id: b3-climate-{n}, profile: bench-climate, address: {{bus: rs485-1, unit_id: {n}}}, interval_s: {interval_s}}}\n"
        for n in range(1, 9)
    )
    buses = ["{id: rs485-1, type: modbus-rtu, port: /dev/ttyUSB7}", "{id: meters, type: modbus-tcp, host: 127.0.0.1}"]
    return write_gateway(folder, buses=buses, devices=devices)


def test_the_command_shows_each_bus_and_ends_with_0_when_all_fit(tmp_path: Path) -> None:
    answer = CliRunner().invoke(edge, ["plan", "--config", str(gateway(tmp_path / "gw", 5.0))])
    assert answer.exit_code == 0
    assert "rs485-1 modbus-rtu /dev/ttyUSB7" in answer.stdout and "meters modbus-tcp 127.0.0.1:502: 0.0%" in answer.stdout
    assert "Assumed: a device takes 20 ms" in answer.stdout


def test_the_command_refuses_what_cannot_fit(tmp_path: Path) -> None:
    file = gateway(tmp_path / "gw", 0.1)
    answer = CliRunner().invoke(edge, ["plan", "--config", str(file), "--json"])
    assert answer.exit_code == 1
    line, network = json.loads(answer.stdout)
    assert not line["fits"] and network["fits"] and line["units"][0]["polls"][0]["becomes_s"] > 0.2
    said = CliRunner().invoke(edge, ["plan", "--config", str(file)])
    assert said.exit_code == 1 and "rs485-1 cannot keep this schedule" in said.stderr


def test_a_delay_may_be_given(tmp_path: Path) -> None:
    file = gateway(tmp_path / "gw", 1.0)
    quick, slow = (
        json.loads(CliRunner().invoke(edge, ["plan", "--config", str(file), "--json", "--delay-ms", ms]).stdout)[0]["share"]
        for ms in ("0", "100")
    )
    assert slow - quick == pytest.approx(8 * 0.1)
