"""``linli replay``: have gateways send again what a store lost, and wait until it is there."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from linli.asking import Centre, centre, centre_options
from linli.commands.audit import lines, span

LOOK_S = 1.0


@click.command()
@click.option("--from", "start", required=True, help="Batches sealed from this instant on (ISO 8601). 起始时间。")
@click.option("--to", "end", help="And before this one; default now. 结束时间,默认现在。")
@click.option("--gateway", help="One gateway alone. 仅补录一个网关。")
@centre_options
def replay(start: str, end: str | None, gateway: str | None, api: str, token_file: Path) -> None:
    """Refill the telemetry store from what gateways still keep. 从网关保留的数据补录遥测存储。

    Gateways keep what was acknowledged for a day, if there is room. Nothing of it reaches the rules; what is stored already
    stays as it is. Needs a token with the role admin. Exit status 0 when every gateway sent all that it keeps.
    """
    first, last = span(start, end)
    with centre(api, token_file) as asked:
        scope = {"from_": str(first), "to": str(last), "gateway": gateway}
        before = asked.get("/api/v1/audit", **scope)
        body = {"from": str(first), "to": str(last)} | ({"gateway": gateway} if gateway else {})
        found = _follow(asked, asked.post("/api/v1/replays", body))
        after = asked.get("/api/v1/audit", **scope)
    for line in (*_sums(found, before, after), *lines(after)):
        click.echo(line)
    sys.exit(0 if found["well"] else 1)


def _follow(asked: Centre, found: dict[str, Any]) -> dict[str, Any]:
    """Prints each gateway's progress where it changes, until the replay is over: the centre bounds how long that takes."""
    told: dict[str, str] = {}
    while True:
        for part in found["gateways"]:
            line = _progress(part)
            if told.get(part["gateway"]) != line:
                told[part["gateway"]] = line
                click.echo(line)
        if found["done"]:
            return found
        time.sleep(LOOK_S)
        found = asked.get(f"/api/v1/replays/{found['id']}")


def _progress(part: dict[str, Any]) -> str:
    known = max(part["sent"], part["came"])
    line = f"{part['gateway']}: {part['stage']}, {part['written']} of {known} batches, {part['readings']} readings"
    return f"{line}; {part['problem']}" if part["problem"] else line


def _sums(found: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    batches, readings = (sum(part[name] for part in found["gateways"]) for name in ("written", "readings"))
    new = "" if after["stored"] is None else f", {_net(before) - _net(after)} of them had been missing"
    yield f"{batches} batches, {readings} readings put back{new}"


def _net(found: dict[str, Any]) -> int:
    return int(found["missing"]) - int(found["surplus"])
