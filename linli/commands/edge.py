"""``linli edge``: the gateway agent."""

import asyncio
import sys
from pathlib import Path

import click

from device_profiles import load_library
from edge.config import load, profile_dirs
from linli.report import log_to
from linli.stop import told_to_stop
from linli.turns import take_short_turns

_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The gateway's gateway.yaml. 网关配置文件。",
)


@click.group()
def edge() -> None:
    """Run a gateway. 运行网关。"""


@edge.command()
@_CONFIG
@click.option("--report-fd", type=int, help="Write each committed key to this descriptor. 将每条已落盘读数的键写入此描述符。")
def run(config_file: Path, report_fd: int | None) -> None:
    """Read the devices and carry their readings to the centre, until stopped. 采集设备数据并上送中心,直到停止。"""
    log_to()
    take_short_turns()
    asyncio.run(_run(config_file, report_fd))


@edge.command()
@_CONFIG
def check(config_file: Path) -> None:
    """Check the configuration and start nothing. 检查配置,不启动。"""
    config = load(config_file, load_library(profile_dirs(config_file)))
    gateway = config.gateway
    click.echo(
        f"{config_file}: good. {gateway.gateway.id}: {len(config.devices)} devices, "
        f"{len(gateway.buses)} buses, {len(gateway.brokers)} device brokers. 配置正确。"
    )


@edge.command()
@_CONFIG
@click.option(
    "--delay-ms",
    type=click.FloatRange(0, 10_000),
    help="What a device takes before it answers [20 on a line, 10 on a network]. 设备应答延迟。",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output. 以 JSON 输出。")
def plan(config_file: Path, delay_ms: float | None, as_json: bool) -> None:
    """Show what each bus is asked to do, and whether it can. 显示各总线的轮询负载及能否完成。

    Ends with 1 when a schedule cannot be kept, and shows how far its polls will stretch.
    """
    from linli.commands._bus_plan import loads, show

    asked = loads(config_file, None if delay_ms is None else delay_ms / 1000)
    show(asked, as_json=as_json)
    if not all(load.fits for load in asked):
        sys.exit(1)


async def _run(config_file: Path, report_fd: int | None) -> None:
    from edge.agent import run as run_agent
    from linli.blocking import Blocking

    asyncio.get_running_loop().set_default_executor(Blocking())
    await run_agent(config_file, report_fd=report_fd, stop=told_to_stop())
