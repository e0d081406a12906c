"""``linli tap`` prints what passes, and says so when it cannot read it."""

import json

from linli.commands.tap import lines_of
from telemetry import batch, topic
from telemetry.batch import Batch, Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading
from telemetry.topic import Leaf

REF = GatewayRef("411202002001", "gw-jianye-1")
UP = topic.build(topic.DEFAULT_ROOT, REF, Leaf.UP)
T = 1_760_000_000_000_000
BATCH = Batch(
    gateway="gw-jianye-1",
    epoch="00ff00ff00ff00ff",
    lane=Lane.URGENT,
    seq=7,
    sealed_at=T,
    sent_at=T,
    resent=True,
    readings=[
        Reading(device="b3-roof-door", kind=Kind.ACCESS, at=T, values={"door_open": True}),
        Reading(device="b3-pump-level", kind=Kind.ENVIRONMENT, at=T, values={}, quality=Quality.BAD, faults={"*": "timeout"}),
    ],
)


def test_a_batch_is_a_head_and_a_line_a_reading() -> None:
    head, door, level = lines_of(topic.DEFAULT_ROOT, UP, batch.encode(BATCH), as_json=False)
    assert head.endswith("gw-jianye-1 urgent #7 (00ff) 2 readings resent")
    assert door.endswith("b3-roof-door (access) door_open=True")
    assert level.endswith("b3-pump-level (environment) [bad]  {'*': 'timeout'}")


def test_json_holds_all_of_it() -> None:
    (line,) = lines_of(topic.DEFAULT_ROOT, UP, batch.encode(BATCH), as_json=True)
    said = json.loads(line)
    assert (said["community"], said["gateway"], said["leaf"]) == ("411202002001", "gw-jianye-1", "up")
    assert said["message"]["readings"][0]["values"] == {"door_open": True}


def test_what_cannot_be_read_is_told_as_such() -> None:
    (plain,) = lines_of(topic.DEFAULT_ROOT, UP, b"nonsense", as_json=False)
    assert "neither JSON nor zlib" in plain
    (line,) = lines_of(topic.DEFAULT_ROOT, "linli/v1/9/411202002001/gw-jianye-1/up", b"{}", as_json=True)
    assert "slot '9'" in json.loads(line)["error"]


def test_an_acknowledgement_is_shown_as_it_is() -> None:
    (line,) = lines_of(topic.DEFAULT_ROOT, topic.build(topic.DEFAULT_ROOT, REF, Leaf.ACK), b'{"v":1,"marks":[]}', as_json=False)
    assert line == 'gw-jianye-1 ack {"v": 1, "marks": []}'
