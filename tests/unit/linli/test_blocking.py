"""Calls that block: what hangs keeps neither the others nor the end of the program waiting."""

import asyncio
import subprocess
import sys
import threading

import pytest

from linli.blocking import Blocking

HANGS = """
import asyncio, threading
from linli.blocking import Blocking

async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Blocking())
    loop.run_in_executor(None, threading.Event().wait)
    await asyncio.sleep(0)
    print("ended")

asyncio.run(main())
"""


async def test_what_hangs_keeps_no_other_call_waiting() -> None:
    loop, never = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(Blocking())
    for _ in range(40):
        loop.run_in_executor(None, never.wait)
    assert await asyncio.to_thread(sum, (1, 2)) == 3
    never.set()


async def test_an_error_of_a_call_is_its_callers() -> None:
    asyncio.get_running_loop().set_default_executor(Blocking())
    with pytest.raises(ValueError, match="no number"):
        await asyncio.to_thread(_fail)


def _fail() -> None:
    raise ValueError("no number")


def test_so_many_calls_may_hang_and_no_more() -> None:
    blocking, never = Blocking(most=2), threading.Event()
    first = blocking.submit(never.wait)
    blocking.submit(never.wait)
    with pytest.raises(OSError, match="2 calls hang"):
        blocking.submit(never.wait)
    never.set()
    first.result(30)
    blocking.shutdown()
    assert blocking.submit(sum, (1, 2)).result(30) == 3


def test_where_no_thread_is_to_be_had_a_call_fails_and_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    blocking = Blocking(most=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        for _ in range(3):
            with pytest.raises(OSError, match="no thread"):
                blocking.submit(sum, (1, 2))
    assert blocking.submit(sum, (1, 2)).result(30) == 3


def test_a_call_that_is_under_way_may_end_before_the_program_does() -> None:
    blocking, done = Blocking(), []
    started = threading.Event()

    def write() -> None:
        started.set()
        done.append("whole")

    blocking.submit(write)
    started.wait(30)
    blocking.shutdown()
    assert done == ["whole"]


@pytest.mark.slow
def test_a_program_ends_though_a_call_hangs_for_ever() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")
