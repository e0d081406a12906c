"""What a line asks of its master: when a unit may be asked, and what an answer that never came leaves behind.

Pure: the caller says what time it is, in seconds of a monotonic clock.
"""

from edge.bus_config import SerialLine
from edge.drivers.frames import Question

HALF_OPEN_AFTER = 4
REQUEST_BYTES = 8
"""Unit, function, address, count and CRC of an RTU request that reads."""
ANSWER_BYTES = 5
"""What an RTU answer has besides its values."""


class Line:
    """Modbus TCP and UDP: an answer names its request, so any unit may be asked at any time."""

    residue_confuses = True
    """Whether bytes of a broken answer make the following ones unreadable."""

    def __init__(self) -> None:
        self.silences = 0

    @property
    def seems_dead(self) -> bool:
        """Nobody behind the connection has answered for a while: it may be half open."""
        return self.silences >= HALF_OPEN_AFTER

    def ready_at(self, unit_id: int) -> float:
        """The instant from which this unit may be asked."""
        return 0.0

    def free_at(self) -> float:
        """The instant from which a frame may be sent."""
        return 0.0

    def on_the_wire_s(self, question: Question) -> float:
        """How long request and answer take on the line itself, on top of the unit's own time."""
        return 0.0

    def ended(self, question: Question, answered: bool, timeout_s: float, now: float) -> None:
        """Takes note of how a request ended."""
        self.silences = 0 if answered else self.silences + 1


class RtuLine(Line):
    """RTU frames: silence between them, and no number in an answer.

    After a time-out a unit is left alone for as long again: its late answer would pass for the next one's.
    """

    residue_confuses = False

    def __init__(self, serial: SerialLine) -> None:
        super().__init__()
        self._serial = serial
        self._last_frame_at = 0.0
        self._late_until: dict[int, float] = {}

    def ready_at(self, unit_id: int) -> float:
        return self._late_until.get(unit_id, 0.0)

    def free_at(self) -> float:
        return self._last_frame_at + self._serial.silence_s

    def on_the_wire_s(self, question: Question) -> float:
        return (REQUEST_BYTES + ANSWER_BYTES + question.answer_bytes) * self._serial.character_s

    def ended(self, question: Question, answered: bool, timeout_s: float, now: float) -> None:
        super().ended(question, answered, timeout_s, now)
        self._last_frame_at = now
        if answered:
            self._late_until.pop(question.unit_id, None)
        else:
            self._late_until[question.unit_id] = now + timeout_s
