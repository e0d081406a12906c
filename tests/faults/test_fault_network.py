"""Rows 18 to 20: the way between gateway and broker breaks, dies without a word, or is a bad line."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from telemetry import batch
from telemetry.batch import Lane
from tests.faults.devices import RARE
from tests.faults.network import Packets
from tests.faults.proxy import Proxy
from tests.faults.rig import Rig
from tests.faults.tap import Tap

pytestmark = pytest.mark.slow


def through(proxy: Proxy, folder: Path, **more: Any) -> Rig:
    """A community whose gateway reaches its broker through a proxy."""
    rig = Rig(folder, uplink=proxy.port, wave=RARE, **more)
    proxy.target = rig.broker.port
    return rig


def test_row_18_a_partition_and_a_flapping_line_cost_nothing_but_time(tmp_path: Path, chance: random.Random) -> None:
    with Proxy() as proxy, through(proxy, tmp_path) as rig, Packets(proxy.port) as packets:
        rig.start()
        for seconds in (5.0, *(chance.uniform(0.3, 1.2) for _ in range(3))):
            rig.until_accepted(50)
            packets.lose(100)
            time.sleep(seconds)
            packets.lose(0)
        for _ in range(4):
            rig.until_accepted(20)
            proxy.reset()
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
        assert proxy.connections <= 1 + 4 + 4 + 1, "it connects again and again"


def test_row_19_a_link_that_died_without_a_word_is_noticed_within_fifteen_seconds(tmp_path: Path) -> None:
    with Proxy() as proxy, through(proxy, tmp_path) as rig:
        assert noticed_after(proxy, rig) < 15 + 2  # it waits up to two seconds before it connects again
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []


def noticed_after(proxy: Proxy, rig: Rig) -> float:
    """Seconds until a gateway whose link died without a word has another."""
    rig.start()
    rig.until_accepted(50)
    before, began = proxy.connections, time.monotonic()
    proxy.freeze()
    rig.until(lambda: proxy.connections > before, 17, "a new connection")
    return time.monotonic() - began


def test_row_20_on_a_slow_lossy_line_alarms_come_before_the_backlog(tmp_path: Path, chance: random.Random) -> None:
    with (
        Proxy(chance) as proxy,
        through(proxy, tmp_path, meters=6, alarms=1, alarm_interval_s=1.0) as rig,
        Packets(proxy.port) as packets,
    ):
        rig.start()
        proxy.refuse(True)
        rig.until_accepted(300)
        with Tap(rig.broker.port) as tap:
            proxy.bytes_per_s, proxy.jitter_s = 8_000.0, 0.05
            packets.lose(10)  # each way, so that every fifth exchange suffers
            proxy.refuse(False)
            healed = time.time()
            time.sleep(11)
            packets.lose(0)
            proxy.bytes_per_s = None
            delays = alarm_delays(tap, healed)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
        assert len(delays) >= 5
        assert max(delays) < 10, delays


def alarm_delays(tap: Tap, since: float) -> list[float]:
    """For each alarm's reading made after an instant, the seconds until the broker passed it on."""
    delays = []
    for heard_at, _, payload in tap.messages:
        sealed = batch.decode(payload).batch
        if sealed.lane is Lane.URGENT and not sealed.resent:
            delays += [heard_at - reading.at / 1e6 for reading in sealed.readings if reading.at / 1e6 > since]
    return delays
