"""``linli profile``: a person with a manual writes a file, checks it and tries it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from device_profiles.format import schema
from device_profiles.library import SHIPPED
from linli.commands.profile import profile
from telemetry.errors import ConfigInvalid


def linli(*words: str | Path) -> Result:
    return CliRunner().invoke(profile, [str(word) for word in words])


def test_list_names_every_shipped_profile() -> None:
    listed = {each["id"]: each for each in json.loads(linli("list", "--json").stdout)}
    assert set(listed) == {file.stem for file in SHIPPED.glob("*.yaml")}
    assert listed["level-qdy30a"]["speaks"] == ["modbus"] and listed["level-qdy30a"]["metrics"] == {"level": "m"}
    assert "frigate" in linli("list").stdout


def test_show_tells_how_a_device_is_read_or_heard() -> None:
    assert "reads 3 holding from 0x0002: unit_code, decimals, level" in linli("show", "level-qdy30a").stdout
    assert "address needs: camera, prefix" in linli("show", "frigate").stdout
    shown = json.loads(linli("show", "xy-md02", "--json").stdout)
    assert shown["points"][0]["where"] == "input 0x0001"


def test_an_unknown_profile_is_refused_with_the_nearest_one() -> None:
    error = linli("show", "xy-md03").exception
    assert isinstance(error, ConfigInvalid) and "did you mean 'xy-md02'?" in str(error)


def test_check_says_every_problem_of_every_file(tmp_path: Path) -> None:
    good = (SHIPPED / "xy-md02.yaml").read_text()
    first, second = tmp_path / "xy-md02.yaml", tmp_path / "bad.yaml"
    first.write_text(good.replace("degC", "degX").replace("humidity:", "humidty:", 1))
    second.write_text("id: bad")
    error = linli("check", first, second).exception
    assert isinstance(error, ConfigInvalid)
    for said in ("no unit 'degX'", "no metric 'humidty'", "bad.yaml: kind: is missing"):
        assert said in str(error)
    first.write_text(good)
    assert linli("check", first).stdout == f"{first}: good\n"


def test_test_runs_the_examples_and_fails_when_one_does_not_hold(tmp_path: Path) -> None:
    passed = linli("test")
    assert passed.exit_code == 0 and passed.stdout.split()[0] == passed.stdout.split()[2]
    wrong = tmp_path / "xy-md02.yaml"
    wrong.write_text((SHIPPED / "xy-md02.yaml").read_text().replace("temperature: 30.5", "temperature: 30.6"))
    failed = linli("test", wrong)
    assert failed.exit_code == 1
    assert "xy-md02 frames[0] (computed): temperature gives 30.5, not 30.6" in failed.stdout
    assert [each["faults"] for each in json.loads(linli("test", wrong, "--json").stdout)][1] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("20 0B", "20 0C", "its CRC is wrong"),
        ("01 31", "zz", "not hexadecimal"),
        ("temperature: 30.5, humidity: 54.6", "temperature: -30.5", "temperature gives 30.5"),
    ],
)
def test_a_frame_is_believed_by_its_crc(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "xy-md02.yaml"
    file.write_text((SHIPPED / "xy-md02.yaml").read_text().replace(old, new, 1))
    assert said in linli("test", file).stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("door_open: true, battery", "door_open: false, battery", "door_open gives True, not False"),
        ("[{values: {door_open: false}, quality: stale}]", "[]", "gives 1 observations, not 0"),
        ("quality: stale", "quality: good", "quality gives stale, not good"),
        ("{contact: true}", '"{contact"', "not JSON"),
    ],
)
def test_a_message_must_give_exactly_what_its_example_says(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "zigbee2mqtt-contact.yaml"
    file.write_text((SHIPPED / "zigbee2mqtt-contact.yaml").read_text().replace(old, new, 1))
    assert said in linli("test", file).stdout


def test_an_own_folder_is_part_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "our-sensor.yaml").write_text((SHIPPED / "xy-md02.yaml").read_text().replace("id: xy-md02", "id: our-sensor"))
    assert "our-sensor" in linli("list", "--profiles", tmp_path).stdout


def test_the_schema_is_for_editors() -> None:
    assert json.loads(linli("schema").stdout) == json.loads(json.dumps(schema()))


MODBUS_BLANKS = {
    "<kind> ": "environment ",
    "<maker>": "Maker",
    "<model as printed on the label>": "TH-1",
    "<中文名称>": "温湿度",
    "<what it is>": "Sensor",
    "<manual or address>": "manual, page 3",
    "<metric>": "temperature",
    "<unit the device speaks>": "degC",
    "<lowest>": "-40",
    "<highest>": "80",
    "<raw>": "305",
    "<value in the metric's unit>": "30.5",
}
MQTT_BLANKS = {**MODBUS_BLANKS, "<first level>": "sensors", "<path in the message>": "temp", "<raw>": "30.5"}


@pytest.mark.parametrize(("speaks", "blanks"), [("--modbus", MODBUS_BLANKS), ("--mqtt", MQTT_BLANKS)])
def test_a_new_profile_is_good_once_its_blanks_are_filled(tmp_path: Path, speaks: str, blanks: dict[str, str]) -> None:
    made = linli("new", "our-sensor", speaks, "--dir", tmp_path)
    file = tmp_path / "our-sensor.yaml"
    assert made.exit_code == 0 and f"linli profile check {file}" in made.stdout
    assert isinstance(linli("check", file).exception, ConfigInvalid)
    text = file.read_text()
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    file.write_text(text)
    assert linli("check", file).stdout == f"{file}: good\n"
    assert linli("test", file).stdout == "1 of 1 examples hold\n"


def test_a_blank_that_is_left_is_told(tmp_path: Path) -> None:
    linli("new", "our-sensor", "--modbus", "--dir", tmp_path)
    file = tmp_path / "our-sensor.yaml"
    text = file.read_text()
    for blank, value in MODBUS_BLANKS.items():
        text = text if blank == "<maker>" else text.replace(blank, value)
    file.write_text(text)
    assert "vendor: is still blank: <maker> (fill it)" in str(linli("check", file).exception)


def test_nothing_is_written_over_and_nothing_under_a_wrong_name(tmp_path: Path) -> None:
    (tmp_path / "our-sensor.yaml").write_text("mine")
    assert "is there already" in str(linli("new", "our-sensor", "--mqtt", "--dir", tmp_path).exception)
    assert (tmp_path / "our-sensor.yaml").read_text() == "mine"
    assert "is no id" in str(linli("new", "../our", "--mqtt", "--dir", tmp_path).exception)
    assert "give --modbus or --mqtt" in str(linli("new", "other", "--dir", tmp_path).exception)
    assert "cannot be written" in str(linli("new", "other", "--mqtt", "--dir", tmp_path / "none").exception)


def test_the_page_of_devices_is_printed() -> None:
    assert linli("list", "--markdown").stdout.startswith("# Supported devices\n")


def test_show_tells_formulas_and_what_the_site_must_say() -> None:
    shown = linli("show", "acrel-asj").stdout
    assert "state == 2" in shown
    assert "parameter ct (must be given): current transformer ratio" in linli("show", "acrel-adl3000").stdout
    asked = json.loads(linli("show", "acrel-adl3000", "--json").stdout)["parameters"]
    assert (asked["ct"]["default"], asked["pt"]["default"]) == (None, 1.0)
