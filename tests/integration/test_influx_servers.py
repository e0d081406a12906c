"""The servers that other tests stand on start, are killed, and come back where they were."""

from pathlib import Path

import pytest

from tests.servers import accepts, influxdb, mosquitto, victoria_metrics


@pytest.mark.parametrize("server", [mosquitto, influxdb, victoria_metrics])
def test_a_server_answers_on_its_port_until_it_is_killed_and_again_after_a_start(server, tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert accepts(running.port)
        running.kill()
        assert not accepts(running.port)
        running.start()
        assert accepts(running.port)
    assert not accepts(running.port)


def test_two_brokers_live_side_by_side(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as one, mosquitto(tmp_path) as other:
        assert one.port != other.port
        assert accepts(one.port)
        assert accepts(other.port)
