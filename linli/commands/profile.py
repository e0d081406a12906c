"""``linli profile``: what device models are known, and whether a profile somebody writes is right."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import NAME_PATTERN

if TYPE_CHECKING:
    from device_profiles import Library, Point, Profile

WIDE = 160
_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable. 输出 JSON。")
_EXTRA = click.option(
    "--profiles",
    "extra",
    multiple=True,
    type=click.Path(path_type=Path),
    help="More profiles: a file or a folder. 另加档案文件或目录。",
)


@click.group()
def profile() -> None:
    """Show and check device profiles. 查看与检查设备型号档案。"""


@profile.command("list")
@_EXTRA
@_JSON
@click.option("--markdown", is_flag=True, help="As a page, with caveats and what is left out. 输出说明页面。")
def list_(extra: tuple[Path, ...], as_json: bool, markdown: bool) -> None:
    """Every device model that is known. 列出全部已知型号。"""
    known = list(_library(extra).profiles.values())
    if markdown:
        from device_profiles import catalogue

        click.echo(catalogue.markdown(known, catalogue.outside()), nl=False)
        return
    if as_json:
        _say_json([_summary(found) for found in known])
        return
    from rich.table import Table

    table = Table()
    for heading in ("id", "kind", "speaks", "confidence"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what it is")
    for found in known:
        table.add_row(found.id, found.kind, " ".join(_speaks(found)), found.confidence, f"{found.name.zh} {found.name.en}")
    _print(table)


@profile.command()
@click.argument("ids", metavar="ID", nargs=1)
@_EXTRA
@_JSON
def show(ids: str, extra: tuple[Path, ...], as_json: bool) -> None:
    """One model: its points, its requests, its notes. 显示一个型号的测点、读取计划与注意事项。"""
    found = _find(_library(extra), ids)
    if as_json:
        _say_json(_detail(found))
        return
    from rich.table import Table

    click.echo(f"{found.id}  {found.vendor} {found.model}\n{found.name.zh}  {found.name.en}\n")
    table = Table()
    for heading in ("point", "metric", "unit", "where", "range", "every s", "deadband", "lane"):
        table.add_column(heading, overflow="fold")
    for point in found.points.values():
        table.add_row(*("" if value is None else f"{value}" for value in _row(point).values()))
    _print(table)
    for line in _reach(found):
        click.echo(line)
    for name, parameter in found.parameters.items():
        default = "must be given" if parameter.default is None else f"default {parameter.default:g}"
        click.echo(f"parameter {name} ({default}): {parameter.meaning}")
    for note in found.notes:
        click.echo(f"note: {note}")


@profile.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Say everything wrong with profile files. 检查档案文件并列出全部问题。"""
    from device_profiles import load_file

    problems: list[Problem] = []
    for file in files:
        try:
            load_file(file)
        except ConfigInvalid as error:
            problems += error.problems
        else:
            click.echo(f"{file}: good")
    if problems:
        raise ConfigInvalid(problems)


@profile.command()
@click.argument("ids", metavar="[ID|FILE]...", nargs=-1)
@_EXTRA
@_JSON
def test(ids: tuple[str, ...], extra: tuple[Path, ...], as_json: bool) -> None:
    """Run the examples of profiles: real bytes in, values out. 用档案自带的真实报文检验解码。"""
    from device_profiles.examples import run

    outcomes = [(found.id, outcome) for found in _chosen(ids, extra) for outcome in run(found)]
    failed = [(id_, outcome) for id_, outcome in outcomes if outcome.faults]
    if as_json:
        _say_json([{"profile": id_, **outcome._asdict()} for id_, outcome in outcomes])
    else:
        for id_, outcome in failed:
            for fault in outcome.faults:
                click.echo(f"{id_} {outcome.name} ({outcome.origin}): {fault}")
        click.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} examples hold")
    if failed:
        sys.exit(1)


