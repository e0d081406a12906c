"""The door through which an installer's command asks a running agent: a Unix socket beside its data.

1. Only the agent's user and root may connect (mode 0600, set before anybody can).
2. One JSON line asks; lines of progress follow, then one line with the result or the error. A line is at most 1 MiB.
3. Verbs are done one at a time, in the order asked. One that takes over 30 minutes, or whose asker has gone, is ended.
4. What a verb runs into is told to its asker; it never stops the agent.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

from edge.provisioning.add import Implausible
from edge.provisioning.scan import Progress, Step
from edge.provisioning.site import AgentBusy, Site
from edge.provisioning.verbs import Result, Verb, perform
from telemetry.errors import (
    BrokerUnavailable,
    BusUnavailable,
    ConfigInvalid,
    DeviceTimeout,
    IdentityInvalid,
    LinliError,
    Problem,
)

MAX_LINE = 1 << 20
MAX_ASKERS = 8
ASK_S = 10.0
BEAT_S = 5.0
SILENCE_S = 30.0
VERB_S = 1800.0
BETWEEN_FAILURES_S = 5.0
BETWEEN_CALLS_S = 0.05

log = structlog.get_logger()


class Beat(msgspec.Struct, frozen=True, tag="beat", tag_field="answer"):
    """The verb is being done, or waits for its turn."""


class Failed(msgspec.Struct, frozen=True, tag="failed", tag_field="answer"):
    """An error of ours, as it will be raised again at the asker's end."""

    error: str
    message: Annotated[str, msgspec.Meta(max_length=100_000)]
    problems: tuple[Problem, ...] = ()


class NoAgent(LinliError):
    """Nobody listens on the socket."""


_ERRORS = (AgentBusy, BrokerUnavailable, BusUnavailable, DeviceTimeout, IdentityInvalid)
_BY_NAME: dict[str, type[LinliError]] = {error.__name__: error for error in _ERRORS}

_encoder = msgspec.json.Encoder()
_verbs: msgspec.json.Decoder[Verb] = msgspec.json.Decoder(Verb)
_answers: msgspec.json.Decoder[Step | Beat | Failed | Result] = msgspec.json.Decoder(Step | Beat | Failed | Result)


