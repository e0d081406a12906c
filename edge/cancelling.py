"""Before Python 3.12 ``asyncio.wait_for``, and with it aiomqtt, loses a cancellation that comes together with what it waited
for; and a task group that has failed tells its error in the place of one. A loop that may meet either asks here.
"""

import asyncio


def end_if_cancelled() -> None:
    """Raises the ``CancelledError`` that the running task was meant to get and something on the way lost."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
