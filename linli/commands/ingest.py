"""``linli ingest``: run the centre, and say who may send to it and who may ask it."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from ingest import broker_acl, gateways, tokens
from ingest.config import CentreConfig, load
from ingest.gateways import GatewayEntry
from ingest.secret_file import read_key
from ingest.tokens import Role
from linli.blocking import Blocking
from linli.commands._database import database
from linli.report import log_to
from linli.stop import told_to_stop
from linli.turns import take_short_turns
from telemetry.identity import gateway_ref

_FILE = click.Path(dir_okay=False, path_type=Path)
_config = click.option("--config", type=_FILE, help="centre.yaml, which names the file. 中心端配置文件。")
_json = click.option("--json", "as_json", is_flag=True, help="For scripts. 供脚本使用。")

_COLLECT_AFTER = (50_000, 20, 10)
"""A centre makes readings by the million and hardly a cycle: looked for after each 700 allocations, as Python does of itself,
and among all that was loaded at the start, they took a fifth of its time."""


@click.group()
def ingest() -> None:
    """Run the centre; register gateways, issue tokens. 运行中心端;登记网关、签发令牌。"""


@ingest.command()
@click.option("--config", type=_FILE, required=True, help="centre.yaml. 中心端配置文件。")
def run(config: Path) -> None:
    """Run the centre until it is told to stop. 运行中心端,直到收到停止信号。"""
    from ingest import service  # all of the centre, which the other verbs do without

    log_to()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    take_short_turns()

    async def until_stopped() -> None:
        asyncio.get_running_loop().set_default_executor(Blocking())
        await service.run(config, told_to_stop())

    try:
        asyncio.run(until_stopped())
    finally:
        gc.unfreeze()  # else DuckDB ends with a page of complaints that it was never cleared away


@ingest.command()
@click.option("--config", type=_FILE, required=True, help="centre.yaml. 中心端配置文件。")
def check(config: Path) -> None:
    """Read everything that the centre reads at its start, and look up the names of receivers; start nothing.

    检查配置、规则、网关与令牌文件,并解析通知接收方的域名;不启动任何程序。
    """
    from ingest import service

    service.check_names(service.check(config))
    click.echo(f"{config}: good. 配置正确。")


ingest.add_command(database)


@ingest.group()
def gateway() -> None:
    """The gateways that may send. 允许接入的网关。"""


_gateways_file = click.option("--file", type=_FILE, help="The gateways file itself. 网关登记文件。")
_community = click.option("--community", required=True, help="Division code, 12 or 15 digits. 区划代码。")
_id = click.option("--id", "id_", required=True, help="The gateway's id. 网关编号。")


@gateway.command("add")
@_config
@_gateways_file
@_community
@_id
@click.option("--key-file", type=_FILE, required=True, help="The gateway's key, made by 'linli gateway init'. 网关密钥文件。")
@click.option("--site-key-file", type=_FILE, required=True, help="The community's privacy key. 社区隐私密钥文件。")
@click.option("--replace", is_flag=True, help="Change the keys of a registered gateway. 更换已登记网关的密钥。")
def gateway_add(
    config: Path | None, file: Path | None, community: str, id_: str, key_file: Path, site_key_file: Path, replace: bool
) -> None:
    """Register a gateway; a running centre takes it at once. 登记网关,运行中的中心端立即生效。"""
    ref = gateway_ref(community, id_)
    key, site_key = read_key(key_file, "the gateway's key"), read_key(site_key_file, "the community's privacy key")
    entry = GatewayEntry(community=ref.community, id=ref.gateway, key=key.hex(), site_key=site_key.hex())
    changed = gateways.add(_file_of(config, file, "gateways_file"), entry, replace=replace)
    click.echo(f"{ref}: {'registered' if changed else 'was registered already'}")


@gateway.command("list")
@_config
@_gateways_file
@_json
def gateway_list(config: Path | None, file: Path | None, as_json: bool) -> None:
    """List the registered gateways, without their keys. 列出已登记的网关(不含密钥)。"""
    path = _file_of(config, file, "gateways_file")
    entries = gateways.load_entries(path) if path.exists() else ()
    _print([{"community": entry.community, "id": entry.id} for entry in entries], as_json)


@gateway.command("acl")
@click.option("--config", type=_FILE, required=True, help="centre.yaml. 中心端配置文件。")
def gateway_acl(config: Path) -> None:
    """Print mosquitto's acl_file for the registered gateways. 生成 mosquitto 的访问控制文件。"""
    centre = load(config)
    path = centre.path(centre.centre.gateways_file)
    entries = gateways.load_entries(path) if path.exists() else ()
    click.echo(broker_acl.acl((entry.ref for entry in entries), centre.centre.root), nl=False)


