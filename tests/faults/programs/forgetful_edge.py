"""A gateway without the end-to-end acknowledgement: it forgets a batch as soon as the broker has confirmed the message."""

from typing import Any

import aiomqtt

from edge.clock import wall_clock
from edge.outbox import Outbox
from telemetry import batch, topic
from tests.faults.programs import own_words


def _break() -> None:
    opened: list[Outbox] = []
    open_, publish = Outbox.open, aiomqtt.Client.publish

    def remember(*arguments: Any, **more: Any) -> Outbox:
        opened.append(open_(*arguments, **more))
        return opened[-1]

    async def publish_and_forget(client: aiomqtt.Client, name: str, payload: bytes, *arguments: Any, **more: Any) -> None:
        await publish(client, name, payload, *arguments, **more)
        if name.endswith(f"/{topic.Leaf.UP}") and (head := batch.head_of(payload)) is not None:
            await opened[0].call(opened[0].acknowledge, head.epoch, head.lane, head.seq, wall_clock())

    Outbox.open = remember  # type: ignore[method-assign]
    aiomqtt.Client.publish = publish_and_forget  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    _break()
    main()
