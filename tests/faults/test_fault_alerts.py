"""Promise 3 where it is hard: alerts follow from the accepted readings, in whatever order they came over the outage."""

from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.faults.rig import Rig

pytestmark = pytest.mark.slow


def test_events_from_before_a_restart_of_the_gateway_raise_their_alerts(tmp_path: Path) -> None:
    with Proxy() as proxy, Rig(tmp_path, uplink=proxy.port) as rig:
        proxy.target = rig.broker.port
        rig.start()
        rig.until_accepted(50)
        proxy.refuse(True)
        rig.until_accepted(50)  # half of them events: a handful
        rig.edge.again()
        rig.until_accepted(200)
        proxy.refuse(False)
        rig.settle()
        assert rig.verdict() == []
