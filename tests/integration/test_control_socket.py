"""The door to a running agent: who may knock, what is said through it, and that nobody can jam it."""

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge import control
from edge.control import ControlServer, NoAgent, ask
from edge.provisioning.probe import Probe, Probed
from edge.provisioning.reach import carry_out
from edge.provisioning.scan import Scan, Scanned, Step
from edge.provisioning.site import LOCK, AgentBusy, Offline, hold
from telemetry.errors import BusUnavailable, ConfigInvalid
from tests.installers import opened, tcp_units, write_gateway

READ = Probe(profile="bench-climate", address={"bus": "meters", "unit_id": 1})


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Offline]:
    async with tcp_units({1: [658, 231]}) as port:
        bus = f"{{id: meters, type: modbus-tcp, host: 127.0.0.1, port: {port}, timeout_s: 0.2}}"
        site = Offline(*opened(write_gateway(tmp_path / "gw", buses=[bus])))
        yield site
        await site.close()


@contextlib.asynccontextmanager
async def listening(site: Offline) -> AsyncIterator[Path]:
    task = asyncio.create_task(ControlServer(site).run())
    try:
        async with asyncio.timeout(5):
            while not _answers(site.config.control_socket):
                await asyncio.sleep(0.01)
        yield site.config.control_socket
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _answers(path: Path) -> bool:
    return path.exists() and path.is_socket()


async def _raw(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(path, limit=control.MAX_LINE)


async def test_only_the_agents_own_user_may_connect(site: Offline) -> None:
    async with listening(site) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_one_line_asks_and_one_line_answers(site: Offline) -> None:
    async with listening(site) as path:
        reader, writer = await _raw(path)
        writer.write(b'{"verb": "probe", "profile": "bench-climate", "address": {"bus": "meters", "unit_id": 1}}\n')
        answers = [json.loads(line) for line in (await reader.read()).splitlines()]
        writer.close()
    assert answers[-1]["answer"] == "probed"
    assert all(answer["answer"] == "beat" for answer in answers[:-1])


async def test_progress_comes_before_the_result(site: Offline) -> None:
    steps: list[Step] = []
    async with listening(site) as path:
        found = await ask(path, Scan(bus="meters", last=2, timeout_s=0.05, guess=False), steps.append)
    assert isinstance(found, Scanned)
    assert [step.done for step in steps] == [2, 3, 4]


NONSENSE = [
    b"\n",
    b"nonsense\n",
    b'{"verb": "format-disk"}\n',
    b'{"verb": "probe", "sudo": true}\n',
    b"\xff\xfe\n",
    b"[" * 5000 + b"\n",
]


@pytest.mark.parametrize("line", NONSENSE)
async def test_nonsense_is_answered_with_a_problem_and_harms_nobody(site: Offline, line: bytes) -> None:
    async with listening(site) as path:
        reader, writer = await _raw(path)
        writer.write(line)
        answer = json.loads((await reader.read()).splitlines()[-1])
        writer.close()
        assert answer["answer"] == "failed"
        assert isinstance(await ask(path, READ), Probed)


async def test_a_line_without_end_is_cut_off(site: Offline) -> None:
    async with listening(site) as path:
        reader, writer = await _raw(path)
        with contextlib.suppress(ConnectionError):
            for _ in range(3):
                writer.write(b"x" * control.MAX_LINE)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert isinstance(await ask(path, READ), Probed)


async def test_askers_beyond_the_bound_wait_and_are_served(site: Offline) -> None:
    async with listening(site) as path:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(path, READ)) for _ in range(control.MAX_ASKERS * 2)]
        assert all(isinstance(task.result(), Probed) for task in tasks)


async def test_a_verb_whose_asker_has_gone_is_ended(site: Offline) -> None:
    async with listening(site) as path:
        reader, writer = await _raw(path)
        writer.write(b'{"verb": "scan", "bus": "meters", "timeout_s": 10, "first": 2}\n')
        await reader.readline()
        writer.close()
        async with asyncio.timeout(5):
            assert isinstance(await ask(path, READ), Probed), "a scan of 240 silent units would hold the turn for an hour"


async def test_an_error_comes_out_as_it_would_without_an_agent(site: Offline) -> None:
    async with listening(site) as path:
        with pytest.raises(ConfigInvalid, match=r"no profile 'bench-climat'.*did you mean 'bench-climate'"):
            await ask(path, Probe(profile="bench-climat", address={"bus": "meters", "unit_id": 1}))


async def test_a_failure_nobody_foresaw_is_told_and_the_agent_goes_on(site: Offline) -> None:
    class Broken(Offline):
        def bus(self, id: str) -> object:  # type: ignore[override]
            raise RuntimeError("a bug")

    async with listening(Broken(site.config, site.library)) as path:
        with pytest.raises(control.LinliError, match="RuntimeError: a bug"):
            await ask(path, READ)
        with pytest.raises(control.LinliError, match="RuntimeError: a bug"):
            await ask(path, READ)


async def test_without_an_agent_nobody_answers_even_if_a_dead_one_left_its_socket(site: Offline) -> None:
    with pytest.raises(NoAgent):
        await ask(site.config.control_socket, READ)
    async with listening(site) as path:
        left = path.with_name("left.sock")
        left.hardlink_to(path)
    with pytest.raises(NoAgent):
        await ask(left, READ)


async def test_a_dead_agents_socket_does_not_keep_the_next_one_from_listening(site: Offline) -> None:
    site.config.data_dir.mkdir(parents=True)
    async with listening(site) as path:
        left = path.with_name("left.sock")
        left.hardlink_to(path)
    left.rename(path)
    async with asyncio.timeout(5):
        async with listening(site):
            pass


async def test_an_agent_that_ends_while_it_is_asked_is_an_error_not_a_wait(site: Offline) -> None:
    async with listening(site) as path:
        asking = asyncio.create_task(ask(path, Scan(bus="meters", timeout_s=10, first=2)))
        await asyncio.sleep(0.2)
    with pytest.raises(control.LinliError, match=r"went away|lost"):
        await asyncio.wait_for(asking, 5)


async def test_a_deep_folder_is_no_obstacle(site: Offline, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    file = write_gateway(deep, buses=["{id: meters, type: modbus-tcp, host: 127.0.0.1, port: 1}"])
    async with listening(Offline(*opened(file))) as path:
        assert len(str(path)) > 107
        with pytest.raises(BusUnavailable):
            await ask(path, READ)


async def test_a_lock_without_anybody_on_the_socket_is_waited_for_and_then_said(
    site: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.provisioning.reach.BETWEEN_S", 0.01)
    with hold(site.config.data_dir / LOCK), pytest.raises(AgentBusy, match=r"agent\.lock"):
        await carry_out(site.config, site.library, READ, lambda step: None)
