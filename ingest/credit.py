"""How many batches a second each gateway may backfill: as many as the centre can take without delaying what is live. Pure.

While little waits, the credit grows by a tenth a second up to its limit; when much waits, it halves. It is never nothing, or
an outage could not be made up for, but so little that a city of gateways that all come back leaves room for what is live.

The limit is what many send before they are told less, and it waits at the broker ahead of every smoke alarm: a hundred
gateways at 50 a second held events up for 13 s, and at 2 a second each still makes up for an hour in less than a minute.
"""

MUCH = 0.25
LEAST = 0.02


class Credit:
    """``limit`` is what the configuration allows; ``batches_s`` what is granted now."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.batches_s = limit

    def advance(self, fullness: float) -> None:
        """To be called once a second. ``fullness``: the share of the fuller sink's room that is taken."""
        changed = self.batches_s / 2 if fullness > MUCH else self.batches_s * 1.1
        self.batches_s = max(min(changed, self._limit), min(LEAST, self._limit))
