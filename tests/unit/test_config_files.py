"""Every file under config/ is loaded by the code that will read it."""

import configparser
import shutil
import subprocess
from pathlib import Path
from string import Template

import pytest

from ingest import config as centre
from ingest.alerts import load_rules
from linli.paths import config_dir
from linli.report import BAD_CONFIGURATION
from telemetry.document import parse
from telemetry.identity import GatewayRef
from telemetry.topic import DEFAULT_ROOT, Leaf, build
from tests.servers import free_port

CONFIG = config_dir()
UNITS = sorted((CONFIG / "systemd").glob("*.service"))


def test_config_holds_no_python() -> None:
    assert list(CONFIG.rglob("*.py")) == []


@pytest.mark.parametrize("file", sorted(CONFIG.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONFIG)))
def test_every_yaml_file_is_strict_yaml(file: Path) -> None:
    words = dict.fromkeys(("BROKER", "METERS_PORT", "RUN", "API_PORT", "STORE"), "1")
    assert parse(Template(file.read_text(encoding="utf-8")).substitute(words), str(file))


def test_the_centre_example_is_accepted_where_its_files_are(tmp_path: Path) -> None:
    shutil.copy(CONFIG / "centre.example.yaml", tmp_path / "centre.yaml")
    shutil.copytree(CONFIG / "rules", tmp_path / "rules")
    (tmp_path / "broker-password").touch(0o600)
    (tmp_path / "ca.pem").touch()
    config = centre.load(tmp_path / "centre.yaml")
    assert config.centre.broker.tls
    assert config.centre.store == "duckdb"


@pytest.mark.parametrize("stage", ["demo"])
def test_shipped_rules_load_alone_and_with_those_of_a_stage(stage: str) -> None:
    shipped = load_rules([CONFIG / "rules"], {"411202002001": bytes(32)})
    assert len(load_rules([CONFIG / "rules", CONFIG / stage / "rules"], {"411202002001": bytes(32)})) == len(shipped) >= 66


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_a_unit_file_starts_a_verb_that_exists_and_is_confined(file: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # keys of unit files are case-sensitive
    unit.read_string(file.read_text())
    service = unit["Service"]
    verb = service["ExecStart"].split()[1:3]
    assert verb in (["edge", "run"], ["ingest", "run"])
    assert (service["Restart"], unit["Unit"]["StartLimitIntervalSec"]) == ("always", "0")
    assert service["RestartPreventExitStatus"] == str(BAD_CONFIGURATION)
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["UMask"]) == ("yes", "strict", "0077")


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_itself_finds_a_unit_well_confined(file: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout[-300:]


def test_the_acl_names_the_topics_that_the_programs_use() -> None:
    lines = (CONFIG / "mosquitto" / "centre.acl").read_text().splitlines()
    granted = {(words[1], words[2]) for line in lines if (words := line.split()) and words[0] == "topic"}
    ref = GatewayRef("411202002001", "gw-jianye-1")
    for leaf in Leaf:
        down = leaf in (Leaf.ACK, Leaf.CONFIG, Leaf.CMD)
        assert ("read" if down else "write", build(DEFAULT_ROOT, ref, leaf)) in granted
        assert ("write" if down else "read", f"{DEFAULT_ROOT}/+/+/+/{leaf}") in granted


@pytest.mark.parametrize("name", ["centre.conf", "devices.conf"])
def test_mosquitto_accepts_its_files(name: str, tmp_path: Path) -> None:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    (tmp_path / "passwords").touch()
    shutil.copy(CONFIG / "mosquitto" / "centre.acl", tmp_path / "linli.acl")
    for file in ("passwords", "linli.acl"):
        (tmp_path / file).chmod(0o600)
    text = (CONFIG / "mosquitto" / name).read_text()
    settings = [line for line in text.splitlines() if not line.startswith(("listener", "certfile", "keyfile", "tls_version"))]
    moved = "\n".join(settings).replace("/etc/mosquitto/linli-passwords", f"{tmp_path}/passwords")
    moved = moved.replace("/etc/mosquitto/linli.acl", f"{tmp_path}/linli.acl")
    (tmp_path / name).write_text(f"listener {free_port()} 127.0.0.1\nuser root\npersistence_location {tmp_path}/\n{moved}\n")
    with subprocess.Popen([program, "-c", str(tmp_path / name)], stderr=subprocess.PIPE, text=True) as process:
        try:
            _, said = process.communicate(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.terminate()
            _, said = process.communicate(timeout=10)
        else:
            pytest.fail(f"mosquitto refused {name}: {said}")
    assert "Error" not in said
