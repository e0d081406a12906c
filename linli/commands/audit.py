"""``linli audit``: whether anything that gateways accepted is missing at the centre, and why."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from linli.asking import centre, centre_options, instant, wall

DAY_US = 24 * 3600 * 1_000_000
NO_COUNT = "this store cannot be counted reading by reading, so nothing was compared 该存储无法逐条比对"


@click.command()
@click.option("--from", "start", help="From the hour of this instant (ISO 8601); default a day ago. 起始时间,默认一天前。")
@click.option("--to", "end", help="To the hour of this instant; default now. 结束时间,默认现在。")
@click.option("--gateway", help="One gateway alone. 仅核对一个网关。")
@click.option("--json", "as_json", is_flag=True, help="For scripts. 供脚本使用。")
@centre_options
def audit(start: str | None, end: str | None, gateway: str | None, as_json: bool, api: str, token_file: Path) -> None:
    """Say whether any accepted reading is missing, and why. 核对已接收的读数是否全部入库,缺失的说明原因。

    Exit status 0 when everything was compared and nothing is unexplained, else 1.
    """
    first, last = span(start, end)
    with centre(api, token_file) as asked:
        found = asked.get("/api/v1/audit", from_=str(first), to=str(last), gateway=gateway)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        for line in lines(found):
            click.echo(line)
    sys.exit(0 if found["proved"] else 1)


def span(start: str | None, end: str | None) -> tuple[int, int]:
    """The instants of ``--from`` and ``--to``, UTC microseconds."""
    last = instant(end, "--to") if end else time.time_ns() // 1000
    return instant(start, "--from") if start else last - DAY_US, last


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What an audit says, for people: the sum first, then what is missing, then what is still at gateways."""
    yield f"{wall(found['from'])} to {wall(found['to'])}"
    if found["stored"] is None:
        yield f"{found['accepted']} readings accepted; {NO_COUNT}"
    else:
        yield f"{found['accepted']} readings accepted, {found['stored']} stored, {found['missing']} missing"
    if found["unexplained"]:
        yield f"UNEXPLAINED: {found['unexplained']} readings 原因不明"
    for one in found["findings"]:
        yield _finding(one)
    if found["more_findings"]:
        yield f"... and {found['more_findings']} more findings: ask for one gateway or a shorter time"
    for one in found["pending"]:
        yield f"{one['gateway']}: {one['batches']} batches still at the gateway, as it said at {wall(one['said_at'])}"


def _finding(one: dict[str, Any]) -> str:
    what = {None: "some readings", 1: "1 reading"}.get(one["readings"], f"{one['readings']} readings")
    device = f" of {one['device']}" if one["device"] else ""
    return f"{one['gateway']} {wall(one['from'])} to {wall(one['to'])}: {what}{device}, {one['cause']}: {one['reason']}"