@profile.command()
@click.argument("id_", metavar="ID")
@click.option("--modbus", "speaks", flag_value="modbus", help="For a device on a bus. 用于总线设备。")
@click.option("--mqtt", "speaks", flag_value="mqtt", help="For a device that publishes. 用于 MQTT 设备。")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to put it. 存放目录。"
)
def new(id_: str, speaks: str | None, folder: Path) -> None:
    """Write the beginning of a profile: ID.yaml, to be filled by the manual. 新建一个待填写的型号档案。"""
    from device_profiles.skeleton import skeleton

    if not re.fullmatch(NAME_PATTERN, id_):
        raise ConfigInvalid([Problem("profile", id_, "is no id", "3 to 64 of a-z, 0-9 and -")])
    if speaks is None:
        raise ConfigInvalid([Problem("profile", id_, "speaks what?", "give --modbus or --mqtt")])
    file = folder / f"{id_}.yaml"
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(skeleton(id_, mqtt=speaks == "mqtt"))
    except FileExistsError:
        raise ConfigInvalid([Problem(str(file), "", "is there already", "choose another id")]) from None
    except OSError as error:
        raise ConfigInvalid([Problem(str(file), "", f"cannot be written: {error.strerror}")]) from error
    click.echo(f"{file}: fill every <blank>, then linli profile check {file}")


@profile.command()
def schema() -> None:
    """The JSON Schema of a profile file, for editors. 输出档案文件的 JSON Schema。"""
    from device_profiles.format import schema as of_format

    _say_json(of_format())


def _library(extra: tuple[Path, ...]) -> "Library":
    from device_profiles import load_library

    return load_library(extra)


def _find(library: "Library", id_: str) -> "Profile":
    from telemetry.document import nearest

    if id_ not in library.profiles:
        raise ConfigInvalid([Problem("profile", id_, "is not known", nearest(id_, library.profiles))])
    return library.profiles[id_]


def _chosen(ids: tuple[str, ...], extra: tuple[Path, ...]) -> Iterator["Profile"]:
    from device_profiles import load_file

    library = _library(extra)
    for id_ in ids or tuple(library.profiles):
        yield load_file(Path(id_)) if id_.endswith(".yaml") else _find(library, id_)


def _speaks(found: "Profile") -> list[str]:
    return [name for name, spoken in (("modbus", found.modbus), ("mqtt", found.mqtt)) if spoken is not None]


def _summary(found: "Profile") -> dict[str, object]:
    return {
        "id": found.id,
        "version": found.version,
        "kind": found.kind,
        "vendor": found.vendor,
        "model": found.model,
        "name": found.name,
        "speaks": _speaks(found),
        "confidence": found.confidence,
        "metrics": found.metrics,
    }


def _detail(found: "Profile") -> dict[str, object]:
    rows = [_row(point) for point in found.points.values()]
    asked = {name: {"meaning": one.meaning, "default": one.default} for name, one in found.parameters.items()}
    return {**_summary(found), "parameters": asked, "points": rows, "notes": found.notes, "sources": found.sources}


def _row(point: "Point") -> dict[str, object]:
    register = point.register
    return {
        "point": point.name,
        "metric": point.metric,
        "unit": point.unit,
        "where": f"{register.table} 0x{register.address:04X}" if register else point.derivation and point.derivation.formula.text,
        "range": f"{point.range[0]:g} to {point.range[1]:g}" if point.range else None,
        "interval_s": point.interval_s or None,
        "deadband": point.deadband or None,
        "lane": "urgent" if point.urgent else "bulk",
    }


def _reach(found: "Profile") -> Iterator[str]:
    """How a device is read or heard."""
    from device_profiles import plan

    for request in plan(found):
        points = ", ".join(request.points)
        yield f"reads {request.count} {request.table} from 0x{request.address:04X}: {points}"
    if found.mqtt is not None:
        yield from (f"hears {topic}" for topic in dict.fromkeys(rule.topic for rule in found.mqtt.rules))
        needed = ", ".join(sorted(found.mqtt.parameters))
        yield f"address needs: {needed}"
        if found.mqtt.optional:
            yield f"address may say: {', '.join(sorted(found.mqtt.optional))}"


def _say_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _print(table: object) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
