"""The centre, killed at a chosen point between its durable steps: ``POINT COUNT``.

``stored``: after the telemetry store committed; ``judged``: after the alert transaction committed; ``acknowledging``: when both
hold a batch and its acknowledgement is about to go out. It dies at the COUNT-th time, where a SIGKILL can fall.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from ingest.alerts import AlertEngine
from ingest.store import EmbeddedStore, InfluxStore
from telemetry import ack
from tests.faults.programs import own_words


class _Fuse:
    def __init__(self, count: int) -> None:
        self._left = count

    def burn(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def _dying_after(step: Callable[..., Awaitable[Any]], fuse: _Fuse) -> Callable[..., Awaitable[Any]]:
    async def killed(*arguments: Any) -> Any:
        result = await step(*arguments)
        fuse.burn()
        return result

    return killed


def _arm(point: str, fuse: _Fuse) -> None:
    if point == "stored":
        EmbeddedStore.write = _dying_after(EmbeddedStore.write, fuse)  # type: ignore[method-assign, assignment]
        InfluxStore.write = _dying_after(InfluxStore.write, fuse)  # type: ignore[method-assign, assignment]
    elif point == "judged":
        AlertEngine.take = _dying_after(AlertEngine.take, fuse)  # type: ignore[method-assign, assignment]
    else:
        assert point == "acknowledging"
        encode = ack.encode

        def dying(*arguments: Any) -> bytes:
            said = encode(*arguments)
            fuse.burn()
            return said

        ack.encode = dying  # type: ignore[assignment]


if __name__ == "__main__":
    from linli.cli import main

    point, count = own_words()
    _arm(point, _Fuse(int(count)))
    main()
