"""Every shipped profile: it loads, its file keeps to the schema, and all its examples hold."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from device_profiles import load_library
from device_profiles.examples import Outcome, run
from device_profiles.format import Binding, Hole, Link, ModbusMap, ParameterDocument, PointDocument, schema
from device_profiles.format_mqtt import Check, DeviceTime, MessageDocument, MqttDocument, Source
from device_profiles.library import SHIPPED
from telemetry.document import parse
from telemetry.errors import ConfigInvalid
from telemetry.metric import METRICS

LIBRARY = load_library()
OUTCOMES = [(id_, outcome) for id_, profile in LIBRARY.profiles.items() for outcome in run(profile)]
SCHEMA_FILE = SHIPPED.parent / "profile.schema.json"


@pytest.mark.parametrize(("id_", "outcome"), OUTCOMES, ids=[f"{id_}-{outcome.name}" for id_, outcome in OUTCOMES])
def test_example_holds(id_: str, outcome: Outcome) -> None:
    assert outcome.faults == ()


def test_every_profile_has_examples() -> None:
    assert {id_ for id_, _ in OUTCOMES} == set(LIBRARY.profiles)


def test_the_schema_is_fresh() -> None:
    """``linli profile schema > device_profiles/profile.schema.json`` makes it so."""
    assert json.loads(SCHEMA_FILE.read_bytes()) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_file_keeps_to_the_schema(file: Path) -> None:
    as_json = json.loads(msgspec.json.encode(parse(file.read_text(), str(file))))
    jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_bytes())).validate(as_json)


def test_the_schema_refuses_a_misspelt_key() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    errors = [error.message for error in validator.iter_errors({"id": "abc", "verison": 1})]
    assert any("verison" in message for message in errors)


@pytest.mark.parametrize(
    "part",
    [PointDocument, ParameterDocument, Binding, ModbusMap, MqttDocument, MessageDocument, Source, DeviceTime, Check, Hole, Link],
)
def test_the_guide_names_every_key_of_the_format(part: type[msgspec.Struct]) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "profiles.md").read_text()
    assert [field for field in part.__struct_fields__ if field not in guide and field != "note"] == []


def test_metrics_are_told_with_the_units_of_the_vocabulary() -> None:
    for profile in LIBRARY.profiles.values():
        for metric, unit in profile.metrics.items():
            assert METRICS[profile.kind][metric].unit == unit


def test_an_event_and_the_hash_of_an_identifier_are_among_the_metrics() -> None:
    assert {"event", "plate", "plate_ref"} <= LIBRARY.profiles["vzenith-mqtt"].metrics.keys()
    assert "event" not in LIBRARY.profiles["xy-md02"].metrics


def test_ids_are_known_before_files_are_read() -> None:
    fresh = load_library().profiles
    assert "xy-md02" in fresh and "nothing" not in fresh and len(fresh) == len(list(fresh))
    assert fresh.get("nothing") is None
    assert fresh["xy-md02"] is fresh["xy-md02"]


def test_a_site_adds_its_own_profiles(tmp_path: Path) -> None:
    own = (SHIPPED / "xy-md02.yaml").read_text().replace("id: xy-md02", "id: our-sensor")
    (tmp_path / "our-sensor.yaml").write_text(own)
    assert load_library([tmp_path]).profiles["our-sensor"].model.startswith("XY-MD02")


def test_every_problem_of_every_own_file_is_said_at_once(tmp_path: Path) -> None:
    good = (SHIPPED / "xy-md02.yaml").read_text()
    (tmp_path / "xy-md02.yaml").write_text(good)
    (tmp_path / "other-name.yaml").write_text(good.replace("id: xy-md02", "id: our-sensor"))
    (tmp_path / "broken.yaml").write_text("id: [")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid) as caught:
        load_library([tmp_path, tmp_path / "missing"])
    reasons = "\n".join(str(problem) for problem in caught.value.problems)
    for said in ("is there already", "name the file our-sensor.yaml", "broken.yaml", "not UTF-8", "no such file or folder"):
        assert said in reasons
