"""``linli up``: a whole community on one machine, nothing else to install."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Everything it keeps. 数据目录。"
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port of the API on 127.0.0.1. 接口端口。"
)
@click.option("--token", default=None, help="A token of your own for the API; for tests only. 测试用令牌。")
@click.option(
    "--broker", default=None, metavar="URL", help="Use this MQTT broker instead of the embedded one. 使用外部 MQTT 代理。"
)
@click.option(
    "--store", default="duckdb", show_default=True, metavar="duckdb|influx:URL", help="Where telemetry goes. 遥测存储。"
)
@click.option(
    "--scenario", type=click.Path(path_type=Path), default=None, help="Another story for the simulators. 另一个模拟场景。"
)
@click.option(
    "--stage",
    type=click.Choice(["demo", "kinds"]),
    default="demo",
    show_default=True,
    help="Which community: kinds has a device for each kind of alert. 模拟哪个小区。",
)
@click.option(
    "--pace",
    type=click.FloatRange(1, 3600),
    default=None,
    help="How many times shorter rules wait; of kinds 2400, else 1. 规则等待时间缩短的倍数。",
)
@click.option("--only", multiple=True, metavar="KIND", help="Only what raises this kind of alert; repeat. 只演这些告警种类。")
@click.option("--no-sim", is_flag=True, help="No simulated devices. 不启动模拟设备。")
@click.option("--check", is_flag=True, help="Check everything, start nothing. 只检查,不启动。")
@click.option(
    "--report-fd", type=int, default=None, hidden=True, help="The gateway reports each committed reading on this descriptor."
)
def up(
    data: Path,
    port: int,
    token: str | None,
    broker: str | None,
    store: str,
    scenario: Path | None,
    stage: str,
    pace: float | None,
    only: tuple[str, ...],
    no_sim: bool,
    check: bool,
    report_fd: int | None,
) -> None:
    """Run everything on one machine, with a demo community.

    在一台机器上运行整个演示社区:代理、网关、中心端与模拟设备。
    """
    import asyncio

    from linli.demo import Options
    from linli.together import check_all, run

    options = Options(data, port, broker, store, scenario, not no_sim, stage, pace, only)
    if check:
        check_all(options)
        click.echo("everything is in order 检查通过")
    else:
        asyncio.run(run(options, token, report_fd))
