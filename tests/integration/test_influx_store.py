"""The store on a real InfluxDB when things go wrong: foreign schemas, lost databases, kills, wrong credentials."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import Address, InfluxStore, Query
from linli.blocking import Blocking
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading
from tests.servers import HOST, Server, free_port, influxdb

START = 1_790_000_000_000_000
STREAM = Stream("411202002001", "gw-jianye-1", "0123456789abcdef", "bulk")
ALL = Query(("41",), limit=50_000, newest_first=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with influxdb(tmp_path) as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "centre.sqlite")
    yield opened
    opened.close()


@pytest.fixture
async def store(server: Server, database: Database) -> AsyncIterator[InfluxStore]:
    opened = InfluxStore(Address(server.url, "linli"), database)
    await opened.open()
    yield opened
    await opened.close()


def batch(seq: int, size: int = 1, device: str = "garage-climate") -> Arrival:
    instants = range(START + seq * 10_000, START + seq * 10_000 + size)
    readings = [Reading(device=device, kind=Kind.ENVIRONMENT, at=at, values={"temperature": 20.5}) for at in instants]
    return Arrival(STREAM, seq, readings, START)


async def ask(server: Server, statement: str) -> str:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        return (await client.post("/query", params={"db": "linli", "q": statement})).text


async def test_where_no_thread_is_to_be_had_a_write_is_repeated_later(store: InfluxStore) -> None:
    await store.write([batch(1)])
    asyncio.get_running_loop().set_default_executor(blocking := Blocking(1))
    never = threading.Event()
    hanging = blocking.submit(never.wait)
    with pytest.raises(StoreUnavailable, match="1 calls hang"):
        await store.write([batch(2)])
    assert await store.watermarks() == {STREAM: 1}
    never.set()
    hanging.result(30)
    blocking.shutdown()
    await store.write([batch(2)])
    assert await store.watermarks() == {STREAM: 2}


async def test_lines_the_server_will_never_take_are_found_and_refused_and_the_rest_is_stored(
    server: Server, store: InfluxStore
) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        foreign = f'environment,community=0 smoke_free="yes",rain="drizzle" {START}000'
        assert (await client.post("/write", params={"db": "linli"}, content=foreign)).status_code == 204
    readings = list(batch(1, 300).readings)
    for place in (0, 17, 299):
        readings[place] = Reading(device="roof-gauge", kind=Kind.ENVIRONMENT, at=START + place, values={"rain": 0.5})
    refusals = await store.write([Arrival(STREAM, 1, readings, START), batch(2)])
    assert [(refusal.stream, refusal.seq) for refusal in refusals] == [(STREAM, 1)] * 3
    assert all("field type conflict" in refusal.reason and b"roof-gauge" in refusal.body for refusal in refusals)
    assert len(await store.read(ALL)) == 298
    assert await store.watermarks() == {STREAM: 2}


async def test_more_readings_than_one_request_takes_are_all_stored(store: InfluxStore) -> None:
    await store.write([batch(seq, 1_000) for seq in range(1, 14)])
    assert len(await store.read(ALL)) == 13_000


async def test_a_page_of_many_instants_with_a_rare_metric_is_complete(store: InfluxStore) -> None:
    wet = [Reading(device="yard", kind=Kind.ENVIRONMENT, at=START + 1_000_000 * n, values={"rain": float(n)}) for n in range(3)]
    await store.write([batch(seq, 1_000) for seq in range(1, 6)])
    await store.write([Arrival(STREAM, 6, wet, START)])
    rows = await store.read(Query(("41",), metric="rain", limit=2))
    assert [row.value for row in rows] == [2.0, 1.0]


def at_once(seq: int, devices: int) -> Arrival:
    """A batch in which every device speaks at the same instant, the first without a value."""
    at = START + seq * 1_000
    names = [f"device-{n}" for n in range(devices)]
    readings = [
        Reading(device=name, kind=Kind.ENVIRONMENT, at=at, values={"temperature": 1.0} if n else {})
        for n, name in enumerate(names)
    ]
    return Arrival(STREAM, seq, readings, START)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_rows_that_no_condition_finds_are_looked_for_page_by_page_and_come_once(
    store: InfluxStore, newest_first: bool
) -> None:
    await store.write([at_once(seq, 7) for seq in range(1, 301)])
    rows = await store.read(Query(("41",), metric="*", limit=250, newest_first=newest_first))
    instants = range(300, 50, -1) if newest_first else range(1, 251)
    assert [row.at for row in rows] == [START + seq * 1_000 for seq in instants]


async def test_an_instant_with_more_readings_than_a_page_is_whole(store: InfluxStore) -> None:
    await store.write([at_once(1, 3), at_once(2, 700), at_once(3, 3)])
    assert len(await store.read(Query(("41",), limit=4))) == 703
    assert len(await store.read(Query(("41",), limit=704))) == 706


async def test_a_server_that_is_down_costs_nothing_and_is_found_again(tmp_path: Path, database: Database) -> None:
    port = free_port()
    store = InfluxStore(Address(f"http://{HOST}:{port}", "linli"), database)
    await store.open()
    with pytest.raises(StoreUnavailable):
        await store.write([batch(1)])
    with pytest.raises(StoreUnavailable):
        await store.read(ALL)
    assert await store.watermarks() == {}
    with influxdb(tmp_path, port=port) as server:
        await store.write([batch(1)])
        server.kill()
        with pytest.raises(StoreUnavailable):
            await store.write([batch(2)])
        server.start()
        await store.write([batch(1), batch(2)])
        assert len(await store.read(ALL)) == 2
        assert await store.watermarks() == {STREAM: 2}
    await store.close()


async def test_a_confirmed_write_survives_the_kill_of_the_server(server: Server, store: InfluxStore) -> None:
    await store.write([batch(1, 500)])
    server.kill()
    server.start()
    assert len(await store.read(ALL)) == 500


async def test_a_database_that_was_dropped_is_made_again(server: Server, store: InfluxStore) -> None:
    await store.write([batch(1)])
    await ask(server, "DROP DATABASE linli")
    with pytest.raises(StoreUnavailable, match="database not found"):
        await store.write([batch(2)])
    await store.write([batch(2)])
    assert [row.at for row in await store.read(ALL)] == [START + 20_000]


async def test_a_write_cut_between_server_and_watermark_is_repeated_without_a_trace(
    server: Server, store: InfluxStore, database: Database
) -> None:
    await store.write([batch(1, 10)])
    await database.write(lambda connection: connection.exec_driver_sql("DELETE FROM store_watermark"))
    again = InfluxStore(Address(server.url, "linli"), database)
    await again.open()
    assert await again.watermarks() == {}
    await again.write([batch(1, 10)])
    assert len(await again.read(ALL)) == 10
    await again.close()


async def test_a_server_that_hangs_is_given_up_in_time_and_nothing_moves(server: Server, database: Database) -> None:
    store = InfluxStore(Address(server.url, "linli"), database, answer_s=0.3)
    await store.open()
    server.pause()
    with pytest.raises(StoreUnavailable, match="timed out"):
        await asyncio.wait_for(store.write([batch(1)]), 5)
    assert await store.watermarks() == {}
    server.resume()
    await store.write([batch(1)])
    assert await store.watermarks() == {STREAM: 1}
    await store.close()


async def test_the_tags_are_community_device_and_gateway_and_nothing_else(server: Server, store: InfluxStore) -> None:
    swipe = Reading(
        device="b3-lobby-reader",
        kind=Kind.ACCESS,
        at=START,
        values={"event": "granted", "credential": "****4711", "credential_ref": "a1b2"},
        event_id="swipe-1",
    )
    await store.write([Arrival(STREAM, 1, [swipe], START)])
    answer = await ask(server, "SHOW TAG KEYS")
    assert [row[0] for row in httpx.Response(200, text=answer).json()["results"][0]["series"][0]["values"]] == [
        "community",
        "device",
        "gateway",
    ]


async def test_a_wrong_password_keeps_the_readings_and_is_not_repeated_in_the_error(tmp_path: Path, database: Database) -> None:
    with influxdb(tmp_path, login=True) as server:
        await ask(server, "CREATE USER centre WITH PASSWORD 'open sesame' WITH ALL PRIVILEGES")
        wrong = InfluxStore(Address(server.url, "linli", ("centre", "guessed sesame")), database)
        await wrong.open()
        with pytest.raises(StoreUnavailable, match="refuses our credentials") as refused:
            await wrong.write([batch(1)])
        assert "guessed" not in str(refused.value)
        assert await wrong.watermarks() == {}
        await wrong.close()
        right = InfluxStore(Address(server.url, "linli", ("centre", "open sesame")), database)
        await right.open()
        await right.write([batch(1)])
        assert len(await right.read(ALL)) == 1
        await right.close()


async def test_a_user_who_may_only_write_and_read_needs_no_right_to_make_databases(tmp_path: Path, database: Database) -> None:
    with influxdb(tmp_path, login=True) as server:
        await ask(server, "CREATE USER admin WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, auth=("admin", "secret")) as client:
            for statement in (
                "CREATE USER centre WITH PASSWORD 'key'",
                "CREATE DATABASE linli",
                "GRANT ALL ON linli TO centre",
            ):
                assert (await client.post("/query", params={"q": statement})).status_code == 200
        store = InfluxStore(Address(server.url, "linli", ("centre", "key")), database)
        await store.open()
        await store.write([batch(1)])
        assert len(await store.read(ALL)) == 1
        await store.close()


async def test_a_server_that_takes_small_bodies_only_gets_small_ones(tmp_path: Path, database: Database) -> None:
    with influxdb(tmp_path, http="max-body-size = 8000") as server:
        store = InfluxStore(Address(server.url, "linli"), database)
        await store.open()
        assert await store.write([batch(seq, 1_000) for seq in range(1, 6)]) == []
        assert len(await store.read(ALL)) == 5_000
        await store.close()


async def test_series_beyond_the_servers_limit_are_refused_and_hold_up_nobody(tmp_path: Path, database: Database) -> None:
    with influxdb(tmp_path, data='index-version = "inmem"\nmax-series-per-database = 5') as server:
        store = InfluxStore(Address(server.url, "linli"), database)
        await store.open()
        refusals = await store.write([batch(seq, 10, f"device-{seq}") for seq in range(1, 8)])
        assert {refusal.seq for refusal in refusals} == {6, 7}
        assert all("max-series-per-database" in refusal.reason for refusal in refusals)
        assert len(await store.read(ALL)) == 50
        assert await store.watermarks() == {STREAM: 7}
        await store.close()


async def test_readings_older_than_the_retention_are_refused_and_the_others_stored(server: Server, store: InfluxStore) -> None:
    await ask(server, 'ALTER RETENTION POLICY "autogen" ON "linli" DURATION 1h SHARD DURATION 1h')
    now = time.time_ns() // 1_000
    young = Reading(device="yard", kind=Kind.ENVIRONMENT, at=now, values={"rain": 0.5})
    old = [Reading(device="yard", kind=Kind.ENVIRONMENT, at=now - 7_200_000_000 + n, values={"rain": 0.5}) for n in range(500)]
    refusals = await store.write([Arrival(STREAM, 1, [*old, young], START)])
    assert len(refusals) == 500
    assert "retention" in refusals[0].reason
    assert [row.at for row in await store.read(ALL)] == [now]
