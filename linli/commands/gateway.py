"""``linli gateway init``."""

import secrets
from pathlib import Path

import click

from edge.provisioning.init import NewGateway, make_gateway
from telemetry.presence import Words


@click.group()
def gateway() -> None:
    """Make a gateway's configuration. 生成网关配置。"""


@gateway.command()
@click.option("--community", required=True, help="Division code, 12 or 15 digits. 社区区划代码。")
@click.option("--id", "id_", required=True, help="Gateway id, unique in the community: [a-z0-9-]. 网关编号。")
@click.option("--name-zh", default="", help="Name in Chinese. 中文名称。")
@click.option("--name-en", default="", help="Name in English. 英文名称。")
@click.option("--broker", required=True, metavar="URL", help="The centre's broker, mqtts://host[:port]. 中心端 MQTT 地址。")
@click.option("--ca-file", default="", help="Certificate that signed the broker's; not copied. 服务器 CA 证书(不复制)。")
@click.option(
    "--site-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The community's privacy key, when another gateway has it already; else a new one. 已有的社区隐私密钥文件。",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to (default: here). 目标目录。",
)
def init(
    community: str, id_: str, name_zh: str, name_en: str, broker: str, ca_file: str, site_key: Path | None, folder: Path
) -> None:
    """Write gateway.yaml, devices.yaml and keys; overwrite nothing. 生成配置与密钥,绝不覆盖已有文件。"""
    new = NewGateway(community=community, id=id_, broker=broker, name=Words(name_zh, name_en), ca_file=ca_file, site_key=site_key)
    made = make_gateway(new, folder, lambda: secrets.token_hex(32))
    for name in made.created:
        click.echo(f"wrote {folder / name}")
    for name in made.kept:
        click.echo(f"kept  {folder / name} (it was there)")
    click.echo("\nTake both keys to the centre and register the gateway there: 将两个密钥带到中心端登记:")
    click.echo(f"  {made.register}")
    click.echo("Name the buses in gateway.yaml, then: 填写总线后:")
    click.echo(f"  linli bus scan --config {folder / 'gateway.yaml'} --bus ID")
