"""What people wrote is read from regular files alone, and never more than fits."""

import os
from pathlib import Path

import pytest

from device_profiles import read_text
from telemetry.document import MAX_TEXT
from telemetry.errors import ConfigInvalid


def refused(file: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read_text(file)
    return str(caught.value)


def test_the_text_of_a_file_or_what_stands_for_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("名: 1", encoding="utf-8")
    assert read_text(tmp_path / "a.yaml") == "名: 1"
    assert read_text(tmp_path / "b.yaml", absent="") == ""
    assert refused(tmp_path / "b.yaml") == f"{tmp_path}/b.yaml: cannot be read: No such file or directory"


def test_a_folder_a_pipe_and_an_endless_device_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "zero"):
        assert "is not a file to read" in refused(place)


def test_a_loop_of_links_and_other_bytes_than_utf_8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert "cannot be read: Too many levels" in refused(tmp_path / "loop")
    assert "is not UTF-8 (save it as UTF-8)" in refused(tmp_path / "latin")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(4 * MAX_TEXT + 1)
    assert f"at most {MAX_TEXT} characters" in refused(tmp_path / "huge")
