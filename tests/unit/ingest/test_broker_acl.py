from pathlib import Path

from ingest.broker_acl import acl
from telemetry.identity import GatewayRef

SHIPPED = Path(__file__).parents[3] / "config" / "mosquitto" / "centre.acl"


def test_the_shipped_example_is_what_is_printed() -> None:
    _, _, example = SHIPPED.read_text(encoding="utf-8").partition("\n")
    assert acl([GatewayRef("411202002001", "gw-jianye-1")], "linli/v1") == example


def test_gateways_share_no_topic() -> None:
    text = acl([GatewayRef("411202002001", "gw-1"), GatewayRef("411202002001", "gw-2")], "city")
    first, second = ({line for line in block.splitlines() if line.startswith("topic")} for block in text.split("\n\n")[1:])
    assert len(first) == len(second) == 7
    assert not first & second
    assert not [line for line in first | second if "+" in line or "#" in line]
