import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.gateways import Gateways
from ingest.tokens import Role, Tokens
from linli.commands.ingest import ingest
from telemetry.errors import ConfigInvalid, IdentityInvalid
from telemetry.identity import GatewayRef

NOW = 1_795_420_800_000_000
HERE = "411202002001"


def linli(*words: Any) -> Result:
    return CliRunner().invoke(ingest, [str(word) for word in words])


def refusal(result: Result) -> str:
    """The reason of a refusal that is one of ours and not a crash."""
    assert isinstance(result.exception, ConfigInvalid | IdentityInvalid), result.output
    return str(result.exception)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "gateway.key", tmp_path / "site.key"
    for file, byte in zip(files, ("11", "22"), strict=True):
        file.write_text(byte * 32 + "\n")
        file.chmod(0o600)
    return files


def add(file: Path, keys: tuple[Path, Path], *more: str) -> Result:
    where = ("--file", file, "--community", HERE, "--id", "gw-1")
    return linli("gateway", "add", *where, "--key-file", keys[0], "--site-key-file", keys[1], *more)


def test_a_gateway_is_registered_listed_and_removed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    file = tmp_path / "gateways.yaml"
    assert add(file, keys).output == f"{HERE}/gw-1: registered\n"
    assert add(file, keys).output == f"{HERE}/gw-1: was registered already\n"
    assert Gateways(file).key(GatewayRef(HERE, "gw-1")) == b"\x11" * 32
    listed = linli("gateway", "list", "--file", file, "--json")
    assert json.loads(listed.output) == [{"community": HERE, "id": "gw-1"}]
    assert "11" * 32 not in linli("gateway", "list", "--file", file).output
    assert linli("gateway", "remove", "--file", file, "--community", HERE, "--id", "gw-1").exit_code == 0
    assert linli("gateway", "remove", "--file", file, "--community", HERE, "--id", "gw-1").exit_code == 1
    assert json.loads(linli("gateway", "list", "--file", file, "--json").output) == []


def test_another_key_needs_replace(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    file = tmp_path / "gateways.yaml"
    add(file, keys)
    keys[0].write_text("33" * 32)
    assert "registered with other keys" in refusal(add(file, keys))
    assert add(file, keys, "--replace").exit_code == 0
    assert Gateways(file).key(GatewayRef(HERE, "gw-1")) == b"\x33" * 32


def test_a_key_that_others_can_read_is_not_taken(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    keys[1].chmod(0o644)
    assert "chmod 600" in refusal(add(tmp_path / "gateways.yaml", keys))
    assert not (tmp_path / "gateways.yaml").exists()


def test_a_malformed_identity_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    where = ("--file", tmp_path / "g.yaml", "--key-file", keys[0], "--site-key-file", keys[1])
    assert "'4112'" in refusal(linli("gateway", "add", *where, "--community", "4112", "--id", "gw-1"))
    assert "'GW'" in refusal(linli("gateway", "add", *where, "--community", HERE, "--id", "GW"))


def test_a_token_is_shown_once_listed_without_it_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    made = linli(
        "token",
        "add",
        "--file",
        file,
        "--name",
        "wuye",
        "--scope",
        "4112",
        "--scope",
        "4201",
        "--role",
        "handler",
        "--days",
        "30",
    )
    token = made.stdout.strip()
    assert made.stdout == f"{token}\n"
    grant = Tokens(file).find(token, NOW)
    assert grant is not None
    assert (grant.scope.prefixes, grant.role) == (("4112", "4201"), Role.HANDLER)
    listed = json.loads(linli("token", "list", "--file", file, "--json").output)
    assert [(row["name"], row["scope"], row["role"]) for row in listed] == [("wuye", ["4112", "4201"], "handler")]
    assert listed[0]["expires"].startswith("20")
    assert linli("token", "remove", "--file", file, "--name", "wuye").exit_code == 0
    assert linli("token", "remove", "--file", file, "--name", "wuye").exit_code == 1
    assert Tokens(file).find(token, NOW) is None


def test_the_list_for_people_is_one_line_a_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    linli("token", "add", "--file", file, "--name", "wuye", "--scope", "41", "--scope", "42")
    assert linli("token", "list", "--file", file).output == "wuye  41, 42  viewer\n"


def test_a_rotated_token_is_new_and_the_former_one_stays_for_the_hours_named(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    old = linli("token", "add", "--file", file, "--name", "wuye", "--scope", "41").stdout.strip()
    new = linli("token", "rotate", "--file", file, "--name", "wuye", "--hours", "1").stdout.strip()
    former, now = Tokens(file), time.time_ns() // 1000
    assert new.startswith("linli_") and new != old
    for token in (old, new):
        grant = former.find(token, now)
        assert grant is not None and grant.name == "wuye"
    assert former.find(old, now + 3_700_000_000) is None
    assert former.find(new, now + 3_700_000_000) is not None
    assert linli("token", "rotate", "--file", file, "--name", "nobody").exit_code == 1


def test_a_bad_scope_makes_no_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    assert "scope prefix '411'" in refusal(linli("token", "add", "--file", file, "--name", "wuye", "--scope", "411"))
    assert not file.exists()


def test_the_file_is_named_once(tmp_path: Path) -> None:
    for words in ((), ("--file", tmp_path / "a", "--config", tmp_path / "b")):
        result = linli("token", "list", *words)
        assert result.exit_code == 2
        assert "give --config FILE or --file FILE" in result.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    file = tmp_path / "centre.yaml"
    file.write_text(
        "broker: {url: mqtt://127.0.0.1:1883}\ngateways_file: keys/gateways.yaml\ntokens_file: keys/tokens.yaml\nrules: [rules]\n"
    )
    return file


def test_the_configuration_names_the_files(tmp_path: Path, config: Path) -> None:
    assert linli("token", "add", "--config", config, "--name", "wuye", "--scope", "41").exit_code == 0
    assert (tmp_path / "keys" / "tokens.yaml").exists()


def test_check_says_everything_wrong_at_once_and_starts_nothing(tmp_path: Path, config: Path) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("gateways", "tokens"):
        (tmp_path / "keys" / f"{name}.yaml").write_text(f"{name}: []")
        (tmp_path / "keys" / f"{name}.yaml").chmod(0o644)
    result = linli("check", "--config", config)
    assert isinstance(result.exception, ConfigInvalid)
    assert {"gateways.yaml", "tokens.yaml"} <= {Path(problem.file).name for problem in result.exception.problems}
    assert not (tmp_path / "data").exists()
