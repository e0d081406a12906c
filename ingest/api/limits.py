"""How often a token may ask: so many requests a second on average, so many at once. Pure; time is an argument.

Bounded: it remembers those tokens that have asked within the time that a bucket takes to fill, all of them valid ones.
"""

SECOND_US = 1_000_000


class Limits:
    def __init__(self, per_s: float, burst: int) -> None:
        self._per_us = per_s / SECOND_US
        self._burst = burst
        self._full_at: dict[str, float] = {}

    def wait_s(self, token: str, now: int) -> float:
        """0 when the token may ask at ``now`` (UTC microseconds), and that counts; else in how many seconds it may."""
        full_at = max(self._full_at.get(token, 0.0), float(now))
        after = full_at + 1 / self._per_us
        over_us = after - now - self._burst / self._per_us
        if over_us > 1e-3:
            return over_us / SECOND_US
        self._forget(now)
        self._full_at[token] = after
        return 0.0

    def _forget(self, now: int) -> None:
        """Those whose buckets are full again, once there are many."""
        if len(self._full_at) >= 1_024:
            self._full_at = {token: at for token, at in self._full_at.items() if at > now}
