"""``linli bus list`` and ``linli bus scan``."""

from pathlib import Path

import click

from edge.provisioning.buses import BusSeen, buses
from edge.provisioning.scan import Scan, Scanned
from linli.commands._installer import carried_out, config_option, console, json_option, opened, print_json, safe, table, with_bar


@click.group()
def bus() -> None:
    """Find units on a bus (reads only). 扫描总线上的设备(只读)。"""


@bus.command("list")
@config_option
@json_option
def list_(file: Path | None, as_json: bool) -> None:
    """Show the buses of a gateway and their devices. 列出总线。"""
    config, _ = opened(file)
    found = buses(config)
    if as_json:
        print_json(list(found))
        return
    rows = table("Buses 总线", "id", "type 类型", "end 端口", "setting 参数", "devices 设备")
    for one in found:
        rows.add_row(*map(safe, (one.id, one.type, _end(one), one.setting, ", ".join(one.devices) or "-")))
    console().print(rows)


@bus.command()
@config_option
@click.option("--bus", "bus_id", required=True, help="Bus id of gateway.yaml. 总线编号。")
@click.option("--from", "first", type=click.IntRange(1, 247), default=1, show_default=True, help="First unit. 起始地址。")
@click.option("--to", "last", type=click.IntRange(1, 247), default=247, show_default=True, help="Last unit. 结束地址。")
@click.option(
    "--baud",
    "settings",
    multiple=True,
    metavar="SETTING",
    help="Serial setting to try, as 9600 or 19200-8E1; repeat. 尝试的串口参数。",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.02, 10),
    default=0.3,
    show_default=True,
    help="Seconds to wait for a unit. 等待秒数。",
)
@click.option("--no-guess", is_flag=True, help="Do not try profiles. 不猜测型号。")
@json_option
def scan(
    file: Path | None,
    bus_id: str,
    first: int,
    last: int,
    settings: tuple[str, ...],
    timeout_s: float,
    no_guess: bool,
    as_json: bool,
) -> None:
    """Find the units that answer, and what they may be. Reads only. 查找应答的设备及可能的型号,只读。"""
    gateway = opened(file)
    asked = Scan(bus=bus_id, first=first, last=last, settings=settings, timeout_s=timeout_s, guess=not no_guess)
    found = with_bar(lambda progress: carried_out(gateway, asked, Scanned, progress), bus_id, shown=not as_json)
    if as_json:
        print_json(found)
        return
    _print(found)


def _print(found: Scanned) -> None:
    rows = table(
        f"Units on {safe(found.bus)} 总线上的设备",
        "unit 地址",
        "setting 参数",
        "03",
        "04",
        "ms",
        "device 已配置",
        "may be 可能型号",
    )
    for unit in found.units:
        guesses = ", ".join(f"{guess.profile} ({guess.points})" for guess in unit.guesses)
        if unit.fitting > len(unit.guesses):
            guesses += f" + {unit.fitting - len(unit.guesses)}"
        functions = (unit.functions.get("03", ""), unit.functions.get("04", ""))
        cells = (unit.unit_id, unit.setting, *functions, f"{unit.latency_ms:.0f}", unit.device, guesses)
        rows.add_row(*map(safe, cells))
    console().print(rows)
    if not found.units:
        click.echo(
            "Nobody answered: check A/B wires, power, baud rate (--baud) and unit ids. 无应答:请检查接线、电源、波特率与地址。"
        )
    elif any(unit.guesses for unit in found.units):
        click.echo(
            "A guess only says that every point reads plausibly; the label on the device decides. 猜测仅供参考,以铭牌为准。"
        )
        most = max(unit.fitting for unit in found.units)
        if most > 1:
            click.echo(
                f"Up to {most} models fit one unit: choose with linli device add --profile. "
                f"最多有 {most} 个型号相符,请用 --profile 选定。"
            )


def _end(one: BusSeen) -> str:
    return one.end if one.present is not False else f"{one.end} (not there 不存在)"
