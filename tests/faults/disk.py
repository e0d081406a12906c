"""A small disk of our own: an ext4 file system in a file, whose power can be cut.

    with Disk(tmp_path) as disk:
        ... write under disk.folder ...
        disk.cut()                # what was not synced is gone, everything after this fails with EIO
        ... kill the writers ...
        disk.mount_again()        # the journal recovers it

1. ``cut`` drops what the file system had not been told to make durable: ext4's shutdown ioctl, without flushing its journal.
   A sync under way at that moment may still say that all went well, which no power cut does (seen in 2 of 60 cuts of a bare
   ``write`` and ``fdatasync``): stop the writer first, so that it cannot pass this on.
2. ``mount_again`` returns when the old mount is really gone: a mount stacked on it would falsify everything.
"""

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
_UMOUNT_S = 10.0


class Disk:
    """``folder`` is where it is mounted. Without root the test is skipped; without loop devices too, or with CI=true fails."""

    def __init__(self, folder: Path, *, megabytes: int = 64, name: str = "disk") -> None:
        self.folder = folder / name
        self._image = folder / f"{name}.img"
        self.folder.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(megabytes << 20)

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("a disk of our own needs root")
        try:
            _run("mkfs.ext4", "-q", "-F", str(self._image))
            self._mount()
        except (OSError, subprocess.CalledProcessError) as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no loop-mounted disk here: {error}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_mounted():
            self._unmount()
        self._image.unlink()

    def sync(self) -> None:
        """What is written now survives a cut."""
        _run("sync", "-f", str(self.folder))

    def cut(self) -> None:
        """The power goes, or the card is pulled."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def mount_again(self) -> None:
        """The power is back. Nobody may have a file of it open any more."""
        self._unmount()
        self._mount()

    def fail(self) -> None:
        """What a kernel does when a card fails: an error of the file system makes it read-only until it is mounted again."""
        device = _run("findmnt", "-no", "SOURCE", str(self.folder)).strip()
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")

    def fill(self, leaving: int = 0) -> Path:
        """A file that takes all room but ``leaving`` bytes; delete it to have the room back."""
        ballast = self.folder / "ballast"
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize - leaving
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        return ballast

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))
        assert self._is_mounted()

    def _unmount(self) -> None:
        give_up = time.monotonic() + _UMOUNT_S
        while self._is_mounted():
            ended = subprocess.run(["umount", str(self.folder)], capture_output=True, text=True, check=False)
            assert time.monotonic() < give_up, f"{self.folder} stays mounted: {ended.stderr}"
            time.sleep(0.02)

    def _is_mounted(self) -> bool:
        return any(line.split()[4] == str(self.folder) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def can_mount() -> bool:
    """Whether this machine lets us have disks of our own."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


def _run(*words: str) -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ | {"PATH": path}).stdout
