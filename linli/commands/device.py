"""``linli device probe | add | list | remove``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.config import profile_of
from edge.provisioning.add import Add, Added, Remove, Removed
from edge.provisioning.probe import PointRead, Probe, Probed, Seen, where
from linli.commands._installer import (
    carried_out,
    config_option,
    console,
    json_option,
    opened,
    pairs,
    print_json,
    safe,
    table,
)
from telemetry.metric import Kind

if TYPE_CHECKING:
    from rich.table import Table

WATCH_S = 2.0
_bus = click.option("--bus", "bus_id", help="Bus id of gateway.yaml. 总线编号。")
_unit = click.option("--unit", "unit_id", type=click.IntRange(0, 255), help="Modbus unit id. 设备地址。")
_broker = click.option("--broker", help="Broker id of gateway.yaml. MQTT 服务器编号。")
_topic = click.option(
    "--topic", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Parameter of the profile's topics; repeat. 主题参数。"
)
_parameter = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    callback=pairs,
    metavar="NAME=NUMBER",
    help="What the profile asks of the site, as ct=40; repeat. 现场参数,如互感器变比。",
)

_input = click.option(
    "--input",
    "inputs",
    multiple=True,
    callback=pairs,
    metavar="N=WORD",
    help="What input N means, as 1=released; N=WORD:inverted where it is open then; repeat. 输入含义,常闭接点加 :inverted。",
)
_kind = click.option(
    "--kind",
    type=click.Choice([each.value for each in Kind if each is not Kind.GATEWAY]),
    help="With --input, where its words are of several kinds. 输入含义所属类别。",
)


@click.group()
def device() -> None:
    """Probe, add, list and remove devices. 测试、添加、列出、移除设备。"""


@device.command()
@config_option
@click.option("--device", "device_id", help="A configured device. 已配置的设备。")
@click.option("--profile", help="Or a profile with an address. 或型号与地址。")
@_bus
@_unit
@_broker
@_topic
@_input
@_kind
@click.option(
    "--seconds", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, help="How long to hear MQTT. 监听秒数。"
)
@click.option("--watch", is_flag=True, help="Again and again until Ctrl-C. 持续刷新。")
@json_option
def probe(
    file: Path | None,
    device_id: str | None,
    profile: str | None,
    bus_id: str | None,
    unit_id: int | None,
    broker: str | None,
    topic: dict[str, str],
    inputs: dict[str, str],
    kind: str | None,
    seconds: float,
    watch: bool,
    as_json: bool,
) -> None:
    """Show live values, raw words and whether they are plausible. Reads only; ends with 1 on doubts. 测试设备,只读。"""
    if (device_id is None) == (profile is None):
        raise click.UsageError("give --device ID, or --profile with --bus and --unit or --broker and --topic")
    gateway = opened(file)
    asked = Probe(
        device=device_id,
        profile=profile,
        address=_address(bus_id, unit_id, broker, topic),
        inputs=_wired(inputs),
        kind=kind,
        seconds=seconds,
    )
    while True:
        probed = carried_out(gateway, asked, Probed, lambda step: None)
        if as_json:
            print_json(probed)
        else:
            console().print(tabled(probed))
        if not watch:
            raise SystemExit(1 if probed.doubts else 0)
        time.sleep(WATCH_S)


@device.command()
@config_option
@click.option("--id", "id_", required=True, help="Id of the place, stable for years. 位置编号。")
@click.option("--profile", required=True, help="Device profile; see 'linli profile list'. 型号档案。")
@_bus
@_unit
@_broker
@_topic
@_parameter
@_input
@_kind
@click.option("--place-zh", default="", help="Place in Chinese. 中文位置。")
@click.option("--place-en", default="", help="Place in English. 英文位置。")
@click.option("--zone", default="", help="Zone that rules join by. 区域。")
@click.option("--serial", default="", help="Serial number of the hardware. 序列号。")
@click.option("--interval", "interval_s", type=click.FloatRange(0.1, 86_400), help="Seconds between polls. 轮询间隔秒。")
@click.option(
    "--seconds", type=click.FloatRange(1, 600), default=60.0, show_default=True, help="How long to wait for MQTT. 等待秒数。"
)
@click.option("--accept", default="", metavar="WHY", help="Take it although it does not read plausibly. 忽略疑点并说明原因。")
@json_option
def add(
    file: Path | None,
    id_: str,
    profile: str,
    bus_id: str | None,
    unit_id: int | None,
    broker: str | None,
    topic: dict[str, str],
    parameters: dict[str, str],
    inputs: dict[str, str],
    kind: str | None,
    place_zh: str,
    place_en: str,
    zone: str,
    serial: str,
    interval_s: float | None,
    seconds: float,
    accept: str,
    as_json: bool,
) -> None:
    """Read a device, then write it into devices.yaml; a running agent takes it at once. 先读通设备,再写入配置。"""
    place = {name: text for name, text in (("zh", place_zh), ("en", place_en)) if text}
    given = {name: _number(name, value) for name, value in parameters.items()}
    optional = {"place": place, "zone": zone, "unit": serial, "interval_s": interval_s, "parameters": given}
    optional |= {"inputs": _wired(inputs), "kind": kind}
    plain: dict[str, Any] = {"id": id_, "profile": profile, "address": _address(bus_id, unit_id, broker, topic)}
    plain |= {name: value for name, value in optional.items() if value}
    gateway = opened(file)
    if broker and not as_json:
        click.echo(f"waiting up to {seconds:g} s for a message of {id_} ... 等待设备消息", err=True)
    added = carried_out(gateway, Add(device=plain, accept=accept, seconds=seconds), Added, lambda step: None)
    if as_json:
        print_json(added)
        return
    if added.already:
        click.echo(f"{id_} is there already, the same in everything; nothing was changed. 设备已存在,未作更改。")
        return
    if added.probed:
        console().print(tabled(added.probed))
    for doubt in added.waived:
        click.echo(f"accepted: {doubt}")
    click.echo(f"added {id_}. 已添加。")


@device.command("list")
@config_option
@json_option
def list_(file: Path | None, as_json: bool) -> None:
    """List the devices of a gateway. 列出设备。"""
    config, library = opened(file)
    if as_json:
        print_json(list(config.devices))
        return
    rows = table(
        "Devices 设备",
        "id",
        "profile 型号",
        "kind 类别",
        "address 地址",
        "place 位置",
        "zone 区域",
        "serial 序列号",
        "inputs 输入",
    )
    for one in config.devices:
        place = " ".join(filter(None, (one.place.zh, one.place.en)))
        kind = profile_of(one, library).kind
        inputs = [f"{name}: {'not ' if said.inverted else ''}{said.word}" for name, said in one.meanings.items()]
        plain = (one.id, one.profile, kind, where(config, one.address), place, one.zone, one.unit)
        rows.add_row(*map(safe, plain), "\n".join(map(safe, inputs)))
    console().print(rows)


@device.command()
@config_option
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask. 不再询问。")
@json_option
def remove(file: Path | None, id_: str, yes: bool, as_json: bool) -> None:
    """Take a device out of devices.yaml; what it measured stays. 移除设备,历史数据保留。"""
    gateway = opened(file)
    if not (yes or as_json):
        click.confirm(f"Stop reading {id_} and take it out of the configuration? 停止采集并移除?", abort=True)
    removed = carried_out(gateway, Remove(id_), Removed, lambda step: None)
    if as_json:
        print_json(removed)
        return
    click.echo(f"removed {removed.device}. 已移除。")


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{name}={value!r} is no number", param_hint="--parameter") from None


def _wired(inputs: dict[str, str]) -> dict[str, Any]:
    """As ``devices.yaml`` says it: a number is the input of that number."""
    found: dict[str, Any] = {}
    for number, said in inputs.items():
        word, _, how = said.partition(":")
        if how not in ("", "inverted"):
            raise click.BadParameter(f"{number}={said!r}: after the word only :inverted", param_hint="--input")
        found[f"input_{number}" if number.isdecimal() else number] = {"word": word, "inverted": True} if how else word
    return found


def _address(bus_id: str | None, unit_id: int | None, broker: str | None, topic: dict[str, str]) -> dict[str, Any]:
    given = {"bus": bus_id, "unit_id": unit_id, "broker": broker, "topic": topic or None}
    return {name: value for name, value in given.items() if value is not None}


def tabled(probed: Probed) -> "Table":
    if probed.points:
        rows = table(
            f"{safe(probed.profile)} at {safe(probed.where)}",
            "point 测点",
            "value 数值",
            "unit 单位",
            "raw 原始",
            "plausible 可信",
            "ms",
        )
        for row in probed.points:
            rows.add_row(*map(safe, _cells(row)))
        return rows
    rows = table(f"{safe(probed.profile)} at {safe(probed.where)}", "values 数值", "event id 事件", "quality 质量", "faults 问题")
    for seen in probed.observations:
        rows.add_row(*_observed(seen))
    for reason in probed.undecodable:
        rows.add_row(f"[red]{safe(reason)}[/red]", "", "bad", "")
    if not (probed.observations or probed.undecodable):
        rows.caption = "No message came: wake the device, check the topic. 未收到消息:请触发设备并检查主题。"
    return rows


def _cells(row: PointRead) -> tuple[str, ...]:
    value = "-" if row.value is None else f"{row.value:g}" if isinstance(row.value, float) else str(row.value)
    words = " ".join(f"{word:04x}" for word in row.words)
    verdict = "yes" if row.is_plausible else f"NO: {row.reason or 'no value'}"
    point = row.point if row.metric in (None, row.point) else f"{row.point}: {row.metric}"
    return point, value, row.unit, words, verdict, "" if row.latency_ms is None else f"{row.latency_ms:.0f}"


def _observed(seen: Seen) -> tuple[str, ...]:
    """Cells already safe, so that the line breaks between values stay."""
    values = "\n".join(safe(f"{name} = {value}") for name, value in seen.values.items())
    faults = "\n".join(safe(f"{name}: {reason}") for name, reason in seen.faults.items())
    return values, safe(seen.event_id or ""), safe(seen.quality), faults
