"""Everything wrong with a world and its story is said at once, and the demo's is right."""

from pathlib import Path

import pytest
import yaml

from device_profiles import Table, load_library
from linli.paths import config_dir
from simulators import load_stage
from simulators.registers import RegisterUnit
from simulators.scenario import Fault, Scenario
from simulators.slave import Refused, Silent
from simulators.world import ModbusEnd, Stage
from telemetry.errors import ConfigInvalid

DEMO = config_dir() / "demo"


@pytest.fixture(scope="module")
def demo() -> Stage:
    return load_stage(DEMO / "world.yaml", load_library())


def unit(stage: Stage, device: str) -> RegisterUnit:
    (spec,) = (spec for spec in stage.world.devices if spec.id == device)
    assert isinstance(spec.end, ModbusEnd)
    return RegisterUnit(device, stage.library.profiles[spec.profile], spec.end.points, stage.story, stage.world.seed)


def test_the_demos_world_holds_the_devices_of_the_demos_gateway(demo: Stage) -> None:
    listed = yaml.safe_load((DEMO / "devices.yaml").read_text(encoding="utf-8"))["devices"]
    assert {(device.id, device.profile) for device in demo.world.devices} == {(each["id"], each["profile"]) for each in listed}
    addresses = {each["id"]: each["address"] for each in listed}
    for device in demo.world.devices:
        if isinstance(device.end, ModbusEnd):
            assert (device.end.bus, device.end.unit_id) == (addresses[device.id]["bus"], addresses[device.id]["unit_id"])


def test_the_demos_registers_hold_plausible_values_throughout_the_story(demo: Stage) -> None:
    for device in demo.world.devices:
        if isinstance(device.end, ModbusEnd):
            end_unit, held = unit(demo, device.id), {}
            for second in range(0, 320, 7):
                held |= dict(end_unit.refresh(float(second)))
            profile = demo.library.profiles[device.profile]
            assert held.keys() == profile.metrics.keys()


def test_the_demos_sump_rises_past_its_limit_and_falls_again(demo: Stage) -> None:
    sump = unit(demo, "b3-pump-level")
    levels = [dict(sump.refresh(float(second))).get("level") for second in (69, 75, 98, 104)]
    assert levels[1] == 1.38
    assert levels[0] is not None
    assert levels[3] is not None
    assert float(levels[0]) < 0.6
    assert float(levels[3]) < 1.0


def test_a_unit_refuses_addresses_without_a_point_and_answers_the_rest(demo: Stage) -> None:
    climate = unit(demo, "garage-climate")
    climate.refresh(0.0)
    assert len(climate.words(Table.INPUT, 1, 2)) == 2
    for table, address, count in ((Table.INPUT, 1, 3), (Table.INPUT, 0, 1), (Table.HOLDING, 1, 1)):
        with pytest.raises(Refused, match="exception 2"):
            climate.words(table, address, count)


def test_a_fault_stands_before_every_register(demo: Stage) -> None:
    climate = unit(demo, "garage-climate")
    climate.refresh(0.0)
    climate.fault = Fault()
    with pytest.raises(Silent):
        climate.words(Table.INPUT, 1, 1)
    climate.fault = Fault(6)
    with pytest.raises(Refused, match="exception 6"):
        climate.words(Table.INPUT, 1, 1)


def test_only_what_changed_is_told(demo: Stage) -> None:
    climate = unit(demo, "garage-climate")
    assert {change.metric for change in climate.refresh(5.0)} == {"temperature", "humidity"}
    assert climate.refresh(5.0) == []


def test_everything_wrong_is_said_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text(
        """
scenario: story.yaml
buses: [{type: tcp, id: meters, port: 1502}]
devices:
  - id: one
    profile: xy-md02
    end: {type: modbus, bus: metres, unit_id: 1, points: {temperature: 20, humidty: {shape: sum, of: [x]}}}
  - {id: one, profile: xy-md20, end: {type: frigate, camera: a}}
  - {id: two, profile: frigate, end: {type: modbus, bus: meters, unit_id: 1, points: {a: 1}}}
"""
    )
    (tmp_path / "story.yaml").write_text(
        """
steps:
  - {do: silence, at_s: 1, device: three, for_s: 1}
  - {do: plate, at_s: 1, device: two, plate: 豫MA1206}
"""
    )
    with pytest.raises(ConfigInvalid) as caught:
        load_stage(tmp_path / "world.yaml", load_library())
    assert [(Path(problem.file).name, problem.path) for problem in caught.value.problems] == [
        ("world.yaml", "devices[0].end.bus"),
        ("world.yaml", "devices[0].end.points.humidty"),
        ("world.yaml", "devices[0].end.points.humidity"),
        ("world.yaml", "devices[0].end.points.humidty"),
        ("world.yaml", "devices[1].id"),
        ("world.yaml", "devices[1].profile"),
        ("world.yaml", "devices[2].end"),
        ("world.yaml", "devices[2].end.points.a"),
        ("story.yaml", "steps[0].device"),
        ("story.yaml", "steps[1].do"),
    ]
    assert all(problem.cure for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("devices: [{id: one, profile: frigate, end: {type: frigate, camera: a/b}}]", "devices[0].end.camera"),
        ("devices: []\nspeed: 0", "speed"),
        ("devices: []\nspeeed: 2", "did you mean 'speed'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "world.yaml").write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load_stage(tmp_path / "world.yaml", load_library())
    assert reason in str(caught.value)


def test_a_missing_world_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read: No such file"):
        load_stage(tmp_path / "world.yaml", load_library())


def test_a_world_without_a_story_stands_still(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text("devices: [{id: one, profile: frigate, end: {type: frigate, camera: a}}]")
    assert load_stage(tmp_path / "world.yaml", load_library()).story == Scenario(())


KINDS = config_dir() / "kinds"


def test_a_kind_that_no_step_raises_is_refused_with_the_nearest(demo: Stage) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_stage(KINDS / "world.yaml", load_library(), None, ["gas_leek"])
    assert [(problem.path, problem.reason, problem.cure) for problem in caught.value.problems] == [
        ("gas_leek", "no step raises it", "did you mean 'gas_leak'?")
    ]


def test_a_wired_contact_reads_as_the_story_says() -> None:
    stage = load_stage(KINDS / "world.yaml", load_library(), None, ["fire_release"])
    panel = unit(stage, "contacts-1")
    panel.refresh(0)
    assert panel.words(Table.DISCRETE, 0, 8) == (0, 0, 0, 0, 0, 0, 0, 0)
    panel.refresh(6)
    assert panel.words(Table.DISCRETE, 0, 8) == (1, 0, 0, 0, 0, 0, 0, 0)
