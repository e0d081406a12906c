"""What a sink has taken and not written yet: in order, fair between gateways, bounded. Sans-IO.

1. The order of each stream is kept. Gateways take turns, batch by batch, and urgent lanes go before bulk ones: in a group of
   their own, so that an event waits for nobody's measurements; what is left of the group after that is for bulk. An event may
   come while a bulk group is written, so while some come those groups are brief.
2. Bounded by bytes of JSON, whatever the number of readings. When it is full, room is made at the cost of the gateway that
   holds most; a gateway that holds its share or more is refused itself.
3. A group that was given out is given out again, unchanged, until it is ``done``. The one after it may be foreseen, unless
   something urgent comes first. Gaps come alone, and never two in a row while batches wait: a gateway with many gaps delays the
   others by one.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import chain

from ingest.arrival import Arrival
from ingest.sequencer import Gap
from telemetry.batch import Lane

CAPACITY = 24 << 20
"""Bytes of JSON; decoded readings take about five times as much."""
LAWFUL = 4 << 20
"""What a gateway has on its way at most that keeps to its window: 64 batches of up to 64 KB."""
OVERHEAD = 512
"""What a batch or a gap costs beside its readings."""
BRIEF, BRIEFLY = 5_000, 8
"""Readings of a bulk group after something urgent, and how many such groups."""
POISON = 10
"""To set one piece aside takes as long as to store so many readings."""

Item = Arrival | Gap
_Gateway = tuple[str, ...]
"""Community and gateway: a slice of the stream, which costs a fifth of a ``GatewayRef``."""
_Lane = OrderedDict[_Gateway, deque[Item]]
_URGENT = Lane.URGENT.value


class Waiting:
    """``group_readings`` bounds a group; a single larger batch is a group of its own."""

    def __init__(self, group_readings: int) -> None:
        self._group_readings = group_readings
        self._urgent: _Lane = OrderedDict()
        self._bulk: _Lane = OrderedDict()
        self._load: dict[_Gateway, int] = {}
        self._given: list[Item] = []
        self._foreseen: list[Item] = []
        self._gap_was_last = False
        self._urgent_was_alone = False
        self._brief_groups = 0
        self._gaps = 0
        self._readings = 0
        self.load = 0

    def __bool__(self) -> bool:
        return bool(self._given or self._foreseen or self._urgent or self._bulk)

    def __iter__(self) -> Iterator[Item]:
        return chain(self._given, self._foreseen, *self._urgent.values(), *self._bulk.values())

    @property
    def hurries(self) -> bool:
        """Whether there is more to do than to gather: something urgent waits, or a whole group."""
        return bool(self._urgent or self._given or self._foreseen) or self._readings >= self._group_readings

    @property
    def is_crowded(self) -> bool:
        """What one gateway holds beyond its window counts for nothing: the others are not to wait for it."""
        if self.load <= CAPACITY // 2:
            return False
        return self.load - max(0, max(self._load.values()) - LAWFUL) > CAPACITY // 2

    def put(self, arrival: Arrival) -> list[Arrival]:
        """Takes it at the end of its stream; what lost its place for it, or itself when there is no room for it."""
        ref, cost = arrival.stream[:2], OVERHEAD + arrival.size
        lost: list[Arrival] = []
        while self.load + cost > CAPACITY and self.load:
            if self._load.get(ref, 0) + cost > CAPACITY // len(self._load) or (last := self._last_of_heaviest(ref)) is None:
                return [*lost, arrival]
            lost.append(last)
        self._append(arrival, ref, cost)
        return lost

    def put_gap(self, gap: Gap) -> None:
        """There is always room for a gap: who puts it bounds their number."""
        self._gaps += 1
        self._append(gap, gap.stream[:2], OVERHEAD)

    def next(self) -> list[Arrival] | Gap:
        """What is to be done next; again until it is done."""
        if not self._given:
            self._given, self._foreseen = self._foreseen, []
        if not self._given:
            self._given = self._next_gap() if self._gap_was_last is False else []
            self._given = self._given or self._next_group() or self._next_gap()
        first = self._given[0]
        return first if isinstance(first, Gap) else _arrivals(self._given)

    def foresee(self) -> list[Arrival]:
        """The whole group that comes after the one that is given out, told once; none while less than a group waits, or a gap's
        turn is next."""
        if not self._given or self._foreseen or self._urgent or self._brief_groups or self._readings < self._group_readings:
            return []
        if self._gaps and not self._gap_was_last and any(isinstance(queue[0], Gap) for queue in self._bulk.values()):
            return []
        self._foreseen = self._next_group()
        return _arrivals(self._foreseen)

    def done(self) -> list[Item]:
        """The group given out last is durable; what it was."""
        done, self._given = self._given, []
        for item in done:
            self._drop(item)
        return done

    def _next_gap(self) -> list[Item]:
        for lane in (self._urgent, self._bulk) if self._gaps else ():
            for ref, queue in lane.items():
                if isinstance(queue[0], Gap):
                    self._gap_was_last = True
                    self._gaps -= 1
                    return [self._take(lane, ref)]
        return []

    def _next_group(self) -> list[Item]:
        self._gap_was_last = False
        group: list[Item] = []
        room = self._group_readings
        alone, self._urgent_was_alone = not self._urgent_was_alone, False
        for lane in (self._urgent, self._bulk):
            if lane is self._bulk and group and alone:
                self._urgent_was_alone = True
                break
            turns, most, size = deque(lane), min(room, self._most_of(lane, alone=alone)), 0
            while turns and size < most:
                ref = turns.popleft()
                head = lane[ref][0]
                if isinstance(head, Gap):
                    continue
                takes = _readings(head)
                if size and size + takes > most:
                    continue  # it keeps its place, and what is small of others still fits
                size += takes
                group.append(self._take(lane, ref))
                if ref in lane:
                    turns.append(ref)
            room = max(room - size, self._group_readings // 2)
        return group

    def _most_of(self, lane: _Lane, *, alone: bool) -> int:
        """How many readings a group takes of a lane now; what is urgent leaves half of a group that is not its own."""
        if lane is self._urgent:
            if lane:
                self._brief_groups = BRIEFLY
            return self._group_readings if alone else self._group_readings // 2
        if not self._brief_groups:
            return self._group_readings
        self._brief_groups -= 1
        return min(self._group_readings, BRIEF)

    def _take(self, lane: _Lane, ref: _Gateway) -> Item:
        item = lane[ref].popleft()
        lane.move_to_end(ref)
        if not lane[ref]:
            del lane[ref]
        self._readings -= _readings(item)
        return item

    def _append(self, item: Item, ref: _Gateway, cost: int) -> None:
        if item.stream[3] == _URGENT:
            lane = self._urgent
            self._unforesee()
        else:
            lane = self._bulk
        queue = lane.get(ref)
        if queue is None:
            queue = lane[ref] = deque()
        queue.append(item)
        self._load[ref] = self._load.get(ref, 0) + cost
        self.load += cost
        self._readings += _readings(item)

    def _unforesee(self) -> None:
        """What was foreseen waits again, before all else of its streams."""
        while self._foreseen:
            item = self._foreseen.pop()
            self._bulk.setdefault(item.stream[:2], deque()).appendleft(item)
            self._readings += _readings(item)

    def _last_of_heaviest(self, but: _Gateway) -> Arrival | None:
        """Takes away what came last from the gateway that holds most, of its bulk lane if it can be."""
        heaviest = max((ref for ref in self._load if ref != but), key=self._load.__getitem__, default=None)
        if heaviest is None:
            return None
        for lane in (self._bulk, self._urgent):
            queue = lane.get(heaviest)
            if queue and isinstance(queue[-1], Arrival):
                last = queue.pop()
                assert isinstance(last, Arrival)
                if not queue:
                    del lane[heaviest]
                self._readings -= _readings(last)
                self._drop(last)
                return last
        return None

    def _drop(self, item: Item) -> None:
        cost, ref = _cost(item), item.stream[:2]
        self.load -= cost
        self._load[ref] -= cost
        if not self._load[ref]:
            del self._load[ref]


def _cost(item: Item) -> int:
    return OVERHEAD + (item.size if isinstance(item, Arrival) else 0)


def _arrivals(group: Sequence[Item]) -> list[Arrival]:
    return [item for item in group if isinstance(item, Arrival)]


def _readings(item: Item) -> int:
    """What writing it takes, in readings."""
    return len(item.readings) + 1 + POISON * len(item.poison) if isinstance(item, Arrival) else 0
