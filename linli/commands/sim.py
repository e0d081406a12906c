"""``linli sim``: plays a simulated world, and compares what it really said with what the centre stored."""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from device_profiles import load_library
from linli.asking import instant, read_token
from linli.report import log_to
from linli.stop import told_to_stop
from telemetry.reading import EARLIEST

if TYPE_CHECKING:
    from simulators.verify import Verdict

_FILE = click.Path(dir_okay=False, path_type=Path)
_DIR = click.Path(file_okay=False, path_type=Path)


@click.group()
def sim() -> None:
    """Simulated devices and their truth. 模拟设备及其真值日志。"""


@sim.command()
@click.argument("file", type=_FILE)
@click.option(
    "--broker", default="mqtt://127.0.0.1:1883", show_default=True, help="Where MQTT devices publish. MQTT 设备所用服务器。"
)
@click.option("--scenario", type=_FILE, help="Another story than the world's own. 换用其他剧本。")
@click.option("--only", multiple=True, metavar="KIND", help="Only what raises this kind of alert; repeat. 只演这些告警种类。")
@click.option("--speed", type=click.FloatRange(0.01, 3600), help="Virtual seconds a second. 虚拟时间倍速。")
@click.option("--seed", type=int, help="Another seed than the world's. 随机种子。")
@click.option("--truth", type=_FILE, help="Append the truth to this file. 真值日志文件。")
@click.option(
    "--run-dir", type=_DIR, default=Path("run"), show_default=True, help="Serial lines and the clock. 串口链接与时钟目录。"
)
@click.option("--port", "ports", multiple=True, metavar="BUS=PORT", help="Another TCP port for a bus. 指定总线的 TCP 端口。")
@click.option("--profiles", type=_DIR, multiple=True, help="More device profiles. 额外的设备档案目录。")
@click.option("--check", is_flag=True, help="Read the files and stop. 只检查文件。")
def run(
    file: Path,
    broker: str,
    scenario: Path | None,
    only: tuple[str, ...],
    speed: float | None,
    seed: int | None,
    truth: Path | None,
    run_dir: Path,
    ports: tuple[str, ...],
    profiles: tuple[Path, ...],
    check: bool,
) -> None:
    """Play the world in FILE until interrupted. 运行 FILE 描述的模拟社区。"""
    import simulators

    log_to()
    stage = simulators.load_stage(file, load_library(profiles), scenario, only)
    buses = [bus.id for bus in stage.world.buses if isinstance(bus, simulators.TcpBus)]
    chosen = dict(_bus_port(text, buses) for text in ports)
    if check:
        click.echo(f"{file}: {len(stage.world.devices)} devices, {len(stage.story.steps)} steps")
        for kind in sorted(stage.story.kinds):
            click.echo(kind)
        return

    async def play() -> None:
        await simulators.run(stage, broker, run_dir, truth, told_to_stop(), speed=speed, seed=seed, ports=chosen)

    asyncio.run(play())


@sim.command()
@click.option("--truth", type=_FILE, required=True, help="The truth log of 'sim run'. 真值日志文件。")
@click.option("--api", default="http://127.0.0.1:8080", show_default=True, help="The centre's API. 中心端接口地址。")
@click.option("--token-file", type=_FILE, required=True, help="A file with a token that may read. 令牌文件。")
@click.option("--from", "start", help="Compare from this instant (ISO 8601). 起始时间。")
@click.option("--to", "end", help="Compare up to this instant; default now. 结束时间。")
@click.option(
    "--ignore-missing", is_flag=True, help="For runs in which the broker itself was killed. 不计缺失(消息服务器曾被终止时)。"
)
@click.option("--json", "as_json", is_flag=True, help="Plain JSON on standard output. 输出 JSON。")
def verify(
    truth: Path, api: str, token_file: Path, start: str | None, end: str | None, ignore_missing: bool, as_json: bool
) -> None:
    """Compare what was stored with what was true; exit status 1 on any difference. 将入库数据与真值逐条比对。"""
    from simulators.stored import Readings
    from simulators.truth import Truth
    from simulators.verify import TOLERANCE_S
    from simulators.verify import verify as compare

    known = Truth.load(truth)
    first = instant(start, "--from") if start else EARLIEST
    last = instant(end, "--to") if end else time.time_ns() // 1000
    readings = Readings(api, read_token(token_file))
    try:
        stored = [row for device in known.devices() for row in readings.of(device, first, last + round(TOLERANCE_S * 1e6))]
    finally:
        readings.close()
    verdicts = compare(known, stored, first, last)
    if ignore_missing:
        verdicts = [
            msgspec.structs.replace(each, differences=tuple(one for one in each.differences if one.kind != "missing"))
            for each in verdicts
        ]
    if as_json:
        click.echo(msgspec.json.encode(verdicts).decode())
    else:
        _show(verdicts)
    sys.exit(1 if any(each.differences for each in verdicts) else 0)


def _show(verdicts: Sequence["Verdict"]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("device", no_wrap=True), "values compared", "messages sent", "events found", "differences")
    for each in verdicts:
        table.add_row(each.device, str(each.values), str(each.sent), str(each.found), str(len(each.differences)))
    console = Console()
    console.print(table)
    for each in verdicts:
        for difference in each.differences[:20]:
            clock = datetime.fromtimestamp(difference.at / 1e6).astimezone().isoformat(timespec="milliseconds")
            console.print(f"{difference.kind} {each.device} {clock}: {difference.words}", markup=False, highlight=False)


def _bus_port(text: str, buses: Sequence[str]) -> tuple[str, int]:
    bus, _, port = text.partition("=")
    if bus not in buses or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise click.BadParameter(f"{text!r} is not BUS=PORT; TCP buses: {', '.join(buses)}", param_hint="--port")
    return bus, int(port)
