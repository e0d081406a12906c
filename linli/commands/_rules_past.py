"""``linli rules replay`` and ``linli rules explain``: the running centre is asked what rules would have raised, and why they did
or did not."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from linli.asking import centre, centre_options, instant, wall
from telemetry.errors import ConfigInvalid, Problem

WEEK_US = 7 * 24 * 3_600_000_000
PAGE = "1000"


@click.command()
@click.option("--rule", help="A rule in force. 现行规则。")
@click.option("--rules", "file", type=click.Path(dir_okay=False, path_type=Path), help="A file of rules to try. 待试规则文件。")
@click.option("--from", "start", help="From this instant (ISO 8601); default a week ago. 起始时间,默认一周前。")
@click.option("--to", "end", help="Before this instant; default now. 结束时间,默认现在。")
@click.option("--community", help="One community alone. 仅一个小区。")
@click.option("--gateway", help="One gateway alone. 仅一个网关。")
@click.option("--device", help="One device alone. 仅一台设备。")
@click.option("--json", "as_json", is_flag=True, help="For scripts. 供脚本使用。")
@centre_options
def replay(
    rule: str | None,
    file: Path | None,
    start: str | None,
    end: str | None,
    as_json: bool,
    api: str,
    token_file: Path,
    **where: str | None,
) -> None:
    """Say what a rule would have raised over stored readings, and what was raised. 用历史数据回放规则,与实际告警对比。

    Give --rule or --rules. Every alert is listed. Nothing is changed; the token needs the role supervisor.
    """
    if (rule is None) == (file is None):
        raise click.UsageError("give either --rule or --rules")
    last = instant(end, "--to") if end else time.time_ns() // 1000
    span = {"from": str(instant(start, "--from") if start else last - WEEK_US), "to": str(last)}
    asked = span | {name: value for name, value in where.items() if value is not None} | {"limit": PAGE}
    body = None if file is None else {"rules": _text(file)}
    with centre(api, token_file) as it:

        def page(**more: str) -> dict[str, Any]:
            if body is not None:
                answer = it.post("/api/v1/rules/replay", asked | body | more)
            else:
                answer = it.get(f"/api/v1/rules/{rule}/replay", **asked, **more)
            found: dict[str, Any] = answer
            return found

        first = page()
        for piece in replay_json(first, page) if as_json else replay_lines(first, page):
            click.echo(piece, nl=not as_json)


@click.command()
@click.argument("alert", required=False)
@click.option("--rule", help="Why this rule did not speak. 该规则为何未告警。")
@click.option("--device", help="... for this device. 该设备。")
@click.option("--at", help="... at this instant (ISO 8601). 该时刻。")
@click.option("--community", help="Where several devices have the id. 设备编号重复时指明小区。")
@click.option("--gateway", help="Where several devices have the id. 设备编号重复时指明网关。")
@click.option("--json", "as_json", is_flag=True, help="For scripts. 供脚本使用。")
@centre_options
def explain(
    alert: str | None,
    rule: str | None,
    device: str | None,
    at: str | None,
    as_json: bool,
    api: str,
    token_file: Path,
    **where: str | None,
) -> None:
    """Say why an alert was raised, or why a rule raised none. 解释告警的原因,或规则为何未告警。

    Give the id of an ALERT, or --rule, --device and --at.
    """
    if (alert is None) == (rule is None) or (rule is not None and not (device and at)):
        raise click.UsageError("give the id of an alert, or --rule, --device and --at")
    with centre(api, token_file) as it:
        if alert is not None:
            found = it.get(f"/api/v1/alerts/{alert}/explanation")
        else:
            asked = {"device": device, "at": str(instant(at or "", "--at")), **where}
            found = it.get(f"/api/v1/rules/{rule}/explanation", **asked)
    lines = alert_lines(found) if alert is not None else silence_lines(found)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines))


Page = Callable[..., dict[str, Any]]
"""Asks for a replay's page; ``cursor`` says which, if not the first."""


