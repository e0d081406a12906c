"""A gateway that knows one epoch alone, always the same, with an outbox that is not synced at every commit.

After a power cut it counts again what the centre has seen before; so does another machine that is given its name.
"""

import secrets

from edge.outbox import Outbox
from telemetry.batch import Lane
from tests.faults.programs import own_words
from tests.faults.programs.careless_edge import careless


def _break() -> None:
    roll = Outbox.roll

    def go_on(outbox: Outbox) -> str:
        streams = outbox._streams
        if not streams.epochs:
            return roll(outbox)
        newest = max(streams.epochs)
        following = {lane: streams.last((newest, lane)) + 1 for lane in Lane}
        streams.current, streams.next_seq = newest, following
        return streams.epochs[newest].id

    Outbox.roll = go_on  # type: ignore[method-assign, assignment]
    secrets.token_hex = lambda nbytes=None: "00" * (nbytes or 8)


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    careless("NORMAL")
    _break()
    main()
