"""The programs that ``linli up`` runs: each a process of its own, none of which outlives it.

1. A child dies with its parent, however that ends: the kernel kills it (PR_SET_PDEATHSIG).
2. A child that ends by itself is started again after a pause, unless its configuration is bad.
3. Stopping is bounded: a polite signal, then a hard one.
"""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from linli.report import BAD_CONFIGURATION
from telemetry.errors import LinliError

_PR_SET_PDEATHSIG = 1
RESTART_S = 0.5
RESTART_MAX_S = 30.0
SETTLED_S = 20.0
"""Running so long, it is taken to have started well."""


class ChildFailed(LinliError):
    """A program refused to run; the message carries the last lines of its log."""


class Child:
    """One program. ``pass_fds`` stay open in it."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path, pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self.restarts = 0
        self._command = command
        self._log_file = log_file
        self._pass_fds = tuple(pass_fds)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def start(self) -> None:
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
                preexec_fn=_dying_with(os.getpid()),
                pass_fds=self._pass_fds,
            )
        if self._is_stopping():  # told to stop while it was being started again
            self._process.kill()

    async def watch(self) -> None:
        """Keeps it running until ``stop``; one that ends again and again is started ever more seldom.

        Raises ``ChildFailed`` when it refuses its configuration.
        """
        pause = RESTART_S
        while self._process is not None:
            began = time.monotonic()
            status = await self._process.wait()
            pause = min(pause * 2, RESTART_MAX_S) if time.monotonic() - began < SETTLED_S else RESTART_S
            if not self._is_stopping():
                if status == BAD_CONFIGURATION:
                    raise ChildFailed(f"{self.name} does not start:\n{self.last_words()}")
                self.restarts += 1
                await asyncio.sleep(pause)
            if self._is_stopping():
                return
            await self.start()

    def _is_stopping(self) -> bool:
        return self._stopping

    async def stop(self, within_s: float) -> None:
        """SIGTERM, and SIGKILL when that was not enough."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            text = self._log_file.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _dying_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we were bound to it
            os._exit(1)

    return bind
