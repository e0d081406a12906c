"""An event loop whose clock goes on when nobody has anything to do, and not otherwise: eight hours pass in seconds."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class SkippingSelector(selectors.DefaultSelector):
    """Instead of waiting it moves the clock on, but not while a thread is at work: that takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.at_work and (timeout is None or timeout > 0):
            return super().select(1.0)
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for ever"
            self.now_s += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is that of its selector."""

    def __init__(self) -> None:
        self._clock = SkippingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._clock.at_work += 1
        future.add_done_callback(self._is_done)
        return future

    def _is_done(self, _: object) -> None:
        self._clock.at_work -= 1


def now_s() -> float:
    return asyncio.get_running_loop().time()
