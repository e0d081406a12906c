"""Packets that do not arrive: nftables drops those to and from one port of loopback, all of them or some.

with Packets(proxy.port) as packets:
    packets.lose(100); ...; packets.lose(0)
"""

import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

import pytest


def can_drop() -> bool:
    """Whether this machine lets us drop packets."""
    return os.geteuid() == 0 and bool(_nft())


def _nft() -> str:
    return shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


class Packets:
    """A table of its own in nftables, gone when the block ends. Needs root; without nft the test is skipped, in CI it fails."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._table = f"linli_fault_{os.getpid()}_{port}"

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("dropping packets needs root")
        try:
            self._tell(f"add table inet {self._table}")
            self._tell(f"add chain inet {self._table} input {{ type filter hook input priority 0; }}")
        except (OSError, subprocess.CalledProcessError) as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no nftables here (apt install nftables): {error}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tell(f"delete table inet {self._table}")

    def lose(self, percent: int) -> None:
        """From now on this share of the packets is lost, in both directions."""
        self._tell(f"flush chain inet {self._table} input")
        some = "" if percent == 100 else f"numgen random mod 100 < {percent}"
        for end in ("dport", "sport") if percent else ():
            self._tell(f"add rule inet {self._table} input tcp {end} {self._port} {some} drop")

    def _tell(self, words: str) -> None:
        subprocess.run([_nft(), words], check=True, capture_output=True, text=True)
