"""What ``linli up`` says in one line, out of the text and the answers that a centre really gives."""

from collections.abc import Mapping

import httpx
import pytest

from ingest.alerts import AlertState, Colour
from ingest.metrics import Stats, families, render
from ingest.registry import GatewaySeen
from linli import live
from telemetry.identity import GatewayRef
from telemetry.metric import Kind, Value
from telemetry.reading import Micros


def gateway(**health: Value) -> GatewaySeen:
    return GatewaySeen(GatewayRef("411202002001", "gw-test"), True, Micros(0), "linli", None, 3, health)


def metrics(*gateways: GatewaySeen, alerts: Mapping[tuple[Colour, AlertState], int] | None = None, access: int = 0) -> str:
    stats = Stats()
    stats.readings[Kind.ACCESS] = access
    return render(families(stats, alerts or {}, gateways))


def test_the_centres_metrics_are_understood() -> None:
    text = metrics(gateway(oldest_unsent=3.0), gateway(oldest_unsent=8.0), alerts={(Colour.RED, AlertState.OPEN): 2}, access=7)
    found = live.parse_metrics(text, 10.0)
    assert found.readings["access"] == 7
    assert found.alerts[("red", "open")] == 2
    assert found.oldest_unsent_s == 8


def test_of_a_gateway_that_said_nothing_yet_nothing_is_known() -> None:
    assert live.parse_metrics(metrics(gateway()), 10.0).oldest_unsent_s is None


def test_a_line_tells_rates_age_and_alerts() -> None:
    before = live.parse_metrics(metrics(access=10), 10.0)
    after = metrics(
        gateway(oldest_unsent=3.0), alerts={(Colour.RED, AlertState.OPEN): 1, (Colour.RED, AlertState.CLEARED): 1}, access=30
    )
    now = live.parse_metrics(after, 20.0)
    assert live.line(now, before) == "readings access=2.0/s | oldest unsent 3 s | alerts red=2"
    quiet = live.parse_metrics(metrics(), 10.0)
    assert live.line(quiet, quiet) == "readings none yet | oldest unsent unknown | alerts none yet"


def test_a_centre_that_started_again_has_no_negative_rate() -> None:
    before, now = (live.parse_metrics(metrics(access=count), at) for count, at in ((50, 10.0), (2, 20.0)))
    assert now.rates(before)["access"] == 0


@pytest.mark.parametrize("status", [401, 500])
async def test_a_centre_that_does_not_answer_as_it_should_is_looked_at_again_later(status: int) -> None:
    async with httpx.AsyncClient(
        base_url="http://centre", transport=httpx.MockTransport(lambda request: httpx.Response(status, text=""))
    ) as http:
        assert await live.look(http) is None


async def test_a_centre_that_is_not_there_is_looked_at_again_later() -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as http:
        assert await live.look(http) is None


async def test_the_newest_alerts_come_with_the_figures() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            return httpx.Response(200, text=metrics(access=7))
        return httpx.Response(200, json={"items": [{"id": "a1"}], "next": None})

    async with httpx.AsyncClient(base_url="http://centre", transport=httpx.MockTransport(answer)) as http:
        found = await live.look(http)
    assert found is not None
    assert (found.readings["access"], found.latest) == (7, ({"id": "a1"},))
