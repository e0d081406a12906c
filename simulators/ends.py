"""Where masters reach simulated Modbus units: a TCP port, or a serial line on a pseudo-terminal of our own.

1. An end is open from ``open`` to ``close``; whatever connects, disconnects or dies on the other side changes nothing.
2. A serial line is found under a name that stays: a link to whatever pseudo-terminal this start was given.
"""

import asyncio
import contextlib
import errno
import os
import tty
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from simulators.slave import RtuLine, TcpConnection, Unit
from telemetry.errors import BusUnavailable

MAX_CONNECTIONS = 32
IDLE_S = 300.0
QUIET_S = 0.05  # far above 3.5 characters: a program on a busy machine writes a frame in several goes


class End(Protocol):
    async def open(self) -> None:
        """Raises ``BusUnavailable``."""

    async def close(self) -> None: ...


class TcpEnd:
    """Units behind one TCP port; at most ``MAX_CONNECTIONS`` masters, each cut off after ``IDLE_S`` without a request."""

    def __init__(self, host: str, port: int, units: Mapping[int, Unit]) -> None:
        self._host = host
        self._port = port
        self._units = units
        self._server: asyncio.Server | None = None
        self._connected: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """The port in use, also when any free one (0) was asked for."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else self._port

    async def open(self) -> None:
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
            raise BusUnavailable(f"port {self._port} of {self._host} {reason}; give another one") from error

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._connected):
            writer.transport.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 2.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connected) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._connected.add(writer)
        connection = TcpConnection(self._units)
        try:
            while not connection.closed and (chunk := await asyncio.wait_for(reader.read(1024), IDLE_S)):
                for reply in connection.receive(chunk):
                    writer.write(reply)
                await asyncio.wait_for(writer.drain(), IDLE_S)
        except (OSError, TimeoutError):
            pass  # a master that went away; the next one connects
        finally:
            self._connected.discard(writer)
            writer.transport.abort()


class SerialEnd:
    """Units on one serial line; masters open ``link`` as they would /dev/ttyUSB0.

    Both sides of the pseudo-terminal stay open here, so that the line survives masters that come and go.
    """

    def __init__(self, link: Path, units: Mapping[int, Unit]) -> None:
        self._link = link
        self._line = RtuLine(units)
        self._controller = -1
        self._terminal = -1
        self._quiet: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._controller, self._terminal = os.openpty()
            tty.setraw(self._terminal)
            os.set_blocking(self._controller, False)
            _point(self._link, os.ttyname(self._terminal))
        except OSError as error:
            await self.close()
            raise BusUnavailable(f"no pseudo-terminal under {self._link}: {error.strerror}") from error
        loop.add_reader(self._controller, self._ready, loop.call_later)

    async def close(self) -> None:
        if self._controller < 0:
            return
        asyncio.get_running_loop().remove_reader(self._controller)
        if self._quiet is not None:
            self._quiet.cancel()
        with contextlib.suppress(OSError):
            if str(self._link.readlink()) == os.ttyname(self._terminal):
                self._link.unlink()
        os.close(self._controller)
        os.close(self._terminal)
        self._controller = self._terminal = -1

    def _ready(self, call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle]) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        try:
            for reply in self._line.receive(os.read(self._controller, 1024)):
                os.write(self._controller, reply)
        except BlockingIOError:
            pass  # nobody reads the line and it is full: as on a wire, the answer is lost
        self._quiet = call_later(QUIET_S, self._line.pause)


def _point(link: Path, terminal: str) -> None:
    """Makes ``link`` lead to ``terminal``, whatever it led to before, without a moment in which it leads nowhere."""
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f"{link.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(terminal)
    draft.replace(link)
