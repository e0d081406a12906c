"""Line protocol: exact lines, and text that cannot break out of its field."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ingest.store.line_protocol import line, numeric_line
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading

REF = GatewayRef("411202002001", "gw-jianye-1")
START = 1_790_000_000_123_456

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def test_a_reading_is_one_line_with_three_tags_typed_fields_and_19_digits_of_nanoseconds() -> None:
    values = {"temperature": 21, "level": 1e-7, "running": True, "motion": False, "fault_code": -3, "event": "on"}
    reading = Reading(device="b3-pump-level", kind=Kind.ENVIRONMENT, at=START, values=values, event_id="e1")
    assert line(REF, reading) == (
        "environment,community=411202002001,device=b3-pump-level,gateway=gw-jianye-1 "
        'temperature=21.0,level=1e-07,running=true,motion=false,fault_code=-3i,event="on",quality="good",event_id="e1" '
        "1790000000123456000"
    )


def test_faults_are_one_field_and_bounded() -> None:
    faults = {"co2": "bad: exception 2", "*": "stale: " + "x" * 1_000}
    text = line(REF, Reading(device="yard", kind=Kind.ENVIRONMENT, at=START, values={}, quality=Quality.BAD, faults=faults))
    assert f'quality="bad",faults="{{\\"co2\\":\\"bad: exception 2\\",\\"*\\":\\"stale: {"x" * 249}\\"}}" {START}000' in text


def test_for_a_store_of_numbers_text_is_left_out_and_quality_is_a_rank() -> None:
    values = {"door_open": True, "reason": "held"}
    reading = Reading(device="b3-roof-door", kind=Kind.ACCESS, at=START, values=values, quality=Quality.STALE, event_id="e")
    assert numeric_line(REF, reading).split(" ")[1] == "door_open=true,quality=2"


@given(st.text(max_size=256))
def test_any_text_is_one_quoted_string_that_means_itself(text: str) -> None:
    written = line(REF, Reading(device="b3-roof-door", kind=Kind.ACCESS, at=START, values={"reason": text}))
    head, tail = "access,community=411202002001,device=b3-roof-door,gateway=gw-jianye-1 reason=", f',quality="good" {START}000'
    assert written.startswith(head)
    assert written.endswith(tail)
    string = _STRING.fullmatch(written[len(head) : -len(tail)])
    assert string is not None
    assert re.sub(r'\\(["\\])', r"\1", string[1]) == text
