"""Counters are told over their wraps, also after a restart, of the device and profile they were followed with and no other."""

import asyncio
from pathlib import Path

import pytest

from device_profiles import Decoded, Profile, with_parameters
from device_profiles.library import load_text
from edge.counters import Counters, Followed
from telemetry.metric import Kind, Value
from telemetry.quality import Quality
from telemetry.reading import Reading

FULL = 65536
PROFILE = """
id: {id}
kind: environment
vendor: Test
model: W1
name: {{zh: 水表, en: Water meter}}
confidence: confirmed
sources: [test]
modbus: {{interval_s: 10}}
parameters: {{pulse: {{meaning: litres a pulse, range: [1, 10], default: 1}}}}
points:
  volume: {{unit: m3, scale: 0.1, wrap: 65536, times: [pulse], modbus: {{table: holding, address: 3}}}}
  temperature: {{unit: degC, modbus: {{table: holding, address: 0}}}}
examples:
  vectors: [{{origin: computed, point: temperature, words: [20], gives: 20}}]
"""
METER = load_text(PROFILE.format(id="test-meter"), "test-meter.yaml")
OTHER = load_text(PROFILE.format(id="other-meter"), "other-meter.yaml")


def opened(counters: Counters, profile: Profile = METER) -> Followed:
    found = counters.of("b3-water", profile)
    assert found is not None
    return found


def said(counters: Followed, *raws: int, at: int = 1000) -> list[Value | None]:
    """What passes of a device whose register says these, poll after poll."""
    values = [raw * 0.1 for raw in raws]
    polls = [Decoded("volume", "volume", round(value, 1), Quality.GOOD, "", ()) for value in values]
    return [counters.follow([poll], at + number)[0].value for number, poll in enumerate(polls)]


def accepted(value: float, at: int) -> Reading:
    return Reading(device="b3-water", kind=Kind.ENVIRONMENT, at=at, values={"volume": value, "temperature": 20.0})


def test_a_reading_says_how_far_a_counter_has_counted() -> None:
    assert said(opened(Counters()), 65530, 65534, 2, 40000, 65535, 0) == [6553.0, 6553.4, 6553.8, 10553.6, 13107.1, 13107.2]


def test_what_has_no_value_and_what_does_not_wrap_pass_as_they_are() -> None:
    counters = opened(Counters())
    said(counters, 65530, 1)
    missing = Decoded("volume", "volume", None, Quality.BAD, "timeout", ())
    cold = Decoded("temperature", "temperature", -3.0, Quality.GOOD, "", ())
    assert counters.follow([missing, cold], 5) == [missing, cold]
    assert said(counters, 2) == [6553.8], "a poll that failed is no reset"


def test_a_device_without_such_a_counter_is_not_followed() -> None:
    plain = load_text(PROFILE.format(id="plain-meter").replace("wrap: 65536, ", ""), "plain-meter.yaml")
    assert Counters().of("b3-water", plain) is None


def test_a_device_that_is_opened_again_goes_on_also_with_other_parameters() -> None:
    counters = Counters()
    said(opened(counters), 65530, 10)
    larger = with_parameters(METER, {"pulse": 2})
    (value,) = opened(counters, larger).follow([Decoded("volume", "volume", 4.0, Quality.GOOD, "", ())], 9)
    assert value.value == pytest.approx(2 * (FULL + 20) * 0.1)


def test_another_profile_begins_anew() -> None:
    counters = Counters()
    said(opened(counters), 65530, 10)
    assert said(opened(counters, OTHER), 20) == [2.0]


def test_a_wrap_while_the_program_was_down_is_seen_by_the_last_reading() -> None:
    counters = Counters()
    counters.recall(accepted(6553.0, 2000))
    counters.recall(accepted(5000.0, 1000))
    assert said(opened(counters), 4) == [6554.0]


async def kept_by(file: Path, *raws: int, at: int = 1000, writes: bool = True) -> None:
    """A run of the program that hears these, and ends: once it has written, if it should."""
    counters = Counters(file)
    running = asyncio.create_task(counters.run())
    said(opened(counters), *raws, at=at)
    async with asyncio.timeout(30):
        for _ in range(20):
            await asyncio.to_thread(file.parent.stat)
        while writes and not file.exists():
            await asyncio.to_thread(file.parent.stat)
    running.cancel()
    await asyncio.wait((running,))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "counters.json"


async def test_wraps_are_known_after_a_restart_that_remembers_no_reading(file: Path) -> None:
    await kept_by(file, 65530, 10, 60000, 5)
    assert file.stat().st_mode & 0o777 == 0o600
    assert said(opened(Counters(file)), 700) == [2 * 6553.6 + 70]


async def test_nothing_is_written_while_nobody_wraps(file: Path) -> None:
    await kept_by(file, 10, 20, 65530, 40000, writes=False)
    assert not file.exists()


@pytest.mark.parametrize(
    ("total", "at", "then", "counted"),
    [
        (7000.0, 5000, 5000, 7053.6),  # the last reading came after the wrap
        (13000.0, 5000, 100, 13117.2),  # and before one that nobody saw
        (13200.0, 5000, 1000, 13207.2),  # its own wrap missed the file
        (6553.5, 900, 100, 6563.6),  # the wrap was kept, its reading was not
        (90000.0, 5000, 100, 6563.6),  # a value of another profile
    ],
)
async def test_a_restart_goes_on_from_the_later_of_file_and_reading(
    file: Path, total: float, at: int, then: int, counted: float
) -> None:
    await kept_by(file, 65530, 10)
    counters = Counters(file)
    counters.recall(accepted(total, at))
    assert said(opened(counters), then) == [counted]


async def test_a_reset_takes_the_wraps_out_of_the_file(file: Path) -> None:
    await kept_by(file, 65530, 10)
    counters = Counters(file)
    running = asyncio.create_task(counters.run())
    assert said(opened(counters), 30000, 7) == [9553.6, 0.7]
    async with asyncio.timeout(5):
        while "wraps" in file.read_text():
            await asyncio.to_thread(file.stat)
    running.cancel()
    assert said(opened(Counters(file)), 8) == [0.8]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"b3-water": 1}', "\xff"])
def test_a_damaged_file_costs_what_it_would_have_saved(file: Path, text: str) -> None:
    file.write_text(text)
    assert said(opened(Counters(file)), 65530, 2) == [6553.0, 6553.8]


async def test_counts_of_another_profile_and_of_devices_that_are_gone_are_forgotten(file: Path) -> None:
    await kept_by(file, 65530, 10)
    assert said(opened(Counters(file), OTHER), 20) == [2.0]
    counters = Counters(file)
    counters.keep_only({"elsewhere"})
    assert said(opened(counters), 20) == [2.0]
