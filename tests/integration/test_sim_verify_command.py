"""``linli sim verify`` against a real API over a real store: page by page, with the exit status that scripts need."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.api import create_app, listen, serve
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.registry import Registry
from ingest.store import EmbeddedStore
from ingest.tokens import Tokens
from linli.cli import command_line
from simulators.clock import wall_clock
from simulators.products import Said
from simulators.truth import Held, TruthLog, spoken
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading
from tests.rooms import rooms
from tests.servers import free_port

TOKEN = "linli_" + "t" * 43
STREAM = Stream("411202002001", "gw-1", "0" * 16, "bulk")
START = wall_clock() - 3_600_000_000
PLATE = Said("gate", {"event": "plate", "plate": "豫M·****8"}, event=True, at=START + 5_000_000)


def level(second: float, value: float) -> Reading:
    return Reading(
        device="sump", kind=Kind.ENVIRONMENT, at=START + round(second * 1e6), values={"level": value, "temperature": 11.5}
    )


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[tuple[str, EmbeddedStore]]:
    database, store = Database(tmp_path / "centre.db"), EmbeddedStore(tmp_path / "points.duckdb")
    await store.open()
    registry = Registry(database)
    await registry.open()
    parts = rooms(tmp_path, database, store, registry, Tokens(None, [TOKEN]), wall_clock).parts
    listener, stop = listen("127.0.0.1", 0), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(create_app(parts), parts.feed, listener, stop))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", store
        stop.set()
    await store.close()
    database.close()


async def verified(folder: Path, url: str, *more: str) -> Result:
    (folder / "token").write_text(TOKEN)
    command = [
        "sim",
        "verify",
        "--truth",
        str(folder / "truth.jsonl"),
        "--api",
        url,
        "--token-file",
        str(folder / "token"),
        *more,
    ]
    return await asyncio.to_thread(CliRunner().invoke, command_line, command)


def differences(result: Result) -> list[tuple[str, str]]:
    verdicts: list[dict[str, Any]] = json.loads(result.stdout)
    return [(each["device"], found["kind"]) for each in verdicts for found in each["differences"]]


def write_truth(folder: Path) -> None:
    with TruthLog(folder / "truth.jsonl") as log:
        log.write(*(Held(START + second * 1_000_000, second, "sump", "level", second / 100) for second in range(1500)))
        log.write(Held(START, 0, "sump", "temperature", 11.5))
        log.write(*(spoken(START + 5_000_000, 5, "a", phase, PLATE, 1) for phase in ("sending", "sent")))


async def test_a_store_that_holds_the_truth_passes_over_all_its_pages(centre: tuple[str, EmbeddedStore], tmp_path: Path) -> None:
    url, store = centre
    write_truth(tmp_path)
    plate = Reading(device="gate", kind=Kind.PARKING, at=START + 5_000_000, values=PLATE.values, event_id="s/1")
    await store.write(
        [Arrival(STREAM, 1, [plate, *(level(second + 0.2, second / 100) for second in range(1500))], Micros(START))]
    )
    result = await verified(tmp_path, url, "--json")
    assert (result.exit_code, differences(result)) == (0, [])
    counts = {each["device"]: (each["values"], each["sent"], each["found"]) for each in json.loads(result.stdout)}
    assert counts == {"gate": (2, 1, 1), "sump": (3000, 0, 0)}


async def test_any_difference_is_shown_and_ends_with_status_1(centre: tuple[str, EmbeddedStore], tmp_path: Path) -> None:
    url, store = centre
    write_truth(tmp_path)
    await store.write([Arrival(STREAM, 1, [level(2, 0.02), level(100, 0.5)], Micros(START))])
    result = await verified(tmp_path, url, "--json")
    assert (result.exit_code, differences(result)) == (1, [("gate", "missing"), ("sump", "wrong")])
    shown = await verified(tmp_path, url, "--ignore-missing")
    assert shown.exit_code == 1
    assert "level 0.5, the unit held" in shown.stdout
    assert "missing" not in shown.stdout


async def test_a_centre_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    write_truth(tmp_path)
    result = await verified(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert "Connection refused" in str(result.exception) or "All connection attempts failed" in str(result.exception)
