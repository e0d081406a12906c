"""Paths, conditions and device clocks: small languages, each word of them."""

from typing import Any

import pytest

from device_profiles.clock import as_micros, device_time
from device_profiles.format_mqtt import Absent, Check, Encoding, Source
from device_profiles.payload import MISSING, Heard, PayloadInvalid, at, condition, decode_json, decode_text, path, take
from device_profiles.profile import Clock
from device_profiles.registers import Unfit

DOCUMENT = {"a": {"b": [10, {"c": "x"}], "d.e": 1, "Wifi SSID": "iot"}, "n": None, "zero": 0, "no": False, "text": "0.95"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.b[0]", 10),
        ("a.b[1].c", "x"),
        ('a["d.e"]', 1),
        ('a["Wifi SSID"]', "iot"),
        ("a.Wifi SSID", "iot"),
        ("n", None),
        ("$", DOCUMENT),
        ("a.b[7]", MISSING),
        ("a.b.c", MISSING),
        ("zero.a", MISSING),
        ("a[0]", MISSING),
    ],
)
def test_a_path_finds_what_it_says(text: str, found: Any) -> None:
    assert at(Heard(DOCUMENT), path(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("^", {"whole": [1]}), ("^.whole[0]", 1), ("^.b", MISSING), ("#0", "gates"), ("#2", "lane"), ("#3", MISSING)],
)
def test_a_path_can_begin_at_the_whole_message_or_its_topic(text: str, found: Any) -> None:
    assert at(Heard({"b": 1}, {"whole": [1]}, "gates/north/lane"), path(text)) == found


@pytest.mark.parametrize("text", ["", ".a", "a..b", "a[", "a[x]", "a[-1]", "a]", 'a["', "^.", "^a[", "^.a["])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        path(text)


@pytest.mark.parametrize(
    ("where", "wanted", "holds"),
    [
        ("a.b[0]", 10, True),
        ("a.b[0]", "10", True),
        ("a.b[0]", (9, 10), True),
        ("a.b[0]", 11, False),
        ("no", False, True),
        ("no", "false", True),
        ("zero", False, False),
        ("n", "None", False),
        ("missing", False, False),
        ("a.b", 10, False),
        ("n", Check(present=False), True),
        ("no", Check(present=True), True),
        ("missing", Check(present=True), False),
        ("a.b[0]", Check(other_than=(11,)), True),
        ("a.b[0]", Check(other_than=(11, 10)), False),
        ("missing", Check(other_than=(11,)), False),
        ("a.b[0]", Check(at_least=10, at_most=10), True),
        ("a.b[0]", Check(at_least=10.5), False),
        ("a.b[0]", Check(at_most=9.5), False),
        ("no", Check(at_least=0), False),
        ("a.b[1].c", Check(at_least=0), False),
        ("text", Check(at_least=0.9), True),
        ("text", Check(at_least=0.96), False),
    ],
)
def test_a_condition_holds_or_not(where: str, wanted: Any, holds: bool) -> None:
    assert condition(where, wanted).holds(Heard(DOCUMENT)) is holds


def test_a_condition_takes_the_parameters_of_the_device() -> None:
    assert condition("a.b[1].c", "{name}").bound({"name": "x"}).holds(Heard(DOCUMENT))
    assert not condition("a.b[1].c", "{name}").bound({"name": "y"}).holds(Heard(DOCUMENT))


@pytest.mark.parametrize(
    ("encoding", "found", "raw"),
    [
        (Encoding.NUMBER, "12", 12),
        (Encoding.NUMBER, " -1.5 ", -1.5),
        (Encoding.NUMBER, 3, 3),
        (Encoding.BASE64, "5LqsQUQxMjM0NQ==", "京AD12345"),
        (Encoding.LIST, ["b", "a"], "a,b"),
        (Encoding.LIST, [], ""),
        (Encoding.LIST, ["a"] * 64, ",".join("a" * 64)),
    ],
)
def test_a_value_is_taken_as_it_is_encoded(encoding: Encoding, found: Any, raw: Any) -> None:
    assert take(Source(path="x", encoding=encoding)).raw(Heard({"x": found})) == raw


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        (Encoding.NUMBER, "1180 mm"),
        (Encoding.NUMBER, True),
        (Encoding.NUMBER, "9" * 5000),
        (Encoding.BASE64, "京"),
        (Encoding.BASE64, "!!!!"),
        (Encoding.BASE64, "/w=="),
        (Encoding.BASE64, 5),
        (Encoding.LIST, "a,b"),
        (Encoding.LIST, ["a", 1]),
        (Encoding.LIST, ["a"] * 65),
    ],
)
def test_what_is_not_encoded_so_is_unfit(encoding: Encoding, found: Any) -> None:
    with pytest.raises(Unfit):
        take(Source(path="x", encoding=encoding)).raw(Heard({"x": found}))


