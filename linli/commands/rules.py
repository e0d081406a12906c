"""``linli rules``: what rules there are, whether a file of them is right, and whether they raise what they should."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from linli.asking import centre, centre_if_asked
from linli.commands._rules_past import explain, replay
from linli.paths import config_dir
from telemetry.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from ingest.alerts import Rules
    from ingest.alerts.rules import Watcher
    from ingest.alerts.site import Site
    from ingest.alerts.trial import Loaded, Outcome

WIDE = 160
_PATHS = click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="For scripts. 供脚本使用。")


@click.group()
def rules() -> None:
    """Alert rules: list, check, test, replay, explain. 告警规则的列出、检查、测试、回放与解释。"""


rules.add_command(replay)
rules.add_command(explain)


@rules.command()
@_PATHS
@centre_if_asked
def check(paths: tuple[Path, ...], api: str, token_file: Path | None) -> None:
    """Say everything wrong with rules: files or folders of them, or those that ship. 检查规则文件并列出全部问题。

    With --token-file also devices, zones, profiles and communities that the centre's inventory does not have.
    给出令牌时,还检查规则所写的设备、分区、型号与小区是否存在。
    """
    found = _load(paths, None if token_file is None else _site(api, token_file))
    click.echo(f"{len(found)} rules of {len({one.rule.kind for one in found.watchers.values()})} kinds: good. 规则正确。")


@rules.command("list")
@_PATHS
@_JSON
def list_(paths: tuple[Path, ...], as_json: bool) -> None:
    """Every rule with the kind of alert it raises. 列出全部规则及其告警种类。"""
    found = _load(paths)
    rows = [_row(found, watcher) for watcher in found.watchers.values()]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("rule", "kind", "type", "colour", "handler", "what it says"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        title = row["title"]
        assert isinstance(title, dict)
        handler = row["handler"]
        assert isinstance(handler, list)
        table.add_row(
            str(row["id"]),
            str(row["kind"]),
            str(row["type"]),
            str(row["colour"]),
            " ".join(handler),
            f"{title['zh']} {title['en']}",
        )
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


@rules.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--variant", "variants", multiple=True, help="Only so: plain, restarts, twice, late, ... 只运行指定的投递方式。")
@_JSON
def test(files: tuple[Path, ...], variants: tuple[str, ...], as_json: bool) -> None:
    """Run tables of tests: readings in, episodes out, however they are delivered. 运行规则测试表。

    Each case runs as it is, with restarts, duplicates, delays and out of order. FILE may be a folder. Exit status 1 if one fails.
    """
    from ingest.alerts import trial

    if unknown := set(variants) - set(trial.VARIANTS):
        cure = f"one of {', '.join(trial.VARIANTS)}"
        raise ConfigInvalid([Problem("--variant", "", f"no variant {', '.join(sorted(unknown))}", cure)])
    tables = [trial.load_table(file) for path in files for file in _tables(path)]
    outcomes = [(table.file, one) for table in tables for one in asyncio.run(_outcomes(table, variants or trial.VARIANTS))]
    failed = [(file, one) for file, one in outcomes if one.faults]
    if as_json:
        rows = [{"file": str(file), **one._asdict()} for file, one in outcomes]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    else:
        for file, one in failed:
            for fault in one.faults:
                click.echo(f"{file}: {one.case} ({one.variant}): {fault}")
        click.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs hold. 通过 {len(outcomes) - len(failed)} 项。")
    if failed:
        sys.exit(1)


@rules.command()
def schema() -> None:
    """The JSON Schema of a rules file, for editors. 输出规则文件的 JSON Schema。"""
    from ingest.alerts.schema import schema as of_file

    click.echo(msgspec.json.format(msgspec.json.encode(of_file()), indent=2).decode())


async def _outcomes(table: "Loaded", variants: tuple[str, ...]) -> "list[Outcome]":
    from ingest.alerts import trial

    return [one async for one in trial.run(table, variants)]


def _tables(path: Path) -> list[Path]:
    found = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    if not found:
        raise ConfigInvalid([Problem(str(path), "", "holds no *.yaml", "name a folder of tables or a file")])
    return found


def _load(paths: tuple[Path, ...], site: "Site | None" = None) -> "Rules":
    from ingest.alerts import load_rules

    return load_rules(paths or (config_dir() / "rules",), site=site)


def _site(api: str, token_file: Path) -> "Site":
    """What the centre knows of, and the words that ship: a zone of the catalogue is known before a device stands in it."""
    from device_profiles import load_library
    from ingest.alerts.site import Place, Site

    with centre(api, token_file) as it:
        devices, gateways = it.get("/api/v1/devices")["items"], it.get("/api/v1/gateways")["items"]
    places = [Place(one["community"], one["id"], one["kind"], one["profile"], one["zone"]) for one in devices]
    places += [Place(one["community"], one["id"], "gateway") for one in gateways]
    zones = {zone for watcher in _load(()).watchers.values() for zone in watcher.rule.applies_to.zones}
    return Site(places, zones, load_library().profiles)


def _row(found: "Rules", watcher: "Watcher") -> dict[str, object]:
    rule = watcher.rule
    kind = found.kinds.get(rule.kind)
    return {
        "id": rule.id,
        "kind": rule.kind,
        "number": kind.number if kind else None,
        "family": rule.family,
        "type": str(rule.when.__struct_config__.tag),
        "colour": rule.colour,
        "stages": [stage.colour for stage in rule.stages],
        "title": {"zh": rule.title.zh, "en": rule.title.en},
        "subject": rule.subject,
        "during": rule.during,
        "handler": list(kind.handler) if kind else [],
        "sla": kind.sla if kind else None,
        "private": bool(kind and kind.private),
        "overrides": len(watcher.overrides),
    }
