"""Each server of line protocol spoken to as it wants: its endpoint, its credentials, its answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import InfluxStore, Level, Query
from ingest.store.line_writer import DENIED_REST_S
from ingest.store.spec import address_of
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading
from tests.scripted_influx import Influx2, Influx3, Reply, Request, json_reply, scripted

START = 1_790_000_000_000_000
STREAM = Stream("411202002001", "gw-jianye-1", "0123456789abcdef", "bulk")
TOKEN = {"LINLI_INFLUX_TOKEN": "open sesame"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "centre.sqlite")
    yield opened
    opened.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def store_at(
    spec: str,
    database: Database,
    environ: dict[str, str] | None = None,
    token_file: Path | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[InfluxStore]:
    opened = InfluxStore(address_of(spec, environ or {}, token_file), database, 0.6, clock or Clock())
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


def batch(seq: int, size: int = 1) -> Arrival:
    instants = range(START + seq * 10_000, START + seq * 10_000 + size)
    readings = [Reading(device="yard", kind=Kind.ENVIRONMENT, at=at, values={"rain": 0.5, "fault_code": 7}) for at in instants]
    return Arrival(STREAM, seq, readings, START)


@pytest.mark.parametrize(
    ("server", "spec", "path", "parameters", "authorization"),
    [
        (Influx2("open sesame"), "influx:{}/linli", "/write", {"db": "linli", "precision": "ns"}, "Token open sesame"),
        (
            Influx2("open sesame", "物业"), "influx2:{}?org=物业&bucket=linli", "/api/v2/write",
            {"org": "物业", "bucket": "linli", "precision": "ns"}, "Token open sesame",
        ),
        (
            Influx3("open sesame"), "influx:{}/linli", "/api/v3/write_lp",
            {"db": "linli", "precision": "nanosecond", "accept_partial": "true", "no_sync": "false"}, "Bearer open sesame",
        ),
        (
            Influx3("open sesame"), "influx3:{}/linli", "/api/v3/write_lp",
            {"db": "linli", "precision": "nanosecond", "accept_partial": "true", "no_sync": "false"}, "Bearer open sesame",
        ),
    ],
    ids=["2.x by asking", "2.x by name", "3.x by asking", "3.x by name"],
)  # fmt: skip
async def test_each_takes_lines_at_its_own_place_with_its_own_credentials(
    server: Influx2 | Influx3,
    spec: str,
    path: str,
    parameters: dict[str, str],
    authorization: str,
    database: Database,
) -> None:
    if isinstance(server, Influx2):
        server.buckets["linli"] = {"name": "linli", "id": "0" * 16, "orgID": server.ORG}
        server.dbrps.append({"database": "linli", "retention_policy": "autogen"})
    async with scripted(server) as there, store_at(spec.format(there.url), database, TOKEN) as store:
        assert await store.write([batch(1)]) == []
        (written,) = there.of(path)
        assert written.query == parameters
        assert written.headers["authorization"] == authorization
        assert written.headers["content-encoding"] == "gzip"
        assert written.lines == [
            "environment,community=411202002001,device=yard,gateway=gw-jianye-1 "
            f'rain=0.5,fault_code=7i,quality="good" {START + 10_000}000'
        ]
        await store.read(Query(("41",)))
        assert {asked.headers["authorization"] for asked in there.of("/query")} == {authorization}


async def test_an_open_3_x_tells_its_version_in_the_body_alone(database: Database) -> None:
    v3 = Influx3()

    def without_headers(request: Request) -> Reply:
        return v3(request)._replace(headers={})

    async with scripted(without_headers) as there, store_at(f"influx:{there.url}/linli", database) as store:
        await store.write([batch(1)])
        assert len(v3.kept) == 1


async def test_a_later_victoriametrics_that_says_it_is_influxdb_1_8_is_recognised(database: Database) -> None:
    def victoria(request: Request) -> Reply:
        said = b"VictoriaMetrics is Healthy.\n" if request.path == "/-/healthy" else b""
        return Reply(200 if said else 204, said, {"X-Influxdb-Version": "1.8.0"})

    async with scripted(victoria) as there, store_at(f"influx:{there.url}/linli", database) as store:
        await store.write([batch(1)])
        assert not store.limits.text
        assert there.of("/write")[0].lines[0].split(" ")[1] == "rain=0.5,fault_code=7i,quality=0"


async def test_a_web_server_that_is_no_store_is_not_written_to(database: Database) -> None:
    async with (
        scripted(lambda request: Reply(200, b"<html>It works!")) as there,
        store_at(f"influx:{there.url}/linli", database) as store,
    ):
        with pytest.raises(StoreUnavailable, match="neither InfluxDB nor VictoriaMetrics"):
            await store.write([batch(1)])
        assert there.of("/write") == []


async def test_lines_that_3_x_names_are_refused_though_it_names_only_a_hundred_at_once(database: Database) -> None:
    conflict = "invalid column type for column 'rain', expected iox::column_type::field::string, got float"
    v3 = Influx3(bad=lambda line: conflict if int(line.split(" ")[-1]) // 1000 % 4 == 0 else "")
    async with scripted(v3) as there, store_at(f"influx:{there.url}/linli", database) as store:
        refusals = await store.write([batch(1, 1_000)])
        assert len(refusals) == 250
        assert {(refusal.seq, refusal.reason) for refusal in refusals} == {(1, conflict)}
        assert len(v3.kept) == 750
        assert [len(asked.lines) for asked in there.of("/api/v3/write_lp")] == [1_000, 900, 800, 750]
        assert await store.watermarks() == {STREAM: 1}


async def test_a_malformed_line_that_makes_2_x_take_nothing_is_found(database: Database) -> None:
    bad = f"{START + 10_000 + 321}000"
    v2 = Influx2("open sesame", malformed=lambda line: line.endswith(bad))
    v2.buckets["linli"] = {"name": "linli"}
    async with scripted(v2) as there, store_at(f"influx2:{there.url}?org=wuye&bucket=linli", database, TOKEN) as store:
        (refusal,) = await store.write([batch(1, 1_000)])
        assert "unable to parse" in refusal.reason
        assert len(set(v2.kept)) == 999


async def test_points_that_2_x_drops_are_refused_and_all_at_once_when_it_drops_all(database: Database) -> None:
    v2 = Influx2("open sesame")
    v2.buckets["linli"] = {"name": "linli"}
    v2.conflict = lambda line: True
    async with scripted(v2) as there, store_at(f"influx2:{there.url}?org=wuye&bucket=linli", database, TOKEN) as store:
        refusals = await store.write([batch(1, 1_000)])
        assert len(refusals) == 1_000
        assert "field type conflict" in refusals[0].reason
        assert len(there.of("/api/v2/write")) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (json_reply(404, {"code": "not found", "message": 'bucket "linli" not found'}), 'bucket "linli" not found'),
        (json_reply(403, {"code": "forbidden", "message": "insufficient permissions for write"}), "refuses our credentials"),
        (json_reply(401, {"code": "unauthorized", "message": "unauthorized access"}), "refuses our credentials"),
        (json_reply(503, {"code": "unavailable", "message": "too busy"}), "too busy"),
        (json_reply(429, {"code": "too many requests", "message": "slow down"}, **{"Retry-After": "20"}), "slow down"),
        (json_reply(500, {"code": "internal error", "message": "engine is closed"}), "engine is closed"),
        (Reply(204, after_s=30.0), "timed out"),
    ],
    ids=["404", "403", "401", "503", "429", "500", "silence"],
)
async def test_what_a_person_or_time_must_put_right_gives_nothing_up_and_makes_nothing(
    answer: Reply, reason: str, database: Database
) -> None:
    v2 = Influx2("open sesame")
    v2.buckets["linli"] = {"name": "linli"}
    said = [answer]

    def once(request: Request) -> Reply:
        return said.pop() if said and request.path == "/api/v2/write" else v2(request)

    clock = Clock()
    async with (
        scripted(once) as there,
        store_at(f"influx2:{there.url}?org=wuye&bucket=linli", database, TOKEN, clock=clock) as store,
    ):
        with pytest.raises(StoreUnavailable, match=reason) as refused:
            await store.write([batch(1, 10)])
        assert "sesame" not in str(refused.value)
        assert await store.watermarks() == {}
        clock.now = DENIED_REST_S
        assert await store.write([batch(1, 10)]) == []
        assert len(v2.kept) == 10
        assert {asked.path for asked in there.asked} == {"/api/v2/write"}


async def test_a_slow_confirmation_is_one(database: Database) -> None:
    v2 = Influx2("open sesame")
    v2.buckets["linli"] = {"name": "linli"}

    def slowly(request: Request) -> Reply:
        return v2(request)._replace(after_s=0.3)

    async with scripted(slowly) as there, store_at(f"influx2:{there.url}?org=wuye&bucket=linli", database, TOKEN) as store:
        assert await store.write([batch(1)]) == []
        assert len(v2.kept) == 1


async def test_a_server_that_asks_for_rest_is_not_asked_meanwhile(database: Database) -> None:
    clock, answers = Clock(), [Reply(429, b"", {"Retry-After": "20"}), Reply(204)]

    def answer(request: Request) -> Reply:
        return answers.pop(0)

    async with scripted(answer) as there, store_at(f"influx2:{there.url}/linli", database, clock=clock) as store:
        for clock.now in (0.0, 10.0, 19.9):
            with pytest.raises(StoreUnavailable, match="429"):
                await store.write([batch(1)])
        assert len(there.asked) == 1
        clock.now = 20.0
        await store.write([batch(1)])
        assert len(there.asked) == 2


async def test_a_new_token_in_the_file_is_taken_without_a_restart(database: Database, tmp_path: Path) -> None:
    file, clock = tmp_path / "token", Clock()
    file.touch(0o600)
    file.write_text("outdated\n")
    v3 = Influx3("open sesame")
    async with scripted(v3) as there, store_at(f"influx:{there.url}/linli", database, token_file=file, clock=clock) as store:
        with pytest.raises(StoreUnavailable, match="refuses our credentials") as refused:
            await store.write([batch(1)])
        assert "outdated" not in str(refused.value)
        asked = len(there.asked)
        file.write_text("open sesame\n")
        with pytest.raises(StoreUnavailable, match=f"asked again in {DENIED_REST_S:.0f} s"):
            await store.write([batch(1)])
        assert len(there.asked) == asked
        clock.now = DENIED_REST_S
        assert await store.write([batch(1)]) == []
        assert len(v3.kept) == 1


async def test_a_server_that_hangs_up_on_large_bodies_gets_smaller_ones(database: Database) -> None:
    v2 = Influx2("open sesame")
    v2.dbrps.append({"database": "linli"})
    limit = 8_000
    async with (
        scripted(v2, hangs_up_beyond=limit) as there,
        store_at(f"influx2:{there.url}/linli", database, TOKEN) as store,
    ):
        assert await store.write([batch(seq, 1_000) for seq in range(1, 6)]) == []
        assert len(set(v2.kept)) == 5_000
        assert sum(int(asked.headers["content-length"]) > limit for asked in there.asked) <= 6


async def test_a_server_that_hangs_up_on_everything_is_given_up_in_time(database: Database) -> None:
    v2 = Influx2("open sesame")
    async with scripted(v2, hangs_up_beyond=0) as there, store_at(f"influx2:{there.url}/linli", database, TOKEN) as store:
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(store.write([batch(seq, 1_000) for seq in range(1, 6)]), 5)
        assert len(there.asked) < 20
        assert await store.watermarks() == {}


async def test_2_x_deletes_by_age_at_its_own_place_up_to_the_last_microsecond(database: Database) -> None:
    v2 = Influx2("open sesame")
    v2.buckets["linli"] = {"name": "linli"}
    async with scripted(v2) as there, store_at(f"influx2:{there.url}?org=wuye&bucket=linli", database, TOKEN) as store:
        await store.drop_before(Level.FIVE_MINUTES, START, [Kind.ENERGY, Kind.SAFETY])
        asked = there.of("/api/v2/delete")
        assert [request.query for request in asked] == [{"org": "wuye", "bucket": "linli"}] * 2
        assert [request.said["predicate"] for request in asked] == ['_measurement="energy_5m"', '_measurement="safety_5m"']
        assert {request.said["start"] for request in asked} == {"1970-01-01T00:00:00Z"}
        assert {request.said["stop"] for request in asked} == {"2026-09-21T14:13:19.999999Z"}


@pytest.mark.parametrize(
    ("spec", "environ", "deletes", "text"),
    [
        ("influx1:{}/linli", {}, True, True),
        ("influx2:{}?org=wuye&bucket=linli", TOKEN, True, True),
        ("influx2:{}/linli", TOKEN, False, True),
        ("influx3:{}/linli", TOKEN, False, True),
        ("victoria:{}/linli", {}, False, False),
    ],
)
async def test_a_store_says_what_it_cannot_do_and_does_not_try(
    spec: str, environ: dict[str, str], deletes: bool, text: bool, database: Database
) -> None:
    async with scripted(lambda request: Reply(204)) as there, store_at(spec.format(there.url), database, environ) as store:
        assert (store.limits.deletes, store.limits.text) == (deletes, text)
        await store.drop_before(Level.RAW, START, [Kind.ENERGY])
        assert any("DELETE" in request.query.get("q", "") or "delete" in request.path for request in there.asked) is deletes
