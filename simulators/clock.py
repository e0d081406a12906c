"""The virtual clock of a world: seconds since the world was first started, faster than the wall when asked.

1. It goes on through restarts: virtual time is wall time since the first start, times the speed, so a world that was
   down has missed that part of its story and repeats nothing.
2. It never jumps when the speed changes: a new speed counts from the virtual second reached so far.
3. It never runs backwards past what was played, even when the wall clock does.

``Anchor`` is pure; ``Journal`` keeps it in a file.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from telemetry.errors import ConfigInvalid, Problem
from telemetry.reading import EARLIEST, LATEST

Wall = Callable[[], int]
"""UTC microseconds."""


def wall_clock() -> int:
    return time.time_ns() // 1000


_Micros = Annotated[int, msgspec.Meta(ge=EARLIEST, le=LATEST)]


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """At the wall instant ``wall`` it was ``virtual`` seconds; ``played`` is how far the story has been played.

    ``born`` is the wall instant of the very first start: a calendar for ids that must stay the same for ever.
    """

    born: _Micros
    wall: _Micros
    virtual: float = 0.0
    speed: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    played: float = -1.0

    def virtual_at(self, wall: int) -> float:
        """Virtual seconds at a wall instant, never before what was played."""
        return max(self.virtual + (wall - self.wall) / 1e6 * self.speed, self.played)

    def at_speed(self, speed: float, wall: int) -> "Anchor":
        """The same virtual second, from here on at another speed."""
        if speed == self.speed:
            return self
        return msgspec.structs.replace(self, wall=wall, virtual=self.virtual_at(wall), speed=speed)


class Journal:
    """The anchor in a small file, replaced whole, so that a kill leaves the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, speed: float, wall: int) -> Anchor:
        """The anchor of this world: kept from its first start, or made now. Raises ``ConfigInvalid`` when damaged."""
        try:
            anchor = msgspec.json.decode(self._path.read_bytes(), type=Anchor).at_speed(speed, wall)
        except FileNotFoundError:
            anchor = Anchor(born=wall, wall=wall, speed=speed)
        except msgspec.DecodeError as error:
            cure = "remove it to start the story anew"
            raise ConfigInvalid([Problem(str(self._path), "", f"damaged: {error}", cure)]) from error
        self.keep(anchor)
        return anchor

    def keep(self, anchor: Anchor) -> None:
        """Makes the folder too. Not forced to disk: a power cut may repeat a part of the story, a kill may not."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(anchor))
        draft.replace(self._path)
