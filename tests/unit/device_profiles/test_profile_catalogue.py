"""The page of supported devices is what the profiles say, and nobody edits it."""

from pathlib import Path

from device_profiles import load_library
from device_profiles.catalogue import markdown, outside, speaks
from device_profiles.examples import run
from telemetry.metric import METRICS

LIBRARY = load_library().profiles
PAGE = Path(__file__).parents[3] / "docs" / "devices.md"


def test_the_page_is_fresh() -> None:
    """``linli profile list --markdown > docs/devices.md`` makes it so."""
    assert PAGE.read_text(encoding="utf-8") == markdown(LIBRARY.values(), outside())


def test_the_page_tells_every_profile_with_its_caveats() -> None:
    page = markdown(LIBRARY.values(), outside())
    for profile in LIBRARY.values():
        assert page.count(f"| `{profile.id}` |") == 1
        assert all(f"- {note}\n" in page for note in profile.notes)
    assert "- Each device must say its ct: current transformer ratio" in page


def test_the_page_tells_how_a_device_is_reached() -> None:
    assert speaks(LIBRARY["eastron-sdm120"]) == "Modbus, 2400 N1, unit 1"
    assert speaks(LIBRARY["novabo-sqr2"]) == "Modbus, 9600 ??, unit 255"
    assert speaks(LIBRARY["mtdx62-mb"]) == "Modbus, settings not stated, unit ?"
    assert speaks(LIBRARY["bosch-tps110"]) == "LoRaWAN"
    assert speaks(LIBRARY["frigate"]) == "MQTT"


def test_what_stands_in_a_row_is_told_short() -> None:
    page = markdown([LIBRARY["waveshare-relay-8ch"]], [])
    assert "| output_1..8 |" in page


def test_what_is_left_out_has_a_reason_and_no_profile() -> None:
    left_out = outside()
    assert len({one.name for one in left_out}) == len(left_out) > 10
    assert all(one.reason for one in left_out)


def test_every_example_that_was_worked_out_here_says_so() -> None:
    origins = {outcome.origin for profile in LIBRARY.values() for outcome in run(profile)}
    assert origins <= {"manual", "computed", "recorded"}


def test_every_metric_of_a_profile_is_of_the_vocabulary() -> None:
    for profile in LIBRARY.values():
        assert profile.metrics.keys() <= METRICS[profile.kind].keys()
