"""A centre that loses alert commits: every third group of readings is confirmed as judged, and was not."""

from collections.abc import Sequence
from itertools import count

from ingest.alerts import AlertEngine
from ingest.arrival import Arrival
from tests.faults.programs import own_words

LOST = 3


def _break() -> None:
    take, groups = AlertEngine.take, count(1)

    async def take_most(engine: AlertEngine, arrivals: Sequence[Arrival], now: int) -> None:
        if next(groups) % LOST:
            await take(engine, arrivals, now)
        else:
            for arrival in arrivals:
                await engine.advance(arrival.stream, arrival.seq)

    AlertEngine.take = take_most  # type: ignore[method-assign]


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    _break()
    main()
