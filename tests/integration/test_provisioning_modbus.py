"""An installer's verbs on real buses: a TCP end and a serial line, with an agent that is asked and with none."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from device_profiles import Library
from edge.config import GatewayConfig
from edge.control import ControlServer
from edge.provisioning import devices_file
from edge.provisioning.add import Add, Added, Implausible, Remove, Removed
from edge.provisioning.probe import Probe, Probed
from edge.provisioning.reach import carry_out
from edge.provisioning.scan import MAX_GUESSES, Scan, Scanned, Step
from edge.provisioning.site import LOCK, AgentBusy, Offline, hold, offline
from edge.provisioning.verbs import Result, Verb
from telemetry.errors import BusUnavailable, ConfigInvalid
from tests.installers import opened, rtu_units, tcp_units, write_gateway
from tests.servers import free_port

GOOD = [658, 231]
"""What a bench-climate holds: 65.8 %RH and 23.1 degC."""

Ask = Callable[..., Any]


class Bench:
    """A gateway beside a meters bus (TCP) and a line (RTU); ``ask`` does a verb as the command line would."""

    def __init__(self, config: GatewayConfig, library: Library, agent: Offline | None) -> None:
        self.config = config
        self.library = library
        self.agent = agent
        self.steps: list[Step] = []

    async def ask(self, verb: Verb) -> Result:
        return await carry_out(self.config, self.library, verb, self.steps.append)

    @property
    def written(self) -> list[str]:
        return [device.id for device in devices_file.load(self.config.devices_file)]


@contextlib.asynccontextmanager
async def serving(site: Offline) -> AsyncIterator[None]:
    """What the agent does for installers: holds its lock and listens on its socket."""
    with hold(site.config.data_dir / LOCK):
        task = asyncio.create_task(ControlServer(site).run())
        async with asyncio.timeout(5):
            while not site.config.control_socket.exists():
                await asyncio.sleep(0.01)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await site.close()


@pytest.fixture(params=["alone", "agent"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with (
        tcp_units({1: GOOD, 7: [500], 9: [9999, 231]}) as port,
        rtu_units(tmp_path, {3: GOOD}) as line,
        contextlib.AsyncExitStack() as stack,
    ):
        buses = [
            f"{{id: meters, type: modbus-tcp, host: 127.0.0.1, port: {port}, timeout_s: 0.2}}",
            f"{{id: line, type: modbus-rtu, port: {line}, timeout_s: 0.2}}",
            f"{{id: gone, type: modbus-tcp, host: 127.0.0.1, port: {free_port()}}}",
        ]
        config, library = opened(write_gateway(tmp_path / "gw", buses=buses))
        agent = Offline(config, library) if request.param == "agent" else None
        if agent:
            await stack.enter_async_context(serving(agent))
        yield Bench(config, library, agent)


def climate(id_: str, bus: str, unit_id: int, **more: object) -> dict[str, Any]:
    return {"id": id_, "profile": "bench-climate", "address": {"bus": bus, "unit_id": unit_id}, **more}


async def test_a_scan_finds_the_units_that_answer_and_names_what_they_may_be(bench: Bench) -> None:
    found = await bench.ask(Scan(bus="meters", last=9, timeout_s=0.05))
    assert isinstance(found, Scanned)
    assert [unit.unit_id for unit in found.units] == [1, 7, 9]
    guesses = [[guess.profile for guess in unit.guesses] for unit in found.units]
    assert guesses[0][0] == "bench-climate", "a relay board fits too, but any bit would"
    assert "renke-rs-ws-n01" in guesses[0], "its registers are the same"
    assert all(unit.fitting >= len(unit.guesses) <= MAX_GUESSES for unit in found.units)
    assert found.units[0].fitting > MAX_GUESSES, "how many fit is told, however few are named"
    assert "bench-level" in guesses[1]
    assert "bench-climate" not in guesses[1], "half of its registers are refused"
    assert "bench-climate" not in guesses[2], "999.9 %RH is out of range"
    assert all(unit.functions == {"03": "answered", "04": "answered"} for unit in found.units)


async def test_a_scan_tells_how_far_it_is(bench: Bench) -> None:
    await bench.ask(Scan(bus="meters", first=6, last=8, timeout_s=0.05, guess=False))
    assert [step.done for step in bench.steps] == [1, 3, 4, 5, 6]
    assert {step.total for step in bench.steps} == {6}


async def test_a_scan_tries_the_settings_it_is_given_on_a_serial_line(bench: Bench) -> None:
    found = await bench.ask(Scan(bus="line", first=3, last=3, settings=("4800", "9600-8N1"), timeout_s=0.1, guess=False))
    assert isinstance(found, Scanned)
    # A pseudo-terminal has no baud rate of its own, so both settings find the unit.
    assert [(unit.setting, unit.unit_id) for unit in found.units] == [("4800-8N1", 3), ("9600-8N1", 3)]
    again = await bench.ask(Scan(bus="line", first=3, last=3, timeout_s=0.1, guess=False))
    assert isinstance(again, Scanned)
    assert len(again.units) == 1, "the bus is there again at its own setting"


async def test_other_settings_are_refused_on_a_line_that_is_in_use_or_not_serial(bench: Bench) -> None:
    await bench.ask(Add(device=climate("b3-climate", "line", 3)))
    bench.config = opened(bench.config.file)[0]
    with pytest.raises(ConfigInvalid, match="in use by b3-climate"):
        await bench.ask(Scan(bus="line", settings=("4800",)))
    with pytest.raises(ConfigInvalid, match="no serial bus"):
        await bench.ask(Scan(bus="meters", settings=("4800",)))


async def test_a_scan_names_the_device_that_is_configured_there(bench: Bench) -> None:
    await bench.ask(Add(device=climate("b3-climate", "meters", 1)))
    bench.config = opened(bench.config.file)[0]
    found = await bench.ask(Scan(bus="meters", first=1, last=1, guess=False))
    assert isinstance(found, Scanned)
    assert found.units[0].device == "b3-climate"


@pytest.mark.parametrize(("bus", "unit_id"), [("meters", 1), ("line", 3)])
async def test_a_probe_shows_values_units_and_raw_words(bench: Bench, bus: str, unit_id: int) -> None:
    probed = await bench.ask(Probe(profile="bench-climate", address={"bus": bus, "unit_id": unit_id}))
    assert isinstance(probed, Probed)
    rows = {row.point: (row.value, row.unit, row.words) for row in probed.points}
    assert rows == {"humidity": (65.8, "%RH", (658,)), "temperature": (23.1, "degC", (231,))}
    assert all(row.latency_ms is not None for row in probed.points)
    assert probed.doubts == ()


async def test_a_refused_point_does_not_hide_its_neighbours(bench: Bench) -> None:
    probed = await bench.ask(Probe(profile="bench-climate", address={"bus": "meters", "unit_id": 7}))
    assert isinstance(probed, Probed)
    humidity, temperature = sorted(probed.points, key=lambda row: row.point)
    assert (humidity.value, humidity.is_plausible) == (50.0, True)
    assert (temperature.value, temperature.is_plausible) == (None, False)
    assert "exception 2" in temperature.reason


async def test_a_silent_unit_is_a_doubt_not_an_error(bench: Bench) -> None:
    probed = await bench.ask(Probe(profile="bench-climate", address={"bus": "line", "unit_id": 4}))
    assert isinstance(probed, Probed)
    assert {point for point, _ in probed.doubts} == {"humidity", "temperature"}
    assert all("did not answer" in reason for _, reason in probed.doubts)


async def test_an_address_that_cannot_be_is_refused_with_a_cure(bench: Bench) -> None:
    with pytest.raises(ConfigInvalid, match="did you mean 'meters'"):
        await bench.ask(Probe(profile="bench-climate", address={"bus": "meter", "unit_id": 1}))
    with pytest.raises(ConfigInvalid, match="no device 'nobody'"):
        await bench.ask(Probe(device="nobody"))


async def test_a_bus_that_cannot_be_reached_is_an_error_that_names_it(bench: Bench) -> None:
    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1"):
        await bench.ask(Probe(profile="bench-climate", address={"bus": "gone", "unit_id": 1}))


async def test_a_device_that_reads_well_is_written_and_taken(bench: Bench) -> None:
    added = await bench.ask(Add(device=climate("b3-climate", "line", 3, place={"zh": "3号楼水泵房"}, zone="pump-room")))
    assert isinstance(added, Added)
    assert (added.already, added.waived) == (False, ())
    (device,) = opened(bench.config.file)[0].devices
    assert (device.id, device.place.zh, device.zone) == ("b3-climate", "3号楼水泵房", "pump-room")
    if bench.agent:
        assert bench.agent.config.devices == (device,), "without a restart"


async def test_the_same_command_twice_changes_nothing_and_reads_nothing(bench: Bench) -> None:
    wanted = Add(device=climate("b3-climate", "meters", 1))
    await bench.ask(wanted)
    before = bench.config.devices_file.stat().st_mtime_ns
    again = await bench.ask(wanted)
    assert isinstance(again, Added)
    assert (again.already, again.probed) == (True, None)
    assert bench.config.devices_file.stat().st_mtime_ns == before


@pytest.mark.parametrize("unit_id", [4, 7, 9], ids=["silent", "refuses a point", "out of range"])
async def test_a_device_that_does_not_read_well_is_not_written(bench: Bench, unit_id: int) -> None:
    with pytest.raises(Implausible, match="--accept") as caught:
        await bench.ask(Add(device=climate("b3-climate", "meters", unit_id)))
    assert all(problem.file == "b3-climate" for problem in caught.value.problems)
    assert bench.written == []


async def test_doubts_may_be_waived_by_a_person(bench: Bench) -> None:
    added = await bench.ask(Add(device=climate("b3-climate", "meters", 9), accept="probe not mounted yet"))
    assert isinstance(added, Added)
    assert len(added.waived) == 1
    assert added.waived[0].startswith("humidity: ")
    assert bench.written == ["b3-climate"]
    assert "probe not mounted" not in bench.config.devices_file.read_text()


async def test_a_bus_without_power_may_be_waived_too(bench: Bench) -> None:
    added = await bench.ask(Add(device=climate("b3-climate", "gone", 1), accept="cupboard has no power yet"))
    assert isinstance(added, Added)
    assert bench.written == ["b3-climate"]


async def test_a_second_device_at_one_address_or_of_one_id_is_refused_before_anything_is_read(bench: Bench) -> None:
    await bench.ask(Add(device=climate("b3-climate", "meters", 1)))
    with pytest.raises(ConfigInvalid, match=r"devices\[1\]\.address.*b3-climate"):
        await bench.ask(Add(device=climate("b3-other", "meters", 1)))
    with pytest.raises(ConfigInvalid, match=r"'b3-climate' is there already, not the same: bench-climate at meters .* unit 1"):
        await bench.ask(Add(device=climate("b3-climate", "meters", 7)))
    assert bench.written == ["b3-climate"]


async def test_everything_wrong_with_a_new_device_is_said_at_once(bench: Bench) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        await bench.ask(Add(device={"id": "B3 Climate", "profile": 5, "adress": {}}))
    assert {problem.path for problem in caught.value.problems} == {
        "devices[0].id",
        "devices[0].profile",
        "devices[0].adress",
        "devices[0].address",
    }


async def test_of_two_who_want_one_address_at_once_one_gets_it(bench: Bench) -> None:
    wanted = [bench.ask(Add(device=climate(id_, "meters", 1))) for id_ in ("b3-one", "b3-two")]
    ended = await asyncio.gather(*wanted, return_exceptions=True)
    assert {type(end) for end in ended} == {Added, ConfigInvalid}
    assert len(bench.written) == 1


async def test_an_edit_by_hand_is_never_undone(bench: Bench) -> None:
    by_hand = "devices:\n  - {id: by-hand, profile: bench-level, address: {bus: meters, unit_id: 7}}\n"
    bench.config.devices_file.write_text(by_hand)
    await bench.ask(Add(device=climate("b3-climate", "meters", 1)))
    assert bench.written == ["by-hand", "b3-climate"]


async def test_a_removed_device_is_gone_and_its_address_free(bench: Bench) -> None:
    await bench.ask(Add(device=climate("b3-climate", "meters", 1)))
    assert await bench.ask(Remove("b3-climate")) == Removed("b3-climate")
    assert bench.written == []
    await bench.ask(Add(device=climate("b3-other", "meters", 1)))
    assert bench.written == ["b3-other"]


async def test_removing_what_is_not_there_says_what_was_perhaps_meant(bench: Bench) -> None:
    await bench.ask(Add(device=climate("b3-climate", "meters", 1)))
    with pytest.raises(ConfigInvalid, match="did you mean 'b3-climate'"):
        await bench.ask(Remove("b3-climat"))


async def test_an_agent_cannot_start_while_a_command_has_the_buses(bench: Bench) -> None:
    if bench.agent:
        with pytest.raises(AgentBusy):
            async with offline(bench.config, bench.library):
                raise AssertionError("the agent holds it")
        return
    async with offline(bench.config, bench.library):
        handle = os.open(bench.config.data_dir / LOCK, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
