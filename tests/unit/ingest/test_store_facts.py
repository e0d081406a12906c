"""A reading taken apart: which quality and reason each metric has, and what no store may take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store.facts import body_of, facts, judgement, ordered, typed, why_unsound
from ingest.store.protocol import Query, Row
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading

START = 1_790_000_000_000_000


def reading(**changes: object) -> Reading:
    fields = {"device": "garage-climate", "kind": Kind.ENVIRONMENT, "at": START, "values": {"temperature": 20.0}, **changes}
    return Reading(**fields)


def test_without_faults_each_metric_has_the_quality_of_the_reading() -> None:
    assert list(facts({"temperature": 1.0, "co2": 2.0}, Quality.UNCERTAIN, None)) == [
        ("temperature", 1.0, Quality.UNCERTAIN, ""),
        ("co2", 2.0, Quality.UNCERTAIN, ""),
    ]


def test_the_fault_of_a_metric_comes_before_that_of_all_and_that_before_the_reading() -> None:
    found = facts({"temperature": 1.0, "co2": 2.0}, Quality.GOOD, {"co2": "bad: range", "*": "stale: held"})
    assert list(found) == [("temperature", 1.0, Quality.STALE, "held"), ("co2", 2.0, Quality.BAD, "range")]


def test_a_metric_with_a_fault_and_no_value_is_a_fact_too() -> None:
    assert list(facts({}, Quality.BAD, {"co2": "bad: exception 2"})) == [("co2", None, Quality.BAD, "exception 2")]


def test_a_reading_without_values_leaves_one_fact_of_the_whole() -> None:
    assert list(facts({}, Quality.STALE, None)) == [("*", None, Quality.STALE, "")]
    assert list(facts({}, Quality.GOOD, {"*": "bad: silent"})) == [("*", None, Quality.BAD, "silent")]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("bad: exception 2", (Quality.BAD, "exception 2")),
        ("uncertain", (Quality.UNCERTAIN, "")),
        ("timeout", (Quality.BAD, "timeout")),
        ("exception: 4", (Quality.BAD, "exception: 4")),
        ("", (Quality.GOOD, "")),
        (None, (Quality.GOOD, "")),
    ],
)
def test_a_fault_names_a_quality_or_is_bad(fault: str | None, expected: tuple[Quality, str]) -> None:
    assert judgement(fault, Quality.GOOD) == expected


def test_a_reason_is_bounded() -> None:
    assert len(judgement("bad: " + "x" * 10_000, Quality.GOOD)[1]) == 256


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"values": {"fault_code": 2**63}}, "does not fit 64 bits"),
        ({"values": {"fault_code": -(2**63) - 1}}, "does not fit 64 bits"),
        ({"values": {"temperature": 10**400}}, "finite number"),
        ({"values": {"event": "\ud800"}}, "not Unicode"),
        ({"values": {"plate": "A"}}, "no metric"),
        ({"event_id": "\udfff"}, "not Unicode"),
        ({"device": "Übel"}, "malformed"),
        ({"device": "a b"}, "malformed"),
    ],
)
def test_what_no_store_can_keep_is_named(changes: dict[str, object], reason: str) -> None:
    unsound = reading(**changes)
    assert reason in why_unsound(unsound)
    assert body_of(unsound)


@pytest.mark.parametrize(
    "values", [{}, {"fault_code": 2**63 - 1}, {"fault_code": -(2**63)}, {"temperature": 2**64}, {"event": "门\x00"}]
)
def test_what_can_be_kept_is_sound(values: dict[str, object]) -> None:
    assert why_unsound(reading(values=values)) == ""


@pytest.mark.parametrize(
    ("metric", "number", "expected"),
    [("running", 1, True), ("running", 0.0, False), ("fault_code", 7.0, 7), ("temperature", 21, 21.0), ("event", "open", "open")],
)
def test_a_number_comes_back_in_the_type_of_its_metric(metric: str, number: object, expected: object) -> None:
    value = typed(Kind.ENVIRONMENT, metric, number)
    assert value == expected
    assert type(value) is type(expected)


def test_a_metric_that_the_vocabulary_has_lost_keeps_what_the_store_said() -> None:
    assert typed(Kind.ENVIRONMENT, "formerly", 3) == 3


_rows = st.builds(
    lambda at, device, metric: Row("411202002001", "gw-1", device, Kind.ENERGY, metric, at, 1.0, Quality.GOOD),
    st.integers(1, 6),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y"]),
)


@given(st.lists(_rows), st.integers(1, 5), st.booleans())
def test_rows_are_limited_without_splitting_an_instant(rows: list[Row], limit: int, newest_first: bool) -> None:
    found = ordered(rows, Query(("41",), limit=limit, newest_first=newest_first))
    rest = list(rows)
    for row in found:
        rest.remove(row)
    instants = [row.at for row in found]
    assert instants == sorted(instants, reverse=newest_first)
    assert len(found) >= min(limit, len(rows))
    if len(found) > limit:
        assert instants[limit - 1] == instants[-1]
    if found:
        assert all((row.at < instants[-1]) if newest_first else (row.at > instants[-1]) for row in rest)
