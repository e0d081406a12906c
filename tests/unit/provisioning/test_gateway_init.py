"""``linli gateway init`` makes a gateway that loads at once, and never touches one that is there."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from device_profiles import load_library
from edge.config import load, read_key
from edge.provisioning.init import AlreadyMade, NewGateway, make_gateway
from linli.commands.gateway import gateway
from linli.commands.ingest import ingest
from telemetry.errors import ConfigInvalid
from telemetry.presence import Words

NEW = NewGateway(community="411202002001", id="gw-b3", broker="mqtts://centre.example", name=Words("3号楼", "Building 3: east"))
FILES = ("keys/gateway.key", "keys/site.key", "devices.yaml", "gateway.yaml")


def keys() -> Callable[[], str]:
    digits = iter("0123456789abcdef")
    return lambda: next(digits) * 64


def test_what_was_made_loads_as_it_was_asked_for(tmp_path: Path) -> None:
    made = make_gateway(NEW, tmp_path, keys())
    config = load(tmp_path / "gateway.yaml", load_library())
    assert made.created == FILES
    assert config.gateway.gateway.community == "411202002001"
    assert config.gateway.gateway.name == Words("3号楼", "Building 3: east")
    assert config.gateway.centre.broker.url == "mqtts://centre.example"
    assert config.devices == ()
    assert config.gateway.centre.broker.user == ""


def test_the_command_that_registers_it_is_whole_and_names_no_user_that_the_broker_would_not_know(tmp_path: Path) -> None:
    made = make_gateway(NEW, tmp_path, keys())
    centre = tmp_path / "centre.yaml"
    centre.write_text(
        "{broker: {url: 'mqtt://127.0.0.1'}, gateways_file: gateways.yaml, tokens_file: t.yaml, rules: ['.']}", encoding="utf-8"
    )
    words = made.register.replace("--config centre.yaml", f"--config {centre}").split()
    assert words[:2] == ["linli", "ingest"]
    registered = CliRunner().invoke(ingest, words[2:])
    assert registered.output == "411202002001/gw-b3: registered\n"
    assert "# user: 411202002001/gw-b3 " in (tmp_path / "gateway.yaml").read_text(encoding="utf-8")


def test_each_key_is_drawn_anew_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    make_gateway(NEW, tmp_path, keys())
    drawn = {read_key(tmp_path / name, "key") for name in ("keys/gateway.key", "keys/site.key")}
    assert len(drawn) == 2
    assert all(stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600 for name in ("keys/gateway.key", "keys/site.key"))


def test_the_community_keeps_its_key(tmp_path: Path) -> None:
    given = tmp_path / "from-the-other-gateway"
    given.touch(0o600)
    given.write_text("ab" * 32)
    make_gateway(NewGateway(community="411202002001", id="gw-b4", broker="mqtts://c", site_key=given), tmp_path / "gw", keys())
    assert read_key(tmp_path / "gw/keys/site.key", "key").hex() == "ab" * 32


def test_a_finished_gateway_is_not_touched(tmp_path: Path) -> None:
    make_gateway(NEW, tmp_path, keys())
    before = {name: (tmp_path / name).read_text() for name in FILES}
    with pytest.raises(AlreadyMade, match=r"gateway\.yaml.*nothing was changed"):
        make_gateway(NEW, tmp_path, lambda: "f" * 64)
    assert {name: (tmp_path / name).read_text() for name in FILES} == before


def test_a_gateway_that_was_cut_off_half_way_is_finished_with_the_keys_it_has(tmp_path: Path) -> None:
    make_gateway(NEW, tmp_path, keys())
    (tmp_path / "gateway.yaml").unlink()
    (tmp_path / "devices.yaml").unlink()
    before = (tmp_path / "keys/gateway.key").read_text()
    made = make_gateway(NEW, tmp_path, lambda: "f" * 64)
    assert made.created == ("devices.yaml", "gateway.yaml")
    assert made.kept == ("keys/gateway.key", "keys/site.key")
    assert (tmp_path / "keys/gateway.key").read_text() == before


def test_everything_wrong_is_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    wrong = NewGateway(community="4112", id="GW", broker="mqtt://10.0.0.1", ca_file="/nope.pem", site_key=tmp_path / "nope")
    with pytest.raises(ConfigInvalid) as caught:
        make_gateway(wrong, tmp_path / "gw", keys())
    assert len(caught.value.problems) == 4
    assert not (tmp_path / "gw").exists()


def test_another_community_key_than_the_one_there_is_refused(tmp_path: Path) -> None:
    make_gateway(NEW, tmp_path / "gw", keys())
    (tmp_path / "gw/gateway.yaml").unlink()
    given = tmp_path / "given"
    given.touch(0o600)
    given.write_text("cd" * 32)
    with pytest.raises(ConfigInvalid, match="another key"):
        make_gateway(
            NewGateway(community="411202002001", id="gw-b3", broker="mqtts://c", site_key=given), tmp_path / "gw", keys()
        )


def test_a_name_cannot_break_out_of_its_place_in_the_file(tmp_path: Path) -> None:
    name = Words('"}, id: x', "a: b # c\n")
    make_gateway(NewGateway(community="411202002001", id="gw-b3", broker="mqtts://c", name=name), tmp_path, keys())
    assert load(tmp_path / "gateway.yaml", load_library()).gateway.gateway.name == name


def test_the_command_says_what_to_do_next(tmp_path: Path) -> None:
    arguments = ["init", "--community", "411202002001", "--id", "gw-b3", "--broker", "mqtts://c", "--dir", str(tmp_path)]
    result = CliRunner().invoke(gateway, arguments)
    assert result.exit_code == 0
    assert "linli ingest gateway add --config centre.yaml --community 411202002001 --id gw-b3 --key-file" in result.output
    assert "linli bus scan" in result.output
