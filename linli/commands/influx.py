"""``linli influx``: prepare a server of InfluxDB for the centre."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import click

from ingest.config import load
from ingest.store.profile import Address
from ingest.store.setup import Wish, identified, prepared
from ingest.store.spec import PASSWORD, USER, place_of, with_secret, with_tls
from telemetry.errors import ConfigInvalid, Problem

ADMIN_USER, ADMIN_PASSWORD, ADMIN_TOKEN = (f"LINLI_INFLUX_ADMIN_{word}" for word in ("USER", "PASSWORD", "TOKEN"))
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def influx() -> None:
    """Prepare a server of InfluxDB. 准备 InfluxDB 服务器。"""


@influx.command()
@click.option("--config", type=_FILE, required=True, help="centre.yaml, whose store is meant. 中心端配置文件。")
@click.option("--retention-days", type=click.IntRange(1, 36_500), help="Keep readings so long. 数据保留天数。")
@click.option("--shorten", is_flag=True, help="Even if that deletes older ones. 允许缩短保留期(删除更早的数据)。")
@click.option("--admin-token-file", type=_FILE, help="The administrator's token, mode 0600. 管理员令牌文件。")
def setup(config: Path, retention_days: int | None, shorten: bool, admin_token_file: Path | None) -> None:
    """Make database or bucket, retention, mapping and token; say what was done. 创建数据库、保留期、映射与令牌。

    Run again it changes nothing. The administrator speaks through LINLI_INFLUX_ADMIN_USER and LINLI_INFLUX_ADMIN_PASSWORD
    (InfluxDB 1.x), or LINLI_INFLUX_ADMIN_TOKEN or a file (2.x, 3.x). On 1.x the user in LINLI_INFLUX_USER is made too.
    """
    centre = load(config)
    if centre.centre.store == "duckdb":
        raise ConfigInvalid([Problem(str(config), "store", "duckdb needs no server", "name a server as influx:URL")])
    place = with_tls(place_of(centre.centre.store), centre.store_tls)
    wish = Wish(
        _administered(place, admin_token_file),
        timedelta(days=retention_days) if retention_days else None,
        shorten,
        _login(),
        centre.store_token_file,
    )
    profile = place.profile or asyncio.run(identified(wish.address))
    click.echo(f"{place}: {profile.value}")
    for line in prepared(wish, profile):
        click.echo(line)


def _administered(place: Address, token_file: Path | None) -> Address:
    user, password = os.environ.get(ADMIN_USER), os.environ.get(ADMIN_PASSWORD)
    return with_secret(place, user, password, os.environ.get(ADMIN_TOKEN, ""), token_file)


def _login() -> tuple[str, str] | None:
    user = os.environ.get(USER)
    return (user, os.environ.get(PASSWORD, "")) if user else None