def pages(first: dict[str, Any], page: Page) -> Iterator[dict[str, Any]]:
    """``first`` and those after it."""
    found = first
    yield found
    while found["next"] is not None:
        found = page(cursor=found["next"])
        yield found


def replay_json(first: dict[str, Any], page: Page) -> Iterator[str]:
    """One document of the whole in pieces, as its pages come."""
    head = {name: value for name, value in first.items() if name not in ("items", "missed", "more", "next")}
    missed: list[str] = []
    yield f"{json.dumps(head, ensure_ascii=False)[:-1]}, "
    before = '"items": [\n'
    for found in pages(first, page):
        missed += found["missed"]
        for one in found["items"]:
            yield f"{before}{json.dumps(one, ensure_ascii=False)}"
            before = ",\n"
    yield f'{"" if first["alerts"] else before}], "missed": {json.dumps(missed)}}}\n'


def replay_lines(first: dict[str, Any], page: Page) -> Iterator[str]:
    yield f"{wall(first['from'])} to {wall(first['to'])}: {first['readings']} readings 读数"
    yield (
        f"{first['alerts']} alerts would have been raised 将产生告警 ({first['per_day']:g} a day 每日);"
        f" {first['fired']} were 实际 ({first['both']} in both 相同)"
    )
    if first["flood_minutes"]:
        yield f"{first['flood_minutes']} minutes with more than ten in ten minutes 告警风暴分钟"
    for device, count in first["top"]:
        yield f"{count:6} {device}"
    for found in pages(first, page):
        for one in found["items"]:
            fired = "" if one["fired"] else " NEW 新增"
            until = wall(one["cleared_at"]) if one["cleared_at"] else "..."
            yield f"{wall(one['opened_at'])} to {until} {one['rule']} {one['gateway']}/{one['device']} x{one['count']}{fired}"
        for alert in found["missed"]:
            yield f"{alert} was raised and would not have been 实际告警,回放未产生"


def alert_lines(found: dict[str, Any]) -> Iterator[str]:
    yield found["sentence"]["zh"]
    yield found["sentence"]["en"]
    if found["rule"] is None:
        yield "the rule is gone 规则已删除"
    elif found["rule_version"] != found["rule_version_now"]:
        yield f"the rule was changed since 规则已修改: {found['rule_version']} -> {found['rule_version_now']}"
    yield from _shared(found)
    held = [f"{name} {value}" for name, value in found["held_back"].items() if value]
    if held:
        yield f"held back 未通知: {', '.join(held)}"
    for line in found["journal"]:
        known = "" if line["known_at"] == line["event_at"] else f" (known {wall(line['known_at'])})"
        yield f"{wall(line['event_at'])} {line['transition']}{known} {line['actor']} {line['note']}".rstrip()


def silence_lines(found: dict[str, Any]) -> Iterator[str]:
    for one in found["reasons"]:
        yield f"{one['zh']}。 {one['en'].capitalize()}."
    yield f"phase 状态: {found['phase']}; rule version 规则版本: {found['rule_version']}"
    yield from _shared(found)


def _shared(found: dict[str, Any]) -> Iterator[str]:
    limit = found["limit"]
    if limit is not None:
        since = f" from {limit['valid_from']}" if limit["valid_from"] else ""
        until = f" to {limit['valid_to']}" if limit["valid_to"] else ""
        yield f"limit 限值: {limit['value']:g} {limit['clause']}{since}{until}".rstrip()
    for one in found["trace"]:
        values = " ".join(f"{name}={value}" for name, value in one["values"].items())
        yield f"  {wall(one['at'])} {one['device'] or '(time 时间)'} {values} -> {one['phase']} {one['change']}".rstrip()
    health = found["health"]
    online = {True: "online 在线", False: "offline 离线", None: "not heard yet 尚无数据"}
    yield f"device 设备: {online[health['device_online']]}; gateway 网关: {online[health['gateway_online']]}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid([Problem(str(file), "", "cannot be read", "name a file of rules in UTF-8")]) from error
