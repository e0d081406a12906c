"""``linli deadletter``: what could not be read or stored: looked at, tried again, dropped."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from linli.asking import centre, centre_options, wall

PATH = "/api/v1/deadletters"
_ids = click.argument("ids", nargs=-1, required=True, metavar="ID...")
_json = click.option("--json", "as_json", is_flag=True, help="For scripts. 供脚本使用。")


@click.group()
def deadletter() -> None:
    """What could not be read or stored; needs an admin token. 死信:无法解析或入库的数据(需 admin 令牌)。"""


@deadletter.command("list")
@click.option("--gateway", help="One gateway alone. 仅列出一个网关。")
@_json
@centre_options
def list_(gateway: str | None, as_json: bool, api: str, token_file: Path) -> None:
    """List dead letters, those that came last first. 列出死信,最新的在前。"""
    found: list[dict[str, Any]] = []
    with centre(api, token_file) as asked:
        page = asked.get(PATH, gateway=gateway, limit="500")
        found += page["items"]
        while page["next"] is not None:
            page = asked.get(PATH, gateway=gateway, cursor=page["next"], limit="500")
            found += page["items"]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for one in found:
        times = f"{one['times']} times, last " if one["times"] > 1 else ""
        click.echo(f"{one['id']}  {one['gateway']}  {times}{wall(one['last_at'])}  {one['size']} B  {printable(one['reason'])}")


@deadletter.command()
@click.argument("id_", metavar="ID")
@_json
@centre_options
def show(id_: str, as_json: bool, api: str, token_file: Path) -> None:
    """Show one dead letter with its bytes, as text or hex. 显示一条死信及其内容。"""
    with centre(api, token_file) as asked:
        found = asked.get(_path(id_))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    body = found.pop("body")
    for name, value in found.items():
        click.echo(f"{name}: {printable(str(value))}")
    click.echo(f"\n{printable(body)}")


@deadletter.command()
@_ids
@centre_options
def replay(ids: tuple[str, ...], api: str, token_file: Path) -> None:
    """Read letters again with this version; store what is sound. 用当前版本重新解析,合格的入库。

    Nothing of it reaches the rules. Exit status 0 when every letter is gone.
    """
    kept = 0
    with centre(api, token_file) as asked:
        for id_ in ids:
            tried = asked.post(f"{_path(id_)}/replay")
            kept += not tried["gone"]
            reason = f"; still aside: {printable(tried['reason'])}" if tried["reason"] else ""
            click.echo(f"{id_}: {tried['stored']} readings stored{reason}")
    sys.exit(1 if kept else 0)


@deadletter.command()
@_ids
@centre_options
def drop(ids: tuple[str, ...], api: str, token_file: Path) -> None:
    """Delete letters for good; audits go on naming them. 永久删除死信;核对时仍计为缺失。"""
    with centre(api, token_file) as asked:
        for id_ in ids:
            asked.delete(_path(id_))
            click.echo(f"{id_}: dropped")


def _path(id_: str) -> str:
    return f"{PATH}/{quote(id_, safe='')}"


def printable(text: str) -> str:
    """Without what could steer a terminal: a device wrote it."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else f"\\x{ord(character):02x}" for character in text
    )
