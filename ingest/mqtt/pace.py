"""Whether so little comes that it is better read together, by whole seconds of a clock that never goes back: pure.

A read that brings ``MANY`` messages, or ``MUCH``, shows a sender that waits for us: it has as much on its way as it may, and to
rest would hold it up. Then the second counts as a busy one, however few messages such rests let through.
"""

FEW_A_SECOND = 500
MANY, MUCH = 16, 64 << 10
"""Messages and bytes. Brokers stop at 20 messages on their way or more (mosquitto 20, nats-server 100)."""


class Pace:
    """Counts messages; forgets after two seconds."""

    def __init__(self) -> None:
        self._second = self._now = self._before = 0

    def is_slow(self, came: int, size: int, at: float) -> bool:
        """``came`` messages of ``size`` bytes have come in one read at ``at``: few in this second and the one before?"""
        passed = int(at) - self._second
        if passed:
            self._before = self._now if passed == 1 else 0
            self._second, self._now = int(at), 0
        self._now += FEW_A_SECOND if came >= MANY or size >= MUCH else came
        return max(self._now, self._before) < FEW_A_SECOND
