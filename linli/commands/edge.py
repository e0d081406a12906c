"""``linli edge``: the gateway agent."""

import asyncio
from pathlib import Path

import click

from device_profiles import load_library
from edge.config import load, profile_dirs
from linli.report import log_to
from linli.stop import told_to_stop

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


async def _run(config_file: Path, report_fd: int | None) -> None:
    from edge.agent import run as run_agent

    await run_agent(config_file, report_fd=report_fd, stop=told_to_stop())
