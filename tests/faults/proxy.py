"""A TCP proxy that does to a connection what networks do: delays, trickles, stalls, resets, cuts in the middle.

    with Proxy(target=broker.port) as proxy:
        ... connect to proxy.port ...
        proxy.freeze()            # half-open: on what is open now nothing passes any more, and nobody is told
        proxy.reset()             # all connections end with RST

TCP never reorders what it delivers; what arrives twice or out of order is the business of ``test_fault_batches``.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from tests.servers import HOST

CHUNK = 16 * 1024
_RST = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on ``port`` and forwards to ``target`` of loopback. What is set holds for open connections and new ones."""

    def __init__(self, chance: random.Random | None = None, target: int = 0) -> None:
        self.port = 0
        self.target = target
        self.connections = 0
        self.passed = 0
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.bytes_per_s: float | None = None
        self.cut_after: int | None = None
        self._chance = chance or random.Random(0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._frozen: set[int] = set()
        self._refusing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, HOST, 0), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def freeze(self) -> None:
        """Half-open: what is connected now stays so for ever, and nothing passes; new connections do work."""
        self._frozen.update(range(self.connections + 1))

    def reset(self) -> None:
        """Every open connection ends at once with RST on both sides."""
        self._loop.call_soon_threadsafe(self._reset)

    def refuse(self, yes: bool) -> None:
        """Resets what is open, and whatever comes until it is told otherwise."""
        self._refusing = yes
        if yes:
            self.reset()

    def _reset(self) -> None:
        for writer in tuple(self._open):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not self._refusing:
                await self._join(self.connections, reader, writer)
        self._open.discard(writer)
        writer.transport.abort()

    async def _join(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        self._open.add(far_writer)
        pipes = ((reader, far_writer), (far_reader, writer))
        pumps = {asyncio.create_task(self._pump(number, *pipe)) for pipe in pipes}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            self._open.discard(far_writer)
            far_writer.transport.abort()

    async def _pump(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(self._gulp()):
                while number in self._frozen:
                    await asyncio.sleep(1)
                await asyncio.sleep(self._pause(len(chunk)))
                if self.cut_after is not None and self.passed + len(chunk) > self.cut_after:
                    writer.write(chunk[: max(0, self.cut_after - self.passed)])
                    self.cut_after = None
                    return
                self.passed += len(chunk)
                writer.write(chunk)
                await writer.drain()

    def _gulp(self) -> int:
        return CHUNK if self.bytes_per_s is None else max(1, int(self.bytes_per_s / 20))

    def _pause(self, size: int) -> float:
        trickle = size / self.bytes_per_s if self.bytes_per_s else 0.0
        return self.delay_s + self._chance.uniform(0, self.jitter_s) + trickle