class ControlServer:
    """The agent's end. The caller holds the agent's lock, so a socket that is still there is a dead one's."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._path = site.config.control_socket
        self._turn = asyncio.Lock()
        self._askers = asyncio.Semaphore(MAX_ASKERS)

    async def run(self) -> None:
        """Serves until cancelled. Raises ``OSError`` when the socket cannot be made."""
        loop = asyncio.get_running_loop()
        with _listener(self._path) as listener:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._askers.acquire()
                    try:
                        connection, _ = await loop.sock_accept(listener)
                    except OSError as error:  # out of descriptors, for one: installers wait, polls go on
                        log.warning("an installer's connection was not taken", error=error.strerror)
                        self._askers.release()
                        await asyncio.sleep(BETWEEN_FAILURES_S)
                        continue
                    group.create_task(self._serve(connection), name="control")

    async def _serve(self, connection: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
            try:
                await self._converse(reader, writer)
            finally:
                writer.close()
        except OSError as error:  # a TimeoutError too
            log.info("installer's connection ended early", error=str(error) or "nothing was asked in time")
        finally:
            self._askers.release()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(answer: Step | Beat | Failed | Result) -> None:
            if not writer.is_closing():
                writer.write(_encoder.encode(answer) + b"\n")

        async with asyncio.timeout(ASK_S):
            line = await _line(reader)
        answer = await _while_heard(reader, self._answer(line, send), lambda: send(Beat()))
        if answer is not None:
            send(answer)
            async with asyncio.timeout(ASK_S):
                await writer.drain()

    async def _answer(self, line: bytes, progress: Progress) -> Result | Failed:
        """Does what a line asks, in its turn."""
        try:
            verb = _verbs.decode(line)
            async with self._turn, asyncio.timeout(VERB_S):
                return await perform(self._site, verb, progress)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Failed(ConfigInvalid.__name__, "", (Problem("the request", "", str(error)),))
        except LinliError as error:
            return failed(error)
        except TimeoutError:
            return Failed(LinliError.__name__, f"given up after {VERB_S / 60:g} minutes")
        except Exception as error:
            # The gateway must go on polling whatever a verb stumbles over.
            log.exception("an installer's verb failed")
            return Failed(LinliError.__name__, f"the agent failed at this ({type(error).__name__}: {error}); its log has more")


async def ask(path: Path, verb: Verb, progress: Progress = lambda step: None) -> Result:
    """Asks the agent behind this socket. Raises what the verb raises, and ``NoAgent`` when there is none."""
    reader, writer = await _connect(path)
    try:
        writer.write(_encoder.encode(verb) + b"\n")
        while True:
            async with asyncio.timeout(SILENCE_S):
                line = await _line(reader)
            if not line:
                raise LinliError("the agent went away while it was asked; ask again")
            match _answers.decode(line):
                case Step() as step:
                    progress(step)
                case Beat():
                    continue
                case Failed() as failure:
                    raise restored(failure)
                case result:
                    return result
    except TimeoutError as error:
        raise LinliError(f"the agent has said nothing for {SILENCE_S:g} s; see its log") from error
    except msgspec.DecodeError as error:
        raise LinliError("the agent speaks another version; restart it after an update") from error
    except OSError as error:
        raise LinliError(f"the connection to the agent was lost: {error.strerror}") from error
    finally:
        writer.close()


def failed(error: LinliError) -> Failed:
    """An error as it crosses the socket."""
    problems = error.problems if isinstance(error, ConfigInvalid | Implausible) else ()
    return Failed(type(error).__name__, str(error), problems)


def restored(failure: Failed) -> LinliError:
    """The error that ``failed`` was given, as far as the asker can tell."""
    if failure.error == ConfigInvalid.__name__:
        return ConfigInvalid(failure.problems)
    if failure.error == Implausible.__name__:
        return Implausible(failure.problems)
    return _BY_NAME.get(failure.error, LinliError)(failure.message)


async def _while_heard(
    reader: asyncio.StreamReader, work: Coroutine[None, None, Result | Failed], beat: Callable[[], None]
) -> Result | Failed | None:
    """What ``work`` gives; ``None`` when the asker hung up before, which ends the work."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work, name="control-verb")
        gone = group.create_task(_hung_up(reader), name="control-asker")
        while not (working.done() or gone.done()):
            beat()
            await asyncio.wait({working, gone}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        working.cancel()
    return working.result() if not working.cancelled() else None


async def _hung_up(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read(1)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """One line, or nothing at the end. Raises ``OSError`` when it is too long."""
    try:
        return await reader.readline()
    except ValueError as error:
        raise OSError(f"a line of over {MAX_LINE} bytes") from error


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.setblocking(False)
    try:
        with _short(path) as name:
            async with asyncio.timeout(ASK_S):
                while not _connected(end, name):  # noqa: ASYNC110 - nothing tells when there is room again
                    await asyncio.sleep(BETWEEN_CALLS_S)
        return await asyncio.open_unix_connection(sock=end, limit=MAX_LINE)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        end.close()
        raise NoAgent(f"no agent listens on {path}") from error
    except TimeoutError as error:
        end.close()
        raise LinliError(f"the agent did not take the call within {ASK_S:g} s; see its log") from error
    except OSError as error:
        end.close()
        raise LinliError(f"{path}: {error.strerror}; run it as the agent's user, or with sudo") from error


def _connected(end: socket.socket, name: str) -> bool:
    """Not ``sock_connect``: that takes a full queue of askers for a connection on its way. This one never blocks."""
    try:
        end.connect(name)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        with _short(path) as name:
            listener.bind(name)
        path.chmod(0o600)  # between bind and listen nobody can connect
        listener.listen(MAX_ASKERS)
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):  # a card that has died; the next start clears what is left
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for the path that fits into a socket address, which holds 107 bytes."""
    if len(os.fsencode(path)) <= 107:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
