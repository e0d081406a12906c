"""What the centre stored against what the devices really held and said.

1. A stored register value is right when a master could have read it within ``TOLERANCE_S`` of the reading's instant, and
   none may have been read while the unit was silent.
2. An event that the broker confirmed is stored exactly once, none is stored that no device sent; one sent without the
   broker's word may be there or not.
3. A state (a door's contact) is stored in the order in which it changed; repeats mean nothing.

Only what lies between the first stored reading and ``SETTLE_S`` before the end is missed when it is not there.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from simulators.truth import Event, Truth
from telemetry.metric import Value

TOLERANCE_S = 1.5
SETTLE_S = 5.0
_WHOLE = "*"


class Stored(NamedTuple):
    """One metric of one stored reading; ``at`` is UTC microseconds."""

    device: str
    metric: str
    at: int
    value: Value | None
    event_id: str | None = None


class Difference(msgspec.Struct, frozen=True):
    """``kind``: wrong, silent (read from a unit that did not answer), invented, twice, missing."""

    kind: str
    device: str
    at: int
    words: str


class Verdict(msgspec.Struct, frozen=True):
    """One device: how many stored values were compared, how many events were sent and found, and what differs."""

    device: str
    values: int
    sent: int
    found: int
    differences: tuple[Difference, ...]


class Span(NamedTuple):
    """What is judged, UTC microseconds; ``heard`` is the first instant from which something missing is a loss."""

    start: int
    end: int
    heard: int

    @property
    def settled(self) -> int:
        return self.end - round(SETTLE_S * 1e6)


def verify(truth: Truth, stored: Iterable[Stored], start: int, end: int) -> list[Verdict]:
    """A verdict for each device of the truth. ``start`` and ``end`` bound what ``stored`` was asked for, UTC microseconds."""
    rows: dict[str, list[Stored]] = defaultdict(list)
    for row in stored:
        rows[row.device].append(row)
    heard = min((row.at for own in rows.values() for row in own), default=end)
    span = Span(start, end, max(start, heard))
    return [_verdict(truth, device, sorted(rows[device], key=lambda row: row.at), span) for device in truth.devices()]


def _verdict(truth: Truth, device: str, rows: Sequence[Stored], span: Span) -> Verdict:
    said = [event for event in truth.events(device) if span.start <= event.first <= span.end]
    events = [event for event in said if event.event]
    states = [event for event in said if not event.event]
    groups = list(_groups(rows))
    found, unlike = _match(device, events, groups, span)
    differences = [*_registers(truth, device, rows), *unlike, *_states(device, states, rows, span)]
    return Verdict(device, sum(row.value is not None for row in rows), len(said), found, tuple(differences))


def same(left: Value | None, right: Value | None) -> bool:
    """Equal, of the same type, and for numbers within what a decimal text may lose."""
    if isinstance(left, bool) or isinstance(right, bool) or isinstance(left, str) or isinstance(right, str):
        return left == right and type(left) is type(right)
    return left is not None and right is not None and math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)


def _registers(truth: Truth, device: str, rows: Iterable[Stored]) -> Iterator[Difference]:
    known = frozenset(truth.metrics(device))
    width = round(TOLERANCE_S * 1e6)
    for row in rows if known else ():
        if row.value is None or row.metric == _WHOLE:
            continue
        if fault := truth.fault(device, row.at - width, row.at + width):
            yield Difference("silent", device, row.at, f"{row.metric} {row.value} while the unit was {fault}")
            continue
        held = truth.held(device, row.metric, row.at - width, row.at + width)
        if not any(same(row.value, value) for value in held):
            words = f"{row.metric} {row.value}, the unit held {', '.join(map(str, sorted(held, key=str))) or 'no such thing'}"
            yield Difference("wrong", device, row.at, words)


class _Group(NamedTuple):
    at: int
    values: Mapping[str, Value | None]


def _groups(rows: Iterable[Stored]) -> Iterator[_Group]:
    """The readings that are events, whole, in order of time like ``rows``."""
    readings: dict[int, dict[str, Value | None]] = defaultdict(dict)
    for row in rows:
        readings[row.at][row.metric] = row.value
    return (_Group(at, values) for at, values in readings.items() if values.get("event") is not None)


def _match(device: str, events: Sequence[Event], groups: Sequence[_Group], span: Span) -> tuple[int, list[Difference]]:
    """Pairs each event with a stored reading, nearest in time first; what is left over on either side differs."""
    pairs = sorted(
        (abs(groups[place].at - event.at), number, place)
        for number, event in enumerate(events)
        for place in _fitting(event, groups)
    )
    paired_events: set[int] = set()
    paired_groups: set[int] = set()
    for _, number, place in pairs:
        if number not in paired_events and place not in paired_groups:
            paired_events.add(number)
            paired_groups.add(place)
    again = {place for _, _, place in pairs}
    differences = [
        Difference("twice" if place in again else "invented", device, group.at, str(group.values.get("event")))
        for place, group in enumerate(groups)
        if place not in paired_groups
    ]
    differences += [
        Difference("missing", device, event.at, _phrase(event.values))
        for number, event in enumerate(events)
        if number not in paired_events and _owed(event, span)
    ]
    return len(paired_events), differences


def _fitting(event: Event, groups: Sequence[_Group]) -> Iterator[int]:
    """The stored readings that can be of this event: of its own time, or of its arrival when the device's was not believed."""
    width = round(TOLERANCE_S * 1e6)
    first = bisect_left(groups, min(event.at, event.first) - width, key=lambda group: group.at)
    last = bisect_right(groups, max(event.at, event.last) + width, key=lambda group: group.at)
    for place in range(first, last):
        if all(same(groups[place].values.get(metric), value) for metric, value in event.values.items()):
            yield place


def _owed(event: Event, span: Span) -> bool:
    return event.certain and event.qos > 0 and event.first >= span.heard and event.last <= span.settled


def _states(device: str, said: Sequence[Event], rows: Sequence[Stored], span: Span) -> Iterator[Difference]:
    for metric in sorted({metric for event in said for metric in event.values}):
        told = [event for event in said if metric in event.values]
        stored = [row for row in rows if row.metric == metric and row.value is not None]
        place = 0
        for row in stored:
            while place < len(told) and not same(told[place].values[metric], row.value):
                place += 1
            if place == len(told):
                yield Difference("invented", device, row.at, f"{metric} {row.value} was not said in this order")
                break
        yield from _lost(device, metric, [event for event in told if _owed(event, span)], stored)


def _lost(device: str, metric: str, owed: Sequence[Event], stored: Sequence[Stored]) -> Iterator[Difference]:
    """The first change that is not in the stored series."""
    place = 0
    previous: Value | None = None
    for event in owed:
        value = event.values[metric]
        if same(value, previous):
            continue
        previous = value
        while place < len(stored) and not same(stored[place].value, value):
            place += 1
        if place == len(stored):
            yield Difference("missing", device, event.at, f"{metric} became {value}")
            return


def _phrase(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{metric} {value}" for metric, value in values.items())
