from pathlib import Path

import pytest

from ingest import gateways
from ingest.gateways import GatewayEntry, Gateways
from ingest.secret_file import write_secret
from telemetry.errors import ConfigInvalid
from telemetry.identity import GatewayRef

HERE = "411202002001"
REF = GatewayRef(HERE, "gw-jianye-1")


def entry(id_: str = "gw-jianye-1", community: str = HERE, key: str = "11" * 32, site_key: str = "22" * 32) -> GatewayEntry:
    return GatewayEntry(community=community, id=id_, key=key, site_key=site_key)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateways.yaml"


def test_a_registered_gateway_has_its_key_and_its_community_a_privacy_key(file: Path) -> None:
    known = Gateways(file)
    assert known.key(REF) is None
    assert gateways.add(file, entry())
    assert known.key(REF) == b"\x11" * 32
    assert known.key(GatewayRef(HERE, "gw-jianye-2")) is None
    assert known.key(GatewayRef("411202002002", "gw-jianye-1")) is None
    assert known.site_keys() == {HERE: b"\x22" * 32}


def test_removing_takes_effect_without_a_restart(file: Path) -> None:
    gateways.add(file, entry())
    known = Gateways(file)
    assert gateways.remove(file, REF)
    assert known.key(REF) is None
    assert not gateways.remove(file, REF)


def test_the_same_gateway_again_changes_nothing(file: Path) -> None:
    gateways.add(file, entry())
    before = file.stat().st_ino
    assert not gateways.add(file, entry())
    assert file.stat().st_ino == before


def test_a_key_is_changed_on_purpose_only(file: Path) -> None:
    gateways.add(file, entry())
    with pytest.raises(ConfigInvalid, match=r"registered with other keys.*--replace"):
        gateways.add(file, entry(key="33" * 32))
    assert Gateways(file).key(REF) == b"\x11" * 32
    assert gateways.add(file, entry(key="33" * 32), replace=True)
    assert Gateways(file).key(REF) == b"\x33" * 32


def test_the_gateways_of_a_community_share_its_privacy_key(file: Path) -> None:
    gateways.add(file, entry())
    with pytest.raises(ConfigInvalid, match="is not that of gw-jianye-1"):
        gateways.add(file, entry("gw-jianye-2", site_key="44" * 32))
    assert gateways.add(file, entry("gw-jianye-2"))
    assert gateways.add(file, entry("gw-hubin-1", community="411202002002", site_key="44" * 32))


def test_a_gateway_stands_once_in_the_file(file: Path) -> None:
    line = f"{{community: '{HERE}', id: gw-1, key: {'ab' * 32}, site_key: {'cd' * 32}}}"
    write_secret(file, f"gateways: [{line}, {line}]")
    with pytest.raises(ConfigInvalid, match=r"gateways\[1\].id: 411202002001/gw-1 stands twice"):
        Gateways(file)


def test_keys_stand_in_no_repr() -> None:
    assert repr(entry()) == "GatewayEntry(411202002001/gw-jianye-1)"


def test_keys_of_digits_alone_survive_the_file(file: Path) -> None:
    gateways.add(file, entry(key="12" * 32, site_key="0" * 63 + "1"))
    gateways.add(file, entry("gw-2", key="1e" + "10" * 31, site_key="0" * 63 + "1"))
    assert Gateways(file).key(GatewayRef(HERE, "gw-2")) == bytes.fromhex("1e" + "10" * 31)
