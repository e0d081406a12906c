"""``linli edge plan``: the load of each bus, as a table or as JSON."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from device_profiles import load_library
from edge.bus_load import BusLoad, PollLoad, bus_load
from edge.config import load, profile_dirs
from edge.unit import units_on
from linli.commands._installer import console, print_json, safe, table

COLUMNS = ("device 设备", "unit 地址", "every 周期", "requests 请求", "bytes 字节", "ms", "share 占用", "becomes 实际")


def loads(config_file: Path, delay_s: float | None) -> list[BusLoad]:
    """What each bus of a gateway is asked to do. Raises ``ConfigInvalid``."""
    library = load_library(profile_dirs(config_file))
    config = load(config_file, library)
    return [bus_load(bus, units_on(bus, config.devices, library), delay_s) for bus in config.gateway.buses]


def show(asked: Sequence[BusLoad], *, as_json: bool) -> None:
    if as_json:
        print_json([{**msgspec.to_builtins(bus), "fits": bus.fits} for bus in asked])
        return
    for bus in asked:
        _show(bus)


def _show(bus: BusLoad) -> None:
    rows = table(f"{safe(bus.bus)} {bus.type} {safe(bus.end)}: {bus.share:.1%} of its time 总线占用", *COLUMNS)
    for unit in bus.units:
        for poll in unit.polls:
            rows.add_row(safe(unit.device), str(unit.unit_id), *_cells(poll))
    console().print(rows)
    click.echo(f"Assumed: a device takes {bus.assumed_delay_s * 1000:g} ms before it answers (--delay-ms). 假定的应答延迟。")
    if not bus.fits:
        click.echo(
            f"error: {bus.bus} cannot keep this schedule: ask less often (interval_s of a device), use a faster line or a second "
            "bus. 轮询计划无法完成:请加大周期、提高波特率或拆分总线。",
            err=True,
        )


def _cells(poll: PollLoad) -> tuple[str, ...]:
    return (
        f"{poll.interval_s:g} s",
        str(poll.requests),
        f"{poll.bytes_sent} + {poll.bytes_received}",
        f"{poll.seconds * 1000:.1f}",
        f"{poll.share:.2%}",
        f"{poll.becomes_s:.3g} s" if poll.becomes_s > poll.interval_s else "",
    )
