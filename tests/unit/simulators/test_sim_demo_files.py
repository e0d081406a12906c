"""The demo's gateway, once its placeholders are filled, is one that the gateway's own checks accept."""

import secrets
import string
from pathlib import Path

from device_profiles import load_library
from edge import config
from linli.paths import config_dir
from simulators.scenario import Plate
from simulators.world import load_stage
from telemetry.privacy import normalise

DEMO = config_dir() / "demo"


def test_the_demos_gateway_is_accepted_with_all_its_devices(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("gateway.key", "site.key"):
        (tmp_path / "keys" / name).write_text(secrets.token_hex(32))
        (tmp_path / "keys" / name).chmod(0o600)
    words = {"BROKER": "mqtt://127.0.0.1:1883", "METERS_PORT": "5020", "RUN": str(tmp_path / "run")}
    for name in ("gateway.yaml", "devices.yaml"):
        template = string.Template((DEMO / name).read_text(encoding="utf-8"))
        (tmp_path / name).write_text(template.substitute(words), encoding="utf-8")
    gateway = config.load(tmp_path / "gateway.yaml", load_library())
    assert len(gateway.devices) == 10
    assert all(device.place.zh and device.place.en and device.zone for device in gateway.devices)
    assert [getattr(bus, "port", None) for bus in gateway.gateway.buses] == [5020, f"{tmp_path}/run/rs485-1"]


def test_the_demos_list_holds_exactly_one_plate_of_its_story() -> None:
    lines = (DEMO / "lists" / "plate-blacklist.txt").read_text(encoding="utf-8").splitlines()
    listed = {normalise(line) for line in lines if line and not line.startswith("#")}
    story = load_stage(DEMO / "world.yaml", load_library()).story
    assert [step.plate for step in story.steps if isinstance(step, Plate) and normalise(step.plate) in listed] == ["豫MB8888"]
