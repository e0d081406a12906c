"""Runs the whole community: broker, centre, gateway and simulators as processes of their own, which talk by MQTT alone."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import click
import httpx

from linli import live
from linli.child import Child
from linli.demo import Layout, Options, hold, lay_out
from linli.stop import told_to_stop
from telemetry.broker import Broker, broker_problems
from telemetry.errors import ConfigInvalid, LinliError, Problem

REFRESH_S = 1.0
LINE_S = 5.0
WINDOW_S = 20.0
"""Rates are over this long, because measurements travel in batches up to ten seconds old."""


def check_all(options: Options) -> None:
    """Validates every file that ``up`` would run with, starting nothing and leaving nothing. Raises ``ConfigInvalid``."""
    if (options.data / "ports.json").exists():
        with hold(options.data):
            _check(options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _check(options._replace(data=Path(folder)))


def _check(options: Options) -> None:
    from device_profiles import load_library
    from edge import config as gateway
    from ingest import service
    from simulators import load_stage

    if options.broker and (wrong := list(broker_problems(Broker(options.broker), "--broker", ""))):
        raise ConfigInvalid([problem._replace(path="") for problem in wrong])
    layout = lay_out(options)
    problems: list[Problem] = []
    for look in (
        lambda: gateway.load(layout.gateway_file, load_library(gateway.profile_dirs(layout.gateway_file))),
        lambda: service.check(layout.centre_file),
        lambda: load_stage(layout.world_file, load_library(), layout.scenario, options.only),
    ):
        try:
            look()
        except ConfigInvalid as error:
            problems += error.problems
    if problems:
        raise ConfigInvalid(problems)


async def run(options: Options, token: str | None, report_fd: int | None) -> None:
    """Until Ctrl-C or SIGTERM. Raises ``ConfigInvalid`` or ``ChildFailed`` when it cannot start."""
    with hold(options.data):
        _port_must_be_free(options.port)
        _check(options)
        await _run(lay_out(options), options, token, report_fd)


async def _run(layout: Layout, options: Options, token: str | None, report_fd: int | None) -> None:
    if token:
        os.environ["LINLI_TOKEN"] = token
    stop = told_to_stop()
    children = _children(layout, options, report_fd)
    watching: list[asyncio.Task[None]] = []
    gateway_log = layout.logs / "edge.log"
    written = gateway_log.stat().st_size if gateway_log.exists() else 0
    try:
        for child in children:
            if child.name == "simulators":
                await _listening(gateway_log, written)
            await child.start()
            watching.append(asyncio.create_task(child.watch(), name=child.name))
        showing = asyncio.create_task(_show(layout, options, token or layout.token_file.read_text().strip()), name="live table")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({*watching, showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _end(showing, stopping)
    finally:
        await _stop_all(children)
        failed = [task.exception() for task in watching if task.done() and not task.cancelled() and task.exception()]
        await _end(*watching)
    for error in failed:
        if error is not None:
            raise error
    click.echo("stopped; started again it goes on from here 已停止")


async def _end(*tasks: asyncio.Task[object] | asyncio.Task[None]) -> None:
    """Cancels and waits; an error of a part that was only showing things is told."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, LinliError):
            await task


def _children(layout: Layout, options: Options, report_fd: int | None) -> list[Child]:
    """In the order of starting."""
    linli = [sys.executable, "-m", "linli"]
    logs = layout.logs
    report = ["--report-fd", str(report_fd)] if report_fd is not None else []
    edge = [*linli, "edge", "run", "--config", str(layout.gateway_file), *report]
    simulators = [*linli, "sim", "run", str(layout.world_file), "--scenario", str(layout.scenario), "--broker", layout.broker_url]
    simulators += ["--run-dir", str(layout.run_dir), "--truth", str(layout.truth_file)]
    simulators += ["--port", f"meters={layout.meters_port}"]
    simulators += [word for kind in options.only for word in ("--only", kind)]
    broker = [sys.executable, "-m", "linli.embedded_broker", str(layout.broker_file)]
    children = [Child("broker", broker, logs / "broker.log")] if layout.embedded else []
    children.append(Child("centre", [*linli, "ingest", "run", "--config", str(layout.centre_file)], logs / "ingest.log"))
    children.append(Child("gateway", edge, logs / "edge.log", [report_fd] if report_fd is not None else []))
    if options.simulate:
        children.append(Child("simulators", simulators, logs / "simulators.log"))
    return children


async def _listening(log: Path, written: int) -> None:
    """Until the gateway's log says that it hears its devices, so that it hears the first word of each; not for long."""
    for _ in range(100):
        if b"device broker connected" in (await asyncio.to_thread(log.read_bytes))[written:]:
            return
        await asyncio.sleep(0.1)


async def _stop_all(children: list[Child]) -> None:
    """The sources first, the broker last, all within five seconds."""
    names = {child.name: child for child in children}
    first = [child for name, child in names.items() if name in ("simulators", "gateway")]
    for group, within_s in ((first, 2.0), ([names["centre"]], 2.0), ([names["broker"]] if "broker" in names else [], 0.5)):
        async with asyncio.TaskGroup() as stopping:
            for child in group:
                stopping.create_task(child.stop(within_s), name=f"stop {child.name}")


def _port_must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            problem = Problem("--port", str(port), f"cannot listen on 127.0.0.1: {error.strerror}", "choose another with --port")
            raise ConfigInvalid([problem]) from error


async def _show(layout: Layout, options: Options, token: str) -> None:
    url = f"http://127.0.0.1:{options.port}"
    hints = _hints(layout, url)
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=2.0) as http:
        if sys.stdout.isatty():
            await _show_table(http, hints)
        else:
            await _show_lines(http, hints)


async def _show_table(http: httpx.AsyncClient, hints: list[str]) -> None:
    from rich.live import Live

    seen: deque[live.Snapshot] = deque(maxlen=round(WINDOW_S / REFRESH_S))
    with Live(live.table(None, None, hints), auto_refresh=False) as screen:
        while True:
            now = await live.look(http)
            if now is not None:
                seen.append(now)
                lines = screen.console.size.height - 1
                screen.update(live.table(now, seen[0], hints, lines), refresh=True)
            await asyncio.sleep(REFRESH_S)


async def _show_lines(http: httpx.AsyncClient, hints: list[str]) -> None:
    click.echo("\n".join(hints))
    seen: deque[live.Snapshot] = deque(maxlen=round(WINDOW_S / LINE_S))
    while True:
        now = await live.look(http)
        if now is not None:
            seen.append(now)
            click.echo(f"{time.strftime('%H:%M:%S')} {live.line(now, seen[0])}")
        await asyncio.sleep(LINE_S if seen else REFRESH_S)


def _hints(layout: Layout, url: str) -> list[str]:
    linli = "linli" if shutil.which("linli") else _short(Path(sys.executable).with_name("linli"))
    return [
        "try next 接下来可以试:",
        f'  curl -H "Authorization: Bearer $(cat {_short(layout.token_file)})" {url}/api/v1/alerts',
        f"  mosquitto_sub -p {layout.broker_url.rsplit(':', 1)[-1]} -t 'zigbee2mqtt/#' -v",
        f"  {linli} tap --broker {layout.broker_url}",
        f"  {linli} device list --config {_short(layout.gateway_file)}",
        f"  {url}/docs",
        "Ctrl-C ends it all 结束",
    ]


def _short(path: Path) -> str:
    """As it is typed in this folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