def test_a_constant_is_what_the_message_itself_means() -> None:
    assert take(Source(value=False)).raw(Heard({})) is False
    assert take("x").raw(Heard({"x": None})) is MISSING


@pytest.mark.parametrize(
    ("message", "own", "raw"),
    [
        (Absent.UNCHANGED, None, MISSING),
        (Absent.ZERO, None, False),
        (Absent.ZERO, Absent.UNCHANGED, MISSING),
        (Absent.UNCHANGED, Absent.ZERO, False),
    ],
)
def test_what_is_absent_means_what_the_message_or_the_value_says(message: Absent, own: Absent | None, raw: Any) -> None:
    assert take(Source(path="x", absent=own), message, zero=False).raw(Heard({})) is raw
    assert take(Source(path="x", absent=own), message, zero=False).raw(Heard({"x": 7})) == 7


def test_what_is_absent_may_mean_that_it_is_not_known_now() -> None:
    with pytest.raises(Unfit, match="it was not told"):
        take("x", Absent.UNKNOWN).raw(Heard({"x": None}))


def test_payloads_are_bounded_before_they_are_parsed() -> None:
    for decode in (decode_json, decode_text):
        with pytest.raises(PayloadInvalid, match="1048577 bytes"):
            decode(b"1" * (1 + (1 << 20)))


NOON = as_micros("2025-03-18T12:00:00Z")


@pytest.mark.parametrize(
    ("format_", "zone", "told"),
    [
        ("epoch_s", "utc", 1742299200),
        ("epoch_s", "utc", "1742299200"),
        ("epoch_s", "utc", 1742299200.0),
        ("epoch_s", "Asia/Shanghai", 1742299200 + 8 * 3600),
        ("epoch_ms", "utc", 1742299200000),
        ("epoch_us", "utc", 1742299200000000),
        ("iso", "utc", "2025-03-18T12:00:00"),
        ("iso", "utc", "2025-03-18T12:00:00.000000000Z"),
        ("iso", "utc", "2025-03-18T20:00:00+0800"),
        ("iso", "Asia/Shanghai", "2025-03-18T20:00:00"),
        ("iso", "Asia/Shanghai", "2025-03-18T12:00:00+00:00"),
        ("iso", "utc", "2025-03-18T13:00:00+01:00[Europe/Berlin]"),
    ],
)
def test_one_moment_in_every_way_devices_tell_it(format_: str, zone: str, told: Any) -> None:
    assert device_time(Clock((), format_, zone, 0, 0), told, NOON) == NOON


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        ("2025-03-18T11:00:00Z", True),
        ("2025-03-18T10:59:59.999999Z", False),
        ("2025-03-18T12:01:00Z", True),
        ("2025-03-18T12:01:00.000001Z", False),
        ("1970-01-01T00:00:12Z", False),
        ("9999-12-31T23:59:59-23:59", False),
        ("noon", False),
        (None, False),
    ],
)
def test_a_device_is_believed_inside_its_window_alone(told: Any, believed: bool) -> None:
    clock = Clock((), "iso", "utc", 3_600_000_000, 60_000_000)
    assert (device_time(clock, told, NOON) is not None) is believed


@pytest.mark.parametrize("told", [True, 10**400, 1e308, -1, float("nan"), [], "1e999"])
@pytest.mark.parametrize("zone", ["utc", "Asia/Shanghai"])
def test_an_epoch_that_is_none_is_not_believed(told: Any, zone: str) -> None:
    assert device_time(Clock((), "epoch_s", zone, 10**9, 0), told, NOON) is None
