"""How a program is told to end: Ctrl-C and SIGTERM, as an event."""

import asyncio
import signal


def told_to_stop() -> asyncio.Event:
    """Set by the first of either signal; call it in the loop that is to hear of it."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
