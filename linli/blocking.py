"""Calls that block, each on a thread of its own, which the end of the program does not wait for.

1. A name server, a broker or a store that does not answer keeps a thread for half a minute; the others, and a stop, go on.
2. At a stop what is under way has ``LEAVE_S`` to end: a file that is being written is whole.
3. Bounded: past ``MOST`` calls under way a new one fails with an ``OSError``, as when the system has no threads left.

asyncio's own threads are joined at the end of its loop and again at the end of the program, both without a limit.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

MOST = 64
LEAVE_S = 0.5

_T = TypeVar("_T")
_P = ParamSpec("_P")


class Blocking(ThreadPoolExecutor):
    """For a loop's ``set_default_executor``, which takes nothing but this class's parent."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__(1)
        self._most = most
        self._under_way: set[Future[object]] = set()
        self._guard = threading.Lock()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        with self._guard:
            if len(self._under_way) >= self._most:
                raise OSError(f"{self._most} calls hang")
            self._under_way.add(future)  # type: ignore[arg-type]  # what it gives does not matter here
        future.add_done_callback(self._ended)
        try:
            threading.Thread(target=work, name="blocking", daemon=True).start()
        except RuntimeError as error:
            self._ended(future)
            raise OSError(f"no thread for a call that blocks: {error}") from error
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for ``LEAVE_S`` at most; there is no queue to cancel."""
        if wait:
            _wait(self._under_way.copy())

    def _ended(self, future: Future[_T]) -> None:
        with self._guard:
            self._under_way.discard(future)


def _wait(futures: set[Future[object]]) -> None:
    wait(futures, timeout=LEAVE_S)
