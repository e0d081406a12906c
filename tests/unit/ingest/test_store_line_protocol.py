"""Line protocol: exact lines, and text that cannot break out of its field."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store.facts import why_unsound
from ingest.store.line_protocol import NUMBER_TAILS, TEXT_TAILS, line, measurement, numeric_line, plain_line, summary_lines
from ingest.store.summary import Level, Summary
from telemetry.identity import GatewayRef
from telemetry.metric import METRICS, Kind, ValueType
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


VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(-100, 100),
    st.floats(),
    st.text(max_size=300),
    st.sampled_from([2**63, -(2**63), 10**15]),
)
METRIC_NAMES = st.sampled_from(["temperature", "fault_code", "running", "event", "level", "nonsense"])


@given(
    values=st.dictionaries(METRIC_NAMES, VALUES),
    quality=st.sampled_from(list(Quality)),
    device=st.sampled_from(["yard", "a,community=99 x=1", "yard\n"]),
    faults=st.sampled_from([None, {}, {"*": "bad: x"}]),
    event_id=st.sampled_from([None, "", "e-1"]),
)
def test_a_line_at_first_sight_is_the_line_of_a_closer_look_and_only_of_sound_readings(
    values: dict[str, bool | int | float | str],
    quality: Quality,
    device: str,
    faults: dict[str, str] | None,
    event_id: str | None,
) -> None:
    reading = Reading(
        device=device, kind=Kind.ENVIRONMENT, at=START, values=values, quality=quality, faults=faults, event_id=event_id
    )
    for tails, closer in ((TEXT_TAILS, line), (NUMBER_TAILS, numeric_line)):
        if found := plain_line(REF, reading, tails):
            assert why_unsound(reading) == ""
            assert found == closer(REF, reading)


def test_a_usual_reading_is_sound_at_first_sight() -> None:
    reading = Reading(device="yard", kind=Kind.ENVIRONMENT, at=START, values={"temperature": 21.5, "level": 2, "fault_code": -1, "running": True})  # noqa: E501 # fmt: skip
    assert plain_line(REF, reading, TEXT_TAILS) == line(REF, reading)
    assert plain_line(REF, reading, NUMBER_TAILS) == numeric_line(REF, reading)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 10**16, 10**400, -(10**400)])
def test_a_number_that_is_none_or_takes_thought_is_not_sound_at_first_sight(number: float) -> None:
    reading = Reading(device="yard", kind=Kind.ENVIRONMENT, at=START, values={"temperature": number})
    assert plain_line(REF, reading, TEXT_TAILS) == ""


NUMBERS = {
    ValueType.FLOAT: st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53)),
    ValueType.INT: st.integers(-(2**63), 2**63 - 1),
    ValueType.BOOL: st.booleans(),
    ValueType.TEXT: st.text(max_size=256),
}
SHAPES = {
    ValueType.FLOAT: re.compile(r"-?[0-9.]+(e[+-]?[0-9]+)?"),
    ValueType.INT: re.compile(r"-?[0-9]+i"),
    ValueType.BOOL: re.compile("true|false"),
    ValueType.TEXT: re.compile(r'"([^"\\]|\\.)*"', re.DOTALL),
}


@given(st.data())
def test_a_field_never_changes_its_type_whatever_a_device_says(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(Kind)))
    name = data.draw(st.sampled_from(sorted(METRICS[kind])))
    declared = METRICS[kind][name].type
    reading = Reading(device="yard", kind=kind, at=START, values={name: data.draw(NUMBERS[declared])})
    for written in (line(REF, reading), plain_line(REF, reading, TEXT_TAILS)):
        if written:
            field = written.partition(f" {name}=")[2].removesuffix(f',quality="good" {START}000')
            assert SHAPES[declared].fullmatch(field), field


def test_summaries_of_one_device_and_window_are_one_line_of_floats() -> None:
    place = ("411202002001", "gw-jianye-1", "yard", Kind.ENVIRONMENT)
    hot, wet = Summary(*place, "temperature", START, 3, 1.0, 9, 4.5, 2.0), Summary(*place, "rain", START, 1, 0.5, 0.5, 0.5, 0.5)
    later = hot._replace(at=START + 300_000_000)
    series = "environment_5m,community=411202002001,device=yard,gateway=gw-jianye-1 "
    temperature = "temperature_samples=3.0,temperature_min=1.0,temperature_max=9.0,temperature_mean=4.5,temperature_last=2.0"
    assert list(summary_lines([later, hot, wet], Level.FIVE_MINUTES)) == [
        f"{series}{temperature},rain_samples=1.0,rain_min=0.5,rain_max=0.5,rain_mean=0.5,rain_last=0.5 {START}000",
        f"{series}{temperature} {START + 300_000_000}000",
    ]
    assert [measurement(Kind.ENERGY, level) for level in Level] == ["energy", "energy_5m", "energy_1h"]
