"""Series in few words, and tables of tests that are refused."""

from pathlib import Path

import pytest

from ingest.alerts import trial
from ingest.alerts.notation import Word, seconds, words
from telemetry.errors import ConfigInvalid


def test_a_series_is_said_word_by_word() -> None:
    assert (
        words("20+0.5x2 _x2 stale_ 3x2")
        == [Word(20.0), Word(20.5), Word(21.0), Word(None), Word(None), Word("stale_")] + [Word(3.0)] * 2
    )
    assert words("5-2x1 stale true false granted silent -1.5") == [
        Word(5.0),
        Word(3.0),
        Word(3.0, "stale"),
        Word(True),
        Word(False),
        Word("granted"),
        Word(None, "silent"),
        Word(-1.5),
    ]


@pytest.mark.parametrize("text", ["stale", "_ stale", "1x9999 1x9999"])
def test_a_series_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"stands before|more than"):
        words(text)


def test_times_are_seconds_or_say_their_units() -> None:
    assert [seconds(text) for text in (90, 1.5, "90s", "2h", "1d2h3m4.5s")] == [90, 1.5, 90, 7200, 93784.5]
    for text in ("", "1 h", "h", "2x", "1s2h"):
        with pytest.raises(ValueError, match="is no time"):
            seconds(text)


def test_everything_wrong_with_a_table_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text(
        "devices: [{id: door, kind: access}]\nrules: []\ncases:\n"
        "  - {name: one, start: yesterday, until: 9x, series: [{at: 0, device: dor}, {at: now, device: door, values: {opn: 1}},"
        " {at: 0, device: door, trace: {door_open: stale}}], expect: [{rule: r, device: door, opened: soon}]}\n"
        "  - {name: one, until: 1, series: [], expect: []}\n"
    )
    with pytest.raises(ConfigInvalid) as caught:
        trial.load_table(file)
    assert [problem.path for problem in caught.value.problems] == [
        "cases[0].start",
        "cases[0].until",
        "cases[0].expect[0].opened",
        "cases[0].series[0].device",
        "cases[0].series[1].at",
        "cases[0].series[1]",
        "cases[0].series[2].trace.door_open",
        "cases[1].name",
    ]


async def test_a_case_that_does_not_hold_says_what_came_and_what_did_not(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text(
        "devices: [{id: door, kind: access}]\n"
        "rules: [{id: held, kind: held, family: access, colour: blue, title: {zh: a, en: a}, text: {zh: a, en: open},"
        " applies_to: {kinds: [access]}, when: {type: duration, where: {door_open: true}, for_s: 5}}]\n"
        "cases: [{name: late, until: 30, series: [{at: 1, device: door, trace: {door_open: true _x9 false}}],"
        " expect: [{rule: held, device: door, opened: 7, cleared: 11, says: open}]}]\n"
    )
    outcomes = [one async for one in trial.run(trial.load_table(file))]
    assert {outcome.faults for outcome in outcomes} == {
        (
            "did not come: held at door opened 7.0 (cleared 11.0, count 1, says open)",
            "came: held at door opened 6.0 (cleared 11.0, count 1, colour blue, graded ())",
        )
    }
