"""How many messages come in a second: pure."""


class Pace:
    """Counts by whole seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._second = self._now = self._before = 0

    def a_second(self, came: int, at: float) -> int:
        """``came`` more have come at ``at``: the larger number of this second and the one before."""
        passed = int(at) - self._second
        if passed:
            self._before = self._now if passed == 1 else 0
            self._second, self._now = int(at), 0
        self._now += came
        return max(self._now, self._before)
