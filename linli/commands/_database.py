"""The centre's database as operators care for it, while no centre runs."""

from pathlib import Path

import click

from ingest.config import load

_FILE = click.Path(dir_okay=False, path_type=Path)
_config = click.option("--config", type=_FILE, required=True, help="centre.yaml, which names the database. 中心端配置文件。")


@click.group("db")
def database() -> None:
    """The centre's database: its revision, and moving it to PostgreSQL. 数据库版本与迁移。"""


@database.command()
@_config
def current(config: Path) -> None:
    """Say which revision the database has, and which this program brings it to; change nothing. 查看数据库版本,不作改动。"""
    from ingest import migrations
    from ingest.database import revision

    place = load(config).database
    click.echo(f"{place}: revision {revision(place) or 'none'}; this program's is {migrations.newest()}")


@database.command()
@_config
def upgrade(config: Path) -> None:
    """Bring the database up to date, as the next start would. 升级数据库(启动时也会自动升级)。"""
    from ingest import migrations
    from ingest.database import Database
    from ingest.service import claimed

    centre = load(config)
    with claimed(centre):
        Database(centre.database).close()
    click.echo(f"{centre.database}: revision {migrations.newest()}")


@database.command()
@_config
@click.option("--to", required=True, help="The revision that the older program named. 旧版程序的数据库版本。")
@click.confirmation_option(prompt="What only newer revisions hold is lost. Is there a copy? 新版本独有的数据将丢失,已备份?")
def downgrade(config: Path, to: str) -> None:
    """Take the database back to an older revision, before an older program is installed. 降级数据库。"""
    from ingest.database import take_back
    from ingest.service import claimed

    centre = load(config)
    with claimed(centre):
        take_back(centre.database, to)
    click.echo(f"{centre.database}: revision {to}")


@database.command()
@_config
@click.option("--from", "source", type=_FILE, help="The file; by default centre.db in the data folder. 源文件。")
def copy(config: Path, source: Path | None) -> None:
    """Fill the empty PostgreSQL database of centre.yaml with what a SQLite file holds. 将 SQLite 数据复制到 PostgreSQL。"""
    from ingest import service
    from ingest.database import Server
    from ingest.database import copy as copied

    centre = load(config)
    place = centre.database
    if not isinstance(place, Server):
        raise click.ClickException("centre.yaml names no PostgreSQL server: set database: postgresql://...")
    with service.claimed(centre):
        rows = copied(source or centre.data_dir / "centre.db", place)
    for table, count in rows.items():
        click.echo(f"{table}  {count}")
    click.echo(f"{place}: {sum(rows.values())} rows")