@gateway.command("remove")
@_config
@_gateways_file
@_community
@_id
def gateway_remove(config: Path | None, file: Path | None, community: str, id_: str) -> None:
    """Take nothing more from a gateway. 注销网关。"""
    ref = gateway_ref(community, id_)
    if not gateways.remove(_file_of(config, file, "gateways_file"), ref):
        raise click.ClickException(f"{ref} is not registered")
    click.echo(f"{ref}: removed")


@ingest.group()
def token() -> None:
    """The tokens that open the API. 访问接口的令牌。"""


_tokens_file = click.option("--file", type=_FILE, help="The tokens file itself. 令牌文件。")
_ONCE = "This token is shown once; only its hash is kept. 令牌只显示这一次,请妥善保存。"
_name = click.option("--name", required=True, help="Whose it is. 令牌名称。")


@token.command("add")
@_config
@_tokens_file
@_name
@click.option("--scope", multiple=True, required=True, help="Division code or a prefix; repeatable. 区划代码前缀,可重复。")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="Each may what those before it may: viewer reads; platform acknowledges alerts, reports work orders; handler works on "
    "those of its unit; dispatcher sends them out and checks them; supervisor supervises; admin replays. "
    "权限依次递增:viewer 只读,platform 上报案件,handler 处置本单位案件,dispatcher 派遣核查,supervisor 督办,admin 补录。",
)
@click.option("--unit", help="The unit whose work orders it works on; by default its name. 处置单位,默认为令牌名称。")
@click.option("--days", type=click.IntRange(1, 3650), help="It ends after so many days. 有效天数。")
def token_add(
    config: Path | None, file: Path | None, name: str, scope: tuple[str, ...], role: str, unit: str | None, days: int | None
) -> None:
    """Make a token and show it, this once. 签发令牌,只显示一次。"""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds") if days else None
    made = tokens.add(_file_of(config, file, "tokens_file"), name, scope, Role(role), expires, unit)
    click.echo(made)
    click.echo(_ONCE, err=True)


@token.command("list")
@_config
@_tokens_file
@_json
def token_list(config: Path | None, file: Path | None, as_json: bool) -> None:
    """List the tokens by name, scope and role. 列出令牌的名称、范围和角色。"""
    path = _file_of(config, file, "tokens_file")
    entries = tokens.load_entries(path) if path.exists() else ()
    rows = [
        {
            "name": entry.name,
            "scope": list(entry.scope),
            "role": entry.role.value,
            "unit": entry.unit,
            "expires": entry.expires,
            "former_until": entry.former_until,
        }
        for entry in entries
    ]
    _print(rows, as_json)


@token.command("rotate")
@_config
@_tokens_file
@_name
@click.option(
    "--hours",
    type=click.IntRange(0, 720),
    default=24,
    show_default=True,
    help="The former one opens so long still. 旧令牌保留小时数。",
)
def token_rotate(config: Path | None, file: Path | None, name: str, hours: int) -> None:
    """Make a new token in the place of one and show it, this once. 更换令牌,新令牌只显示一次。"""
    until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")
    made = tokens.rotate(_file_of(config, file, "tokens_file"), name, until)
    if made is None:
        raise click.ClickException(f"no token is named {name!r}")
    click.echo(made)
    click.echo(_ONCE, err=True)


@token.command("remove")
@_config
@_tokens_file
@_name
def token_remove(config: Path | None, file: Path | None, name: str) -> None:
    """End a token; it opens nothing from now on. 吊销令牌,立即生效。"""
    if not tokens.remove(_file_of(config, file, "tokens_file"), name):
        raise click.ClickException(f"no token is named {name!r}")
    click.echo(f"{name}: removed")


def _file_of(config: Path | None, file: Path | None, key: str) -> Path:
    """The file that was named, or that ``key`` of the configuration names."""
    if (config is None) == (file is None):
        raise click.UsageError("give --config FILE or --file FILE")
    if file is not None:
        return file
    loaded: CentreConfig = load(Path(str(config)))
    return loaded.path(getattr(loaded.centre, key))


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        click.echo(
            "  ".join(", ".join(value) if isinstance(value, list) else str(value or "") for value in row.values()).rstrip()
        )
