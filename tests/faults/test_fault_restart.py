"""A centre that starts again is sent at once what it has not acknowledged: on a clock that skips what nobody waits for, so that
a second is a second on any machine.
"""

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.window import OUTAGE_S, RESEND_S
from telemetry.batch import Lane
from tests.faults.test_fault_long_outage import AMPLE, METERS, Broker, Gateway, Sent, centre, clock, running
from tests.virtual_time import VirtualLoop, now_s

EVENT_S = 0.5
AT_ONCE_S = 1.0
"""What goes over the wire and what the acknowledger gathers; a timer takes ``RESEND_S``, and twice that after the next."""

pytestmark = pytest.mark.slow


class Return(NamedTuple):
    """What waited when the centre was there again, by lane and seq, and what came then, with seconds since."""

    waited: set[tuple[Lane, int]]
    came: list[Sent]


async def lived_through(folder: Path, broker: Broker, away_s: float) -> Return:
    gateway = Gateway(folder, AMPLE, METERS)
    outbox = gateway.outbox
    async with running(gateway.uplink.run(), gateway.hear(EVENT_S), gateway.poll(EVENT_S), gateway.seal()):
        async with centre(folder, broker):
            await asyncio.sleep(20)
        broker.centre = lambda name, payload: None
        await asyncio.sleep(away_s)
        await outbox.call(partial(outbox.seal, force=True), clock())
        waited = {(span.lane, seq) for span in outbox.spans() for seq in range(span.first, span.last + 1)}
        broker.came.clear()
        async with centre(folder, broker):
            back = now_s()
            await asyncio.sleep(AT_ONCE_S)
            came = [sent._replace(at_s=sent.at_s - back) for sent in broker.came]
    outbox.close()
    return Return(waited, came)


@pytest.mark.parametrize("away_s", [1.0, RESEND_S + 1, 3 * RESEND_S + 1])
def test_a_centre_that_is_there_again_is_sent_at_once_what_it_has_not_and_events_first(tmp_path: Path, away_s: float) -> None:
    assert away_s < OUTAGE_S
    broker = Broker()
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        patch.setattr("edge.uplink.client", broker.client)
        patch.setattr("edge.uplink.random", random.Random(8))
        found = runner.run(lived_through(tmp_path, broker, away_s))
    assert {lane for lane, _ in found.waited} == set(Lane)
    keys = [(sent.lane, sent.seq) for sent in found.came]
    assert found.waited <= set(keys)
    events = max(keys.index(key) for key in found.waited if key[0] is Lane.URGENT)
    assert events < min(place for place, (lane, _) in enumerate(keys) if lane is Lane.BULK)
