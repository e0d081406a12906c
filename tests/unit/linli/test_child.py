"""A child is kept running, ends when it is told, and never outlives the one who started it."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from linli import child as module
from linli.child import Child, ChildFailed
from linli.report import BAD_CONFIGURATION

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


def python(script: str, log: Path, *fds: int) -> Child:
    return Child("test", [sys.executable, "-S", "-c", script], log, fds)


@contextlib.asynccontextmanager
async def watched(child: Child) -> AsyncIterator[asyncio.Task[None]]:
    await child.start()
    watching = asyncio.create_task(child.watch())
    try:
        async with asyncio.timeout(20):
            yield watching
    finally:
        await child.stop(0.1)
        watching.cancel()
        await asyncio.wait((watching,))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Ended, although perhaps nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_one_that_ends_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_S", 0.01)
    child = python("print('here')", tmp_path / "log")
    async with watched(child):
        await until(lambda: child.last_words().count("here") >= 2)
    assert child.restarts >= 1


async def test_one_that_refuses_its_configuration_is_not_and_its_last_words_are_told(tmp_path: Path) -> None:
    child = python(f"import sys; print('error: no such key'); sys.exit({BAD_CONFIGURATION})", tmp_path / "log")
    async with watched(child) as watching:
        with pytest.raises(ChildFailed, match="no such key"):
            await watching
    assert child.restarts == 0


async def test_a_polite_signal_ends_it_and_it_stays_ended(tmp_path: Path) -> None:
    child = python("print('ready', flush=True); import time; time.sleep(60)", tmp_path / "log")
    async with watched(child) as watching:
        await until(child.last_words)
        await child.stop(10)
        await watching
    assert child.restarts == 0


async def test_one_that_will_not_end_is_killed_within_the_bound(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path / "log")
    async with watched(child) as watching:
        await until(child.last_words)
        began = time.monotonic()
        await child.stop(0.1)
        assert time.monotonic() - began < 5
        await watching


async def test_a_descriptor_that_is_passed_stays_open_in_it(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    child = python(f"import os, time; os.write({writable}, b'word'); time.sleep(60)", tmp_path / "log", writable)
    async with watched(child):
        assert await asyncio.to_thread(os.read, readable, 4) == b"word"
    os.close(readable)
    os.close(writable)


def test_it_dies_with_the_one_who_started_it_however_that_ends(tmp_path: Path) -> None:
    parent = f"""
import asyncio, pathlib, sys
from linli.child import Child
async def run():
    child = Child("test", [sys.executable, "-S", "-c", {STUBBORN!r}], pathlib.Path({str(tmp_path / "log")!r}))
    await child.start()
    print(child._process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(run())
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    give_up = time.monotonic() + 10
    while not is_gone(pid):
        assert time.monotonic() < give_up, "the child outlived its parent"
        time.sleep(0.01)


def test_the_last_words_of_one_without_a_log_are_none(tmp_path: Path) -> None:
    assert python("", tmp_path / "missing").last_words() == ""
