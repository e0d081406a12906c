"""What ``linli up`` shows while it runs: rates per kind, what waits, alerts by colour, what to try next.

``Snapshot`` is read from the centre's own API; drawing it is pure.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import httpx

KINDS = {
    "access": "门禁",
    "camera": "视频",
    "parking": "停车",
    "environment": "环境",
    "energy": "用电",
    "safety": "安全",
    "gateway": "网关",
}
COLOURS = {"red": ("红", "bold red"), "orange": ("橙", "dark_orange"), "yellow": ("黄", "yellow"), "blue": ("蓝", "blue")}
_HEADINGS = 4
"""Those of both tables, the title and the line between them."""
_NARROW = 80
_SAMPLE = re.compile(r"^(linli_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Snapshot(NamedTuple):
    """The centre at one instant: ``readings`` by kind since its start, ``alerts`` by colour and state."""

    at: float
    readings: Mapping[str, float]
    alerts: Mapping[tuple[str, str], float]
    oldest_unsent_s: float | None
    latest: tuple[Mapping[str, Any], ...] = ()

    def rates(self, before: "Snapshot") -> dict[str, float]:
        """Readings a second by kind since ``before``."""
        seconds = max(self.at - before.at, 1e-6)
        return {kind: max(0.0, count - before.readings.get(kind, 0.0)) / seconds for kind, count in self.readings.items()}


def parse_metrics(text: str, at: float) -> Snapshot:
    """A snapshot from the centre's Prometheus text."""
    readings: dict[str, float] = {}
    alerts: dict[tuple[str, str], float] = {}
    oldest: list[float] = []
    for name, inside, number in _SAMPLE.findall(text):
        labels = dict(_LABEL.findall(inside))
        if name == "linli_readings_total":
            readings[labels["kind"]] = float(number)
        elif name == "linli_alerts":
            alerts[(labels["colour"], labels["state"])] = float(number)
        elif name == "linli_gateway_oldest_unsent_seconds":
            oldest.append(float(number))
    return Snapshot(at, readings, alerts, max(oldest, default=None))


async def look(http: httpx.AsyncClient) -> Snapshot | None:
    """What the centre says now; ``None`` while it does not answer."""
    try:
        metrics = await http.get("/metrics")
        alerts = await http.get("/api/v1/alerts", params={"limit": 8})
    except httpx.HTTPError:
        return None
    if metrics.status_code != 200 or alerts.status_code != 200:
        return None
    return parse_metrics(metrics.text, time.monotonic())._replace(latest=tuple(alerts.json()["items"]))


def line(now: Snapshot, before: Snapshot) -> str:
    """One line, for where no terminal is."""
    rates = " ".join(f"{kind}={rate:.1f}/s" for kind, rate in now.rates(before).items() if now.readings[kind])
    colours = " ".join(f"{colour}={_count(now, colour):.0f}" for colour in COLOURS if _count(now, colour))
    return f"readings {rates or 'none yet'} | oldest unsent {_age(now.oldest_unsent_s)} | alerts {colours or 'none yet'}"


def table(now: Snapshot | None, before: Snapshot | None, hints: list[str], lines: int = 50) -> Any:
    """A rich renderable of the same, for a screen of so many lines: the oldest alerts give way, never the hints."""
    from rich.console import Group
    from rich.text import Text

    foot = Text("\n".join(hints), style="dim")
    if now is None or before is None:
        return Group(Text("starting … 正在启动 …"), foot)
    unsent = Text(f"oldest unsent 最早未确认: {_age(now.oldest_unsent_s)}")
    taken = len(KINDS) + _HEADINGS + len(hints) + sum(len(hint) // _NARROW for hint in hints)
    return Group(_flow(now, before), unsent, _alerts(now, max(1, lines - taken)), foot)


def _flow(now: Snapshot, before: Snapshot) -> Any:
    from rich.table import Table

    rates = now.rates(before)
    flow = Table(box=None, pad_edge=False)
    flow.add_column("readings 读数")
    for heading in ("per second 每秒", "since start 累计"):
        flow.add_column(heading, justify="right")
    for kind, name in KINDS.items():
        flow.add_row(f"{kind} {name}", f"{rates.get(kind, 0.0):.1f}", f"{now.readings.get(kind, 0.0):.0f}")
    return flow


def _alerts(now: Snapshot, rows: int) -> Any:
    from rich.table import Table

    title = f"alerts 告警: {_colours(now)}"
    alerts = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=True)
    for heading in ("colour", "state", "since 起始"):
        alerts.add_column(heading, no_wrap=True)
    for heading, share in (("alert 告警", 3), ("place 位置", 2)):  # what is left of the screen
        alerts.add_column(heading, no_wrap=True, ratio=share)
    for alert in now.latest[:rows]:
        zh, style = COLOURS.get(alert["colour"], ("", ""))
        title, place = alert["title"], alert["place"]
        when, what = _local(alert["opened_at"]), f"{title['zh']} {title['en']}"
        row = (f"{alert['colour']} {zh}", alert["state"], when, what, place["zh"])
        alerts.add_row(*row, style=style if alert["state"] == "open" else "dim")
    return alerts


def _count(now: Snapshot, colour: str) -> float:
    return sum(count for (its, _), count in now.alerts.items() if its == colour)


def _colours(now: Snapshot) -> str:
    parts = []
    for colour, (zh, _) in COLOURS.items():
        active = now.alerts.get((colour, "open"), 0.0)
        if total := _count(now, colour):
            parts.append(f"{colour} {zh} {active:.0f} open of {total:.0f}")
    return ", ".join(parts) or "none yet 暂无"


def _local(instant: str) -> str:
    """An instant of the API as the clock on the wall shows it."""
    return datetime.fromisoformat(instant).astimezone().strftime("%H:%M:%S")


def _age(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.0f} s"
