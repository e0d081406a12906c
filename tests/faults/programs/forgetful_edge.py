"""A gateway without the end-to-end acknowledgement: ``confirmed`` or ``sent``.

``confirmed``: it forgets a batch as soon as the broker has confirmed the message. ``sent``: as soon as it is handed over to
be sent, and never sends again.
"""

from typing import Any

import aiomqtt

from edge.clock import wall_clock
from edge.outbox import Outbox
from edge.window import Window
from telemetry import batch, topic
from tests.faults.programs import own_words


def _break(when: str) -> None:
    opened: list[Outbox] = []
    open_, publish = Outbox.open, aiomqtt.Client.publish

    def remember(*arguments: Any, **more: Any) -> Outbox:
        opened.append(open_(*arguments, **more))
        return opened[-1]

    async def forget(name: str, payload: bytes) -> None:
        if name.endswith(f"/{topic.Leaf.UP}") and (head := batch.head_of(payload)) is not None:
            await opened[0].call(opened[0].acknowledge, head.epoch, head.lane, head.seq, wall_clock())

    async def publish_and_forget(client: aiomqtt.Client, name: str, payload: bytes, *arguments: Any, **more: Any) -> None:
        if when == "sent":
            await forget(name, payload)
        await publish(client, name, payload, *arguments, **more)
        if when == "confirmed":
            await forget(name, payload)

    if when == "sent":
        Window.rewind = lambda window, now: None  # type: ignore[method-assign]
        Window.resend = lambda window, now: False  # type: ignore[method-assign]
    Outbox.open = remember  # type: ignore[method-assign]
    aiomqtt.Client.publish = publish_and_forget  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from linli.cli import main

    (when,) = own_words()
    assert when in ("confirmed", "sent")
    _break(when)
    main()
