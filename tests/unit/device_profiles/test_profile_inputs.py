"""What is wired to a module's contacts: checked against the vocabulary, and bound into its profile."""

import pytest

from device_profiles import Answer, Meaning, Profile, decode, input_faults, load_library, plan, with_inputs
from telemetry.metric import Kind

LIBRARY = load_library()
RELEASED = {"input_1": Meaning("released")}


@pytest.fixture(scope="module")
def module() -> Profile:
    return LIBRARY.profiles["wellpro-wp8028"]


def faults(profile: Profile, inputs: dict[str, Meaning], kind: Kind | None = None) -> list[tuple[str, str]]:
    return [(path, reason) for path, reason, cure in input_faults(profile, inputs, kind) if cure]


def said(profile: Profile, *bits: int) -> dict[str | None, object]:
    answers = [Answer(one, bits[one.address : one.address + one.count]) for one in plan(profile)]
    return {each.metric: each.value for each in decode(profile, answers)}


def test_a_bound_module_says_the_words_of_the_site_in_their_kind_and_at_once(module: Profile) -> None:
    door = with_inputs(module, RELEASED, None)
    assert (door.kind, dict(door.metrics), door.sampling["released"].urgent) == (Kind.ACCESS, {"released": ""}, True)
    assert said(door, 1) == {"released": True}
    assert said(door, 0) == {"released": False}
    assert module.kind is Kind.ENVIRONMENT and "input_1" in module.metrics


def test_a_contact_that_opens_when_it_comes_about_is_read_the_other_way_round(module: Profile) -> None:
    inputs = {"input_2": Meaning("barrier_open", inverted=True), "input_4": Meaning("loop")}
    gate = with_inputs(module, inputs, None)
    assert gate.kind is Kind.PARKING
    assert said(gate, 1, 0, 1, 1) == {"barrier_open": True, "loop": True}
    assert said(gate, 1, 1, 1, 0) == {"barrier_open": False, "loop": False}


def test_what_could_not_be_read_means_neither(module: Profile) -> None:
    door = with_inputs(module, {"input_1": Meaning("released", inverted=True)}, None)
    (found,) = decode(door, [Answer(plan(door)[0], None, "no answer")])
    assert (found.metric, found.value, found.reason) == ("released", None, "no answer")


def test_only_the_wired_inputs_are_asked_for(module: Profile) -> None:
    (request,) = plan(with_inputs(module, RELEASED, None))
    assert (request.address, request.count) == (0, 1)


def test_one_site_is_one_profile(module: Profile) -> None:
    assert with_inputs(module, RELEASED, None) is with_inputs(module, dict(RELEASED), None)
    assert with_inputs(module, {}, None) is module


@pytest.mark.parametrize("kind", [Kind.ACCESS, Kind.ENVIRONMENT])
def test_a_word_of_several_kinds_asks_for_the_kind(module: Profile, kind: Kind) -> None:
    inputs = {"input_1": Meaning("door_open")}
    assert faults(module, inputs) == [("kind", "is missing: door_open may be of access or environment")]
    assert faults(module, inputs, kind) == []
    assert with_inputs(module, inputs, kind).kind is kind


@pytest.mark.parametrize(
    ("inputs", "kind", "path", "reason"),
    [
        ({"input_9": Meaning("released")}, None, "inputs.input_9", "wellpro-wp8028 has no contact 'input_9'"),
        ({"input_1": Meaning("relaesed")}, None, "inputs.input_1", "no word 'relaesed' for yes or no"),
        ({"input_1": Meaning("temperature")}, None, "inputs.input_1", "no word 'temperature' for yes or no"),
        (RELEASED, Kind.PARKING, "kind", "parking has no word released"),
        ({}, Kind.ACCESS, "kind", "is what wellpro-wp8028 says it is: environment"),
        (RELEASED | {"input_2": Meaning("released")}, None, "inputs.input_2", "says released, as input_1 does"),
        (
            RELEASED | {"input_2": Meaning("barrier_open")},
            None,
            "inputs",
            "are of no one kind: released is of access, barrier_open is of parking",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_place(
    module: Profile, inputs: dict[str, Meaning], kind: Kind | None, path: str, reason: str
) -> None:
    assert faults(module, inputs, kind) == [(path, reason)]


def test_a_misspelt_word_is_cured_by_the_nearest_of_its_kind(module: Profile) -> None:
    ((_, _, cure),) = input_faults(module, {"input_1": Meaning("relaesed")}, Kind.ACCESS)
    assert cure == "did you mean 'released'?"


@pytest.mark.parametrize("profile", ["eastron-sdm630", "zigbee2mqtt-contact"])
def test_a_device_without_contacts_has_no_inputs(profile: str) -> None:
    ((path, reason),) = faults(LIBRARY.profiles[profile], RELEASED)
    assert (path, reason) == ("inputs.input_1", f"{profile} has no contact 'input_1'")
