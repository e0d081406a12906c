"""One program at a time works on a gateway's data folder and its buses: two masters on one line corrupt each other."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry.errors import LinliError


class GatewayBusy(LinliError):
    """Another program holds this gateway's data folder."""


@contextmanager
def sole_user(data_dir: Path) -> Iterator[None]:
    """Holds ``data_dir/agent.lock`` for the block; the kernel lets go of it however the program ends. Raises ``GatewayBusy``."""
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GatewayBusy(f"another program already works on {data_dir}; stop it first") from error
        yield
    finally:
        os.close(descriptor)
