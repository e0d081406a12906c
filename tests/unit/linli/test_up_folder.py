"""The folder of ``linli up``: one at a time, keys kept for ever, ports kept while they are free."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.gateways import load_entries
from ingest.tokens import Tokens
from linli.demo import Layout, Options, hold, lay_out
from linli.paths import config_dir
from telemetry.errors import ConfigInvalid

KEPT = ("token", "gateway/keys/gateway.key", "gateway/keys/site.key", "gateway/devices.yaml", "centre/gateways.yaml")


def options(data: Path, **changed: Any) -> Options:
    return Options(data, 8080, None, "duckdb", None, True)._replace(**changed)


def ports(layout: Layout) -> dict[str, int]:
    loaded: dict[str, int] = json.loads((layout.data / "ports.json").read_text())
    return loaded


def test_a_second_one_on_the_same_folder_is_refused_with_a_cure(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "data"),
        pytest.raises(ConfigInvalid, match="another 'linli up' runs here") as refused,
        hold(tmp_path / "data"),
    ):
        pass
    assert "--data" in str(refused.value)
    with hold(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigInvalid, match="cannot be written"), hold(tmp_path / "file"):
        pass


def test_a_second_start_keeps_keys_token_devices_and_ports(tmp_path: Path) -> None:
    first = lay_out(options(tmp_path))
    kept = {name: (tmp_path / name).read_text() for name in KEPT}
    numbers = ports(first)
    again = lay_out(options(tmp_path, port=8099))
    assert {name: (tmp_path / name).read_text() for name in KEPT} == kept
    assert ports(again) == numbers
    assert yaml.safe_load(again.centre_file.read_text())["api"]["port"] == 8099


def test_a_port_that_was_taken_meanwhile_is_another_everywhere(tmp_path: Path) -> None:
    before = ports(lay_out(options(tmp_path)))
    with socket.create_server(("127.0.0.1", before["broker"])):
        layout = lay_out(options(tmp_path))
    after = ports(layout)
    assert after["broker"] != before["broker"]
    assert {name: after[name] for name in ("broker_v5", "meters")} == {name: before[name] for name in ("broker_v5", "meters")}
    for file in (layout.gateway_file, layout.centre_file, layout.broker_file):
        assert f"127.0.0.1:{after['broker']}" in file.read_text()
    assert ports(lay_out(options(tmp_path))) == after


def test_a_port_that_is_not_ours_to_open_may_be_taken(tmp_path: Path) -> None:
    """Somebody plays the meter by hand, or has a broker of his own."""
    before = ports(lay_out(options(tmp_path)))
    with socket.create_server(("127.0.0.1", before["meters"])), socket.create_server(("127.0.0.1", before["broker"])):
        layout = lay_out(options(tmp_path, simulate=False, broker="mqtt://127.0.0.1:1"))
    assert ports(layout) == before


def test_both_sides_hold_the_same_keys_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    layout = lay_out(options(tmp_path))
    (entry,) = load_entries(layout.centre_file.parent / "gateways.yaml")
    keys = layout.gateway_file.parent / "keys"
    assert [(keys / name).read_text().strip() for name in ("gateway.key", "site.key")] == [entry.key, entry.site_key]
    assert {path.stat().st_mode & 0o777 for path in (*keys.iterdir(), layout.token_file)} == {0o600}


def test_a_lost_token_is_made_anew_and_the_old_one_opens_nothing(tmp_path: Path) -> None:
    layout = lay_out(options(tmp_path))
    old = layout.token_file.read_text().strip()
    layout.token_file.unlink()
    lay_out(options(tmp_path))
    tokens = Tokens(layout.centre_file.parent / "tokens.yaml")
    assert tokens.find(old, 0) is None
    assert tokens.find(layout.token_file.read_text().strip(), 0) is not None


def test_the_centre_has_the_shipped_catalogue_and_the_stages_own_rules(tmp_path: Path) -> None:
    centre = lay_out(options(tmp_path)).centre_file.parent
    shipped = {file.name: file.read_bytes() for file in (config_dir() / "rules").glob("*.yaml")}
    there = {file.name: file.read_bytes() for file in (centre / "rules").glob("*.yaml")}
    assert there.items() > shipped.items() and "demo.yaml" in there
    (plates,) = (centre / "lists").iterdir()
    assert plates.stat().st_mode & 0o777 == 0o600


def test_a_rule_of_an_older_version_is_gone_at_the_next_start(tmp_path: Path) -> None:
    centre = lay_out(options(tmp_path)).centre_file.parent
    (centre / "rules" / "gone.yaml").write_text("rules: []\n")
    lay_out(options(tmp_path))
    assert not (centre / "rules" / "gone.yaml").exists()


def test_at_a_pace_of_its_own_the_shipped_rules_wait_less(tmp_path: Path) -> None:
    centre = lay_out(options(tmp_path, pace=60.0)).centre_file.parent
    rules = {rule["id"]: rule for rule in yaml.safe_load((centre / "rules" / "environment.yaml").read_text())["rules"]}
    assert rules["manhole_open"]["when"]["for_s"] == 2


def test_a_folder_stays_one_communitys(tmp_path: Path) -> None:
    lay_out(options(tmp_path))
    (tmp_path / "stage").write_text("elsewhere\n")
    with pytest.raises(ConfigInvalid, match="holds the community 'elsewhere', not 'demo'") as refused:
        lay_out(options(tmp_path))
    assert "--data" in str(refused.value)
