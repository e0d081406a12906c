"""What the board and its kernel say of a gateway: memory, bytes written, temperature, supply, clock.

Nothing here is on every board: what cannot be read is ``None``.
"""

import ctypes
import os
from pathlib import Path
from typing import NamedTuple

TIME_ERROR = 5
"""What adjtimex(2) returns while the kernel's clock is not synchronised."""

HOTTEST_C = 150.0


class BoardState(NamedTuple):
    """``written_bytes``: given to storage by this process since its start. ``temperature``: of the hottest sensor, degC.

    ``on_battery``: the kernel knows a battery or UPS of the board, and no supply from the mains feeds it.
    """

    memory_bytes: int | None
    written_bytes: int | None
    temperature: float | None
    undervoltage: bool | None
    clock_synchronised: bool | None
    on_battery: bool | None = None


def board_state(root: Path = Path("/")) -> BoardState:
    return BoardState(
        memory_bytes=_memory(root / "proc/self/statm"),
        written_bytes=_written(root / "proc/self/io"),
        temperature=_temperature(root / "sys/class/thermal"),
        undervoltage=_undervoltage(root / "sys/class/hwmon"),
        clock_synchronised=clock_synchronised(),
        on_battery=_on_battery(root / "sys/class/power_supply"),
    )


def clock_synchronised() -> bool | None:
    """Whether the kernel's clock is held by a time service, whichever it is."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # all zero: asks, and sets nothing
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR


def _memory(statm: Path) -> int | None:
    """Resident bytes: the second field, in pages."""
    fields = _text(statm).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else None


def _written(io: Path) -> int | None:
    counts = dict(line.split(": ") for line in _text(io).splitlines() if ": " in line)
    return int(counts["write_bytes"]) if "write_bytes" in counts else None


def _temperature(thermal: Path) -> float | None:
    read = [_text(zone / "temp").strip() for zone in thermal.glob("thermal_zone*")]
    degrees = [int(millidegrees) / 1000 for millidegrees in read if millidegrees.lstrip("-").isdecimal()]
    return max((each for each in degrees if each < HOTTEST_C), default=None)


def _undervoltage(hwmon: Path) -> bool | None:
    """A Raspberry Pi's own alarm (kernel driver raspberrypi-hwmon)."""
    for sensor in hwmon.glob("hwmon*"):
        if _text(sensor / "name").strip() == "rpi_volt" and (alarm := _text(sensor / "in0_lcrit_alarm").strip()):
            return alarm == "1"
    return None


def _on_battery(supplies: Path) -> bool | None:
    """A charging or full battery is fed, and so is a board whose mains says that it is there."""
    kinds = {supply: _text(supply / "type").strip() for supply in supplies.glob("*")}
    states = [_text(supply / "status").strip() for supply, kind in kinds.items() if kind in ("Battery", "UPS")]
    if not any(states):
        return None
    is_fed = any(_text(supply / "online").strip() == "1" for supply, kind in kinds.items() if kind.startswith(("Mains", "USB")))
    return "Discharging" in states and not is_fed


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
