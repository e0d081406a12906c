"""The truth log: what every simulated device really held and really said, one JSON object a line.

1. A value stands in the log from the moment a master could read it, and a message before it is sent ("sending") and
   after the broker confirmed it ("sent"); so a kill leaves at most messages of which nobody can know.
2. Appending only, each line whole and flushed: a kill loses no line, and a last line cut short is left out when reading.
3. ``t`` is the wall clock in UTC microseconds, ``v`` the virtual second.
"""

import io
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from simulators.products import Said
from telemetry.errors import ConfigInvalid, Problem
from telemetry.metric import Value


class Held(msgspec.Struct, frozen=True, tag="held", tag_field="k"):
    """From ``t`` on a register says ``value``, in the metric's canonical unit."""

    t: int
    v: float
    device: str
    metric: str
    value: Value


class Spoken(msgspec.Struct, frozen=True, omit_defaults=True, tag="message", tag_field="k"):
    """A message's fate: phase ``sending`` or ``sent`` (or ``dropped``: QoS 0 with no broker). ``at`` is the device's own time."""

    t: int
    v: float
    device: str
    id: str
    phase: str
    values: dict[str, Value]
    event: bool = False
    qos: int = 1
    at: int | None = None


class Ailing(msgspec.Struct, frozen=True, tag="fault", tag_field="k"):
    """From ``t`` on the unit has this fault; "" when it has none."""

    t: int
    v: float
    device: str
    fault: str


class Started(msgspec.Struct, frozen=True, tag="start", tag_field="k"):
    """The simulator began here; what it held before is over."""

    t: int
    v: float
    seed: int
    speed: float


Line = Held | Spoken | Ailing | Started


class TruthLog:
    """Appends to ``path``, or remembers nothing when it is None."""

    def __init__(self, path: Path | None) -> None:
        self._file: io.BufferedWriter | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            if self._file.tell():
                self._file.write(b"\n")  # ends a line that a kill cut short; an empty line is none

    def write(self, *lines: Line) -> None:
        if self._file is not None and lines:
            self._file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def spoken(t: int, v: float, id_: str, phase: str, said: Said, qos: int) -> Spoken:
    return Spoken(t, v, said.device, id_, phase, said.values, said.event, qos, said.at)


class Event(msgspec.Struct, frozen=True):
    """A message of the log. ``first`` to ``last`` is when it was on its way; ``certain`` when the broker confirmed it."""

    device: str
    id: str
    values: dict[str, Value]
    event: bool
    at: int
    first: int
    last: int
    certain: bool
    qos: int


class Truth:
    """A read truth log."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._held: dict[tuple[str, str], tuple[list[int], list[Value]]] = defaultdict(lambda: ([], []))
        self._silent: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._spoken: dict[str, dict[str, list[Spoken]]] = defaultdict(lambda: defaultdict(list))
        for line in lines:
            match line:
                case Held():
                    times, values = self._held[line.device, line.metric]
                    times.append(line.t)
                    values.append(line.value)
                case Spoken():
                    self._spoken[line.device][line.id].append(line)
                case Ailing():
                    self._silent[line.device].append((line.t, line.fault))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ``ConfigInvalid`` when ``path`` is not a truth log."""
        decoder = msgspec.json.Decoder(Line)
        try:
            raw = path.read_bytes().split(b"\n")
        except OSError as error:
            raise ConfigInvalid(
                [Problem(str(path), "", f"cannot be read: {error.strerror}", "name the file given to 'linli sim run --truth'")]
            ) from error
        lines: list[Line] = []
        for number, text in enumerate(raw, 1):
            try:
                lines += [decoder.decode(text)] if text else []
            except msgspec.DecodeError as error:
                if not text.endswith(b"}"):
                    continue  # cut short by a kill
                raise ConfigInvalid([Problem(str(path), f"line {number}", f"is not of a truth log: {error}")]) from error
        return cls(lines)

    def metrics(self, device: str) -> list[str]:
        """The metrics of a device's registers; empty for one that speaks MQTT."""
        return sorted(metric for name, metric in self._held if name == device)

    def devices(self) -> list[str]:
        return sorted({device for device, _ in self._held} | self._spoken.keys())

    def held(self, device: str, metric: str, start_us: int, end_us: int) -> set[Value]:
        """Every value that was in force at some moment of [start_us, end_us]."""
        times, values = self._held.get((device, metric), ([], []))
        first = max(0, bisect_right(times, start_us) - 1)
        return {values[place] for place in range(first, bisect_right(times, end_us)) if times[place] <= end_us}

    def fault(self, device: str, start_us: int, end_us: int) -> str:
        """The fault that a unit had without a break from ``start_us`` to ``end_us``, or ""."""
        history = self._silent.get(device, [])
        before = bisect_right(history, start_us, key=lambda change: change[0])
        after = bisect_left(history, end_us, key=lambda change: change[0])
        return history[before - 1][1] if before and before == after else ""

    def events(self, device: str) -> list[Event]:
        """The messages of a device in the order of their sending, those dropped for want of a broker left out."""
        found = [
            _event(parts) for parts in self._spoken.get(device, {}).values() if all(part.phase != "dropped" for part in parts)
        ]
        return sorted(found, key=lambda event: event.first)


def _event(parts: list[Spoken]) -> Event:
    first, last = parts[0], parts[-1]
    certain = any(part.phase == "sent" for part in parts)
    at = first.t if first.at is None else first.at
    return Event(first.device, first.id, first.values, first.event, at, first.t, last.t, certain, first.qos)
