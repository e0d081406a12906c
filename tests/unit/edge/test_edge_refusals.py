"""What units refused is known again after a restart, of the unit it was learned of and no other."""

from pathlib import Path

import pytest

from device_profiles import Profile, Request, Table
from device_profiles.library import load_text
from edge.refusals import Refusals
from edge.unit import NOTHING_REFUSED, Known, Refused, Unit, addresses, postponed

PROFILE = """
id: test-climate
version: {version}
kind: environment
vendor: Test
model: T1
name: {{zh: 测试, en: Test}}
confidence: confirmed
sources: [test]
modbus: {{interval_s: 1}}
points:
  temperature: {{unit: degC, modbus: {{table: holding, address: 0}}}}
  co2: {{unit: ppm, modbus: {{table: holding, address: 4}}}}
examples:
  vectors: [{{origin: computed, point: co2, words: [500], gives: 500}}]
"""
REFUSED = Refused(frozenset({(Table.HOLDING, 2), (Table.HOLDING, 4)}), (("co2", 2),))


def profile(version: int = 1) -> Profile:
    return load_text(PROFILE.format(version=version), "test-climate.yaml")


def unit(version: int = 1, unit_id: int = 1) -> Unit:
    return Unit("b3-climate", profile(version), unit_id)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "refusals.json"


async def test_what_was_learned_is_known_after_a_restart(file: Path) -> None:
    await Refusals(file).note(unit(), REFUSED)
    assert Refusals(file).of(unit()) == REFUSED
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("other", [unit(version=2), unit(unit_id=2), unit()._replace(device="b4-climate")])
async def test_another_version_unit_or_place_learns_anew(file: Path, other: Unit) -> None:
    await Refusals(file).note(unit(), REFUSED)
    assert Refusals(file).of(other) == NOTHING_REFUSED


async def test_the_file_is_written_when_there_is_news_and_never_else(file: Path) -> None:
    refusals = Refusals(file)
    await refusals.note(unit(), REFUSED)
    file.unlink()
    await refusals.note(unit(), REFUSED)
    assert not file.exists()
    await refusals.note(unit(), Refused(REFUSED.addresses))
    assert file.exists()


async def test_devices_that_are_gone_leave_the_file_with_the_next_news(file: Path) -> None:
    refusals = Refusals(file)
    await refusals.note(unit(), REFUSED)
    refusals.keep_only({"b4-climate"})
    await refusals.note(unit()._replace(device="b4-climate"), REFUSED)
    assert "b3-climate" not in file.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"b3-climate": 1}', "\xff"])
async def test_a_damaged_file_costs_what_it_would_have_saved(file: Path, text: str) -> None:
    file.write_text(text)
    refusals = Refusals(file)
    assert refusals.of(unit()) == NOTHING_REFUSED
    await refusals.note(unit(), REFUSED)
    assert Refusals(file).of(unit()) == REFUSED


async def test_a_folder_that_cannot_be_written_costs_the_same(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "missing" / "refusals.json")
    await refusals.note(unit(), REFUSED)
    assert refusals.of(unit()) == REFUSED


def test_what_is_known_to_be_refused_is_not_asked_for_and_tried_again_after_an_hour() -> None:
    known = Known(unit(), REFUSED, now=100.0)
    due = ("temperature", "co2")
    assert known.requests(due) == (Request(Table.HOLDING, 0, 1, ("temperature",)),)
    (answer,) = known.refusals(due)
    assert answer.request.points == ("co2",) and answer.words is None and answer.failure == "exception 2"
    known.forget(100.0 + 3599)
    assert known.refusals(due)
    known.forget(100.0 + 3600)
    assert known.refusals(due) == [] and {point for one in known.requests(due) for point in one.points} == set(due)


def test_an_address_between_two_points_is_learned_when_both_answer_alone() -> None:
    known, whole = Known(unit()), Request(Table.HOLDING, 0, 5, ("temperature", "co2"))
    there = [Request(Table.HOLDING, 0, 1, ("temperature",)), Request(Table.HOLDING, 4, 1, ("co2",))]
    known.learn(whole, {}, there, 0.0)
    assert known.refused == Refused(frozenset({(Table.HOLDING, 1), (Table.HOLDING, 2), (Table.HOLDING, 3)}))
    assert [one.count for one in known.requests(("temperature", "co2"))] == [1, 1]


def test_only_what_was_not_read_is_put_off() -> None:
    unread = [Request(Table.HOLDING, 4, 1, ("co2",))]
    assert postponed(profile(), ["temperature", "co2"], unread) == {"co2"}
    assert addresses(unread[0]) == {(Table.HOLDING, 4)}
