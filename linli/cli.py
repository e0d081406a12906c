"""The command ``linli``: finds a verb's module by its name and imports nothing else, so that every verb starts fast.

Each module in ``linli.commands`` holds one click command or group under the verb's name.
"""

import sys
from importlib import import_module

import click

import linli.lean  # noqa: F401  # before anything that logs
from linli.report import failure, failures
from telemetry import __version__
from telemetry.errors import LinliError

VERBS = {
    "up": "Everything on one machine, with a demo community. 在一台机器上运行整个演示社区。",
    "edge": "Run a gateway. 运行网关。",
    "ingest": "Run the centre; register gateways, issue tokens. 运行中心端;登记网关、签发令牌。",
    "rules": "Alert rules: list, check, test. 告警规则的列出、检查与测试。",
    "audit": "Say whether anything is missing, and why. 核对数据是否完整。",
    "replay": "Refill the store from what gateways keep. 从网关补录数据。",
    "deadletter": "What could not be read: list, show, replay, drop. 死信的查看与处理。",
    "influx": "Prepare a server of InfluxDB. 准备 InfluxDB 服务器。",
    "gateway": "Make a gateway's configuration. 生成网关配置。",
    "bus": "Find units on a bus (reads only). 扫描总线上的设备(只读)。",
    "device": "Probe, add, list and remove devices. 测试、添加、列出、移除设备。",
    "profile": "Show and check device profiles. 查看与检查设备型号档案。",
    "sim": "Simulated devices and their truth. 模拟设备及其真值日志。",
    "tap": "Print decoded batches as they pass. 实时显示经过的数据批次。",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = getattr(import_module(f"linli.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=_Verbs, name="linli", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="linli")
def command_line() -> None:
    """Linli 邻里: edge gateway and telemetry for residential communities.

    智慧社区边缘网关与遥测接入系统。
    """


def main() -> None:
    """The entry point: an error of ours is said in plain lines, never as a traceback; its exit status is 2 for bad
    configuration, 3 when a program must start again from what is stored, and 1 for anything else that did not work."""
    try:
        command_line()
    except LinliError as error:
        sys.exit(failure(error))
    except BaseExceptionGroup as group:  # of a program whose parts end as one
        ours, others = group.split(LinliError)
        status = failure(*failures(ours)) if ours is not None else 1
        if others is not None:
            raise others from None
        sys.exit(status)
    except ModuleNotFoundError as error:  # a gateway has no database of the centre, a centre no serial ports
        click.echo(f"error: {error.name} is not installed (pip install 'linli[edge]', 'linli[ingest]' or 'linli[all]')", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
