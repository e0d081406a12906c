import os
import stat
from pathlib import Path

import pytest

from ingest.secret_file import Watched, changing, read_key, read_secret, write_secret
from telemetry.errors import ConfigInvalid


def test_what_is_written_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    write_secret(file, "秘密\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_secret(file, "the secret") == "秘密\n"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_touch_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret.yaml"
    write_secret(file, "x")
    file.chmod(mode)
    with pytest.raises(ConfigInvalid, match=f"can be read by others.*chmod 600 {file}"):
        read_secret(file, "the secret")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "secret.yaml"
    folder.mkdir()
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        write_secret(folder, "x")
    assert list(tmp_path.iterdir()) == [folder]


def test_two_commands_cannot_change_one_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "secret.yaml"
    with changing(file), pytest.raises(ConfigInvalid, match="another command is changing it"), changing(file):
        pass
    with changing(file):
        write_secret(file, "x")


@pytest.mark.parametrize("written", ["", "ab" * 31, "ab" * 33, "zz" * 32])
def test_a_key_is_64_hex_characters(tmp_path: Path, written: str) -> None:
    file = tmp_path / "key"
    write_secret(file, written)
    with pytest.raises(ConfigInvalid, match="the key is not 64 hex characters"):
        read_key(file, "the key")


def test_a_key_may_end_with_a_newline(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_secret(file, "ab" * 32 + "\n")
    assert read_key(file, "the key") == b"\xab" * 32


def shout(file: Path) -> str:
    text = read_secret(file, "the secret")
    if text == "bad":
        raise ConfigInvalid([])
    return text.upper()


def test_a_change_is_seen_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    watched = Watched(file, shout, "nobody")
    assert watched.value() == "nobody"
    write_secret(file, "one")
    assert watched.value() == "ONE"
    write_secret(file, "two")
    assert watched.value() == "TWO"


def test_a_file_that_turns_bad_changes_nothing_and_one_that_is_gone_means_nobody(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    write_secret(file, "one")
    watched = Watched(file, shout, "nobody")
    write_secret(file, "bad")
    assert watched.value() == "ONE"
    write_secret(file, "two")
    file.chmod(0o644)
    assert watched.value() == "ONE"
    file.chmod(0o600)
    assert watched.value() == "TWO"
    file.unlink()
    assert watched.value() == "nobody"


def test_a_file_that_is_bad_from_the_start_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    write_secret(file, "bad")
    with pytest.raises(ConfigInvalid):
        Watched(file, shout, "nobody")


def test_a_pipe_is_no_secret_and_nobody_waits_at_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigInvalid, match="the key is not a file to read"):
        read_key(tmp_path / "pipe", "the key")
