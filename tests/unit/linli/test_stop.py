"""Either signal is the word to end, and neither ends the program by itself."""

import asyncio
import os
import signal

import pytest

from linli.stop import told_to_stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_either_signal_is_the_word_to_end(number: signal.Signals) -> None:
    stop = told_to_stop()
    assert not stop.is_set()
    try:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()
    finally:
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(each)
