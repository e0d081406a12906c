"""What the kernel's files say, as boards have them; what they lack is not known."""

import os
from pathlib import Path

import pytest

from edge.board import BoardState, board_state, clock_synchronised


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_raspberry_pi_says_everything(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/statm", "9000 2500 1200 600 0 800 0\n")
    write(tmp_path, "proc/self/io", "rchar: 7\nwchar: 8\nread_bytes: 0\nwrite_bytes: 1048576\ncancelled_write_bytes: 4096\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "51540\n")
    write(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    state = board_state(tmp_path)
    assert state._replace(clock_synchronised=None) == BoardState(2500 * os.sysconf("SC_PAGE_SIZE"), 1048576, 51.54, True, None)


def test_a_board_without_sensors_says_nothing(tmp_path: Path) -> None:
    assert board_state(tmp_path)._replace(clock_synchronised=None) == BoardState(None, None, None, None, None)


@pytest.mark.parametrize(
    ("readings", "hottest"), [(["40000", "61250"], 61.25), (["-5000"], -5.0), (["nonsense", ""], None), (["255000"], None)]
)
def test_the_hottest_plausible_sensor_counts(tmp_path: Path, readings: list[str], hottest: float | None) -> None:
    for number, text in enumerate(readings):
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", text)
    assert board_state(tmp_path).temperature == hottest


def test_this_machine_says_what_every_linux_says() -> None:
    state = board_state()
    assert state.memory_bytes is not None and state.memory_bytes > 1_000_000
    assert isinstance(clock_synchronised(), bool)


@pytest.mark.parametrize(
    ("supplies", "on_battery"),
    [
        ({}, None),
        ({"ac": {"type": "Mains", "online": "1"}}, None),
        ({"ac": {"type": "Mains", "online": "1"}, "bat": {"type": "Battery", "status": "Charging"}}, False),
        ({"ac": {"type": "Mains", "online": "0"}, "bat": {"type": "Battery", "status": "Discharging"}}, True),
        ({"usb": {"type": "USB_C", "online": "1"}, "bat": {"type": "Battery", "status": "Discharging"}}, False),
        ({"ups": {"type": "UPS", "status": "Discharging"}}, True),
        ({"bat": {"type": "Battery", "status": "Full"}}, False),
    ],
)
def test_a_board_that_knows_its_battery_says_when_it_runs_on_it(
    tmp_path: Path, supplies: dict[str, dict[str, str]], on_battery: bool | None
) -> None:
    for supply, files in supplies.items():
        for name, text in files.items():
            write(tmp_path, f"sys/class/power_supply/{supply}/{name}", f"{text}\n")
    assert board_state(tmp_path).on_battery is on_battery
