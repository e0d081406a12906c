"""Small files are whole or not there, and never overwritten by mistake."""

import os
import stat
from pathlib import Path

import pytest

from edge.provisioning import durable_file


def test_create_writes_the_text_with_the_mode(tmp_path: Path) -> None:
    durable_file.create(tmp_path / "keys" / "one.key", "secret\n", 0o600)
    assert (tmp_path / "keys" / "one.key").read_text() == "secret\n"
    assert stat.S_IMODE((tmp_path / "keys" / "one.key").stat().st_mode) == 0o600


def test_create_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    with pytest.raises(FileExistsError):
        durable_file.create(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"


def test_replace_keeps_the_mode_of_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    (tmp_path / "file").chmod(0o640)
    durable_file.replace(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "second"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_replace_keeps_the_owner_of_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    os.chown(tmp_path / "file", 12345, 12345)
    durable_file.replace(tmp_path / "file", "second")
    assert (tmp_path / "file").stat().st_uid == 12345


def test_a_reader_sees_the_old_text_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    with (tmp_path / "file").open() as reader:
        durable_file.replace(tmp_path / "file", "second")
        assert reader.read() == "first"


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    with pytest.raises(UnicodeEncodeError):
        durable_file.replace(tmp_path / "file", "half \udcff")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "first"
