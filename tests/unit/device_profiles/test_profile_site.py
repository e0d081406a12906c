"""What only the site knows: checked against the profile, and bound into it."""

import pytest

from device_profiles import Answer, Decoded, Request, Table, decode, encode, parameter_faults, with_parameters
from device_profiles.library import load_text
from device_profiles.profile import Profile

METER = """
id: meter-1
kind: energy
vendor: V
model: M
name: {zh: 电表, en: Meter}
confidence: single
sources: [a manual]
parameters:
  ct: {meaning: current transformer ratio, range: [1, 10000]}
  pt: {meaning: voltage transformer ratio, default: 1, range: [1, 1000]}
modbus: {}
points:
  voltage_l1: {unit: V, scale: 0.1, range: [0, 600], deadband: 1, times: [pt], modbus: {table: holding, address: 0}}
  current_l1: {unit: mA, range: [0, 6000], times: [ct], modbus: {table: holding, address: 1}}
  active_power_l1: {unit: kW, scale: 0.001, times: [pt, ct], modbus: {table: holding, address: 2, type: int16}}
  frequency: {unit: Hz, scale: 0.01, modbus: {table: holding, address: 3}}
  energy_total: {unit: kWh, scale: 0.01, times: [ct], wrap: 65536, modbus: {table: holding, address: 4}}
  apparent_power_l1: {unit: VA, formula: voltage_l1 * current_l1 + 0 * ct}
examples:
  vectors:
    - {origin: computed, point: current_l1, words: [250], parameters: {ct: 40}, gives: 10.0}
"""


@pytest.fixture(scope="module")
def meter() -> Profile:
    return load_text(METER, "meter-1.yaml")


def read(profile: Profile) -> dict[str, Decoded]:
    request = Request(Table.HOLDING, 0, 5, ("voltage_l1", "current_l1", "active_power_l1", "frequency", "energy_total"))
    return {each.point: each for each in decode(profile, [Answer(request, (1000, 250, 25, 5000, 100))])}


def test_the_ratios_of_the_site_are_in_the_values(meter: Profile) -> None:
    found = {name: each.value for name, each in read(with_parameters(meter, {"ct": 40, "pt": 10})).items()}
    assert found == {
        "voltage_l1": 1000.0,
        "current_l1": 10.0,
        "active_power_l1": 10_000.0,
        "frequency": 50.0,
        "energy_total": 40.0,
        "apparent_power_l1": 10_000.0,
    }


def test_a_default_counts_where_the_site_says_nothing(meter: Profile) -> None:
    assert read(with_parameters(meter, {"ct": 40}))["voltage_l1"].value == 100.0


def test_range_deadband_and_wrap_are_the_devices_own(meter: Profile) -> None:
    bound = with_parameters(meter, {"ct": 40, "pt": 10})
    assert bound.points["voltage_l1"].range == (0, 6000.0)
    assert bound.sampling["voltage_l1"].deadband == 10.0
    assert bound.points["energy_total"].wrap == pytest.approx(26214.4)
    assert encode(bound, "current_l1", 10.0) == (250,)


def test_one_site_has_one_profile(meter: Profile) -> None:
    assert with_parameters(meter, {"ct": 40}) is with_parameters(meter, {"ct": 40})
    assert with_parameters(meter, {"ct": 40}) is not with_parameters(meter, {"ct": 41})


def test_a_formula_without_its_parameter_has_a_reason(meter: Profile) -> None:
    assert read(meter)["apparent_power_l1"].reason == "ct is not known"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, {"ct": "is missing: current transformer ratio"}),
        ({"ct": 0.5}, {"ct": "0.5 is out of range 1 to 10000"}),
        ({"ct": 1, "pt": 1000}, {}),
        ({"ct": 1, "ctt": 2}, {"ctt": "is no parameter of meter-1 (did you mean 'ct'?)"}),
    ],
)
def test_wrong_parameters_are_told(meter: Profile, given: dict[str, float], said: dict[str, str]) -> None:
    assert parameter_faults(meter, given) == said
