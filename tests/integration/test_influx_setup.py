"""``linli influx setup``: a server is prepared once, again changes nothing, and history is never deleted by the way.

1.x is the real one. 2.x and 3.x are scripted from their API references: see ``tests/scripted_influx.py``.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from click.testing import CliRunner, Result

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import Query, open_store
from linli.commands.influx import influx
from telemetry.errors import ConfigInvalid, StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading
from tests.scripted_influx import Influx2, Influx3, scripted
from tests.servers import Server, influxdb, victoria_metrics

START = 1_790_000_000_000_000
STREAM = Stream("411202002001", "gw-jianye-1", "0123456789abcdef", "bulk")
ADMIN = {"LINLI_INFLUX_ADMIN_USER": "admin", "LINLI_INFLUX_ADMIN_PASSWORD": "it's secret"}
CENTRE = {"LINLI_INFLUX_USER": "centre", "LINLI_INFLUX_PASSWORD": "open 'sesame'"}
OPERATOR = {"LINLI_INFLUX_ADMIN_TOKEN": "operator"}


class Prepared:
    """A centre's configuration, and the command run with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token_file = folder / "influx-token"
        (folder / "rules").mkdir()

    def says(self, store: str, *, token: bool = False) -> None:
        lines = ["broker: {url: mqtt://127.0.0.1}", "gateways_file: g.yaml", "tokens_file: t.yaml", "rules: [rules]"]
        lines += [f'store: "{store}"'] + ["store_token_file: influx-token"] * token
        (self.folder / "centre.yaml").write_text("\n".join(lines))

    def setup(self, environ: dict[str, str], *words: str) -> Result:
        command = ["setup", "--config", str(self.folder / "centre.yaml"), *words]
        return CliRunner().invoke(influx, command, env={**dict.fromkeys((*ADMIN, *CENTRE, *OPERATOR), None), **environ})

    def done(self, environ: dict[str, str], *words: str) -> list[str]:
        result = self.setup(environ, *words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output.splitlines()[1:]

    def refusal(self, environ: dict[str, str], *words: str) -> str:
        result = self.setup(environ, *words)
        assert isinstance(result.exception, ConfigInvalid | StoreUnavailable), (result.output, result.exception)
        return str(result.exception)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return Prepared(tmp_path)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    with influxdb(tmp_path, login=True) as server:
        made = "CREATE USER admin WITH PASSWORD 'it\\'s secret' WITH ALL PRIVILEGES"
        assert httpx.post(f"{server.url}/query", data={"q": made}, trust_env=False).status_code == 200
        yield server


def policies(server: Server) -> list[list[object]]:
    asked = httpx.post(f"{server.url}/query", data={"q": "SHOW RETENTION POLICIES ON linli"}, auth=("admin", "it's secret"))
    series = asked.json()["results"][0]["series"][0]
    return [[row[0], row[1], row[-1]] for row in series["values"]]


async def test_1_x_is_prepared_once_and_the_centre_can_use_it(guarded: Server, prepared: Prepared, tmp_path: Path) -> None:
    store = f"influx:{guarded.url}/linli"
    prepared.says(store)
    everything = {**ADMIN, **CENTRE}
    first = await asyncio.to_thread(prepared.done, everything, "--retention-days", "90")
    assert [line.split(" ")[:4] for line in first] == [
        ["database", "linli:", "made", "已创建"],
        ["retention", "policy", "autogen:", "90"],
        ["user", "centre:", "made", "已创建,"],
    ]
    again = await asyncio.to_thread(prepared.done, everything, "--retention-days", "90")
    assert ["was there" in line for line in again] == [True, False, True]
    assert policies(guarded) == [["autogen", "2160h0m0s", True]]
    assert not any(secret in "\n".join(first + again) for secret in ("it's secret", "sesame"))
    database = Database(tmp_path / "centre.sqlite")
    opened = open_store(store, tmp_path, database, CENTRE)
    await opened.open()
    await opened.write(
        [Arrival(STREAM, 1, [Reading(device="yard", kind=Kind.ENVIRONMENT, at=START, values={"rain": 0.5})], START)]
    )
    assert [row.value for row in await opened.read(Query(("41",)))] == [0.5]
    await opened.close()
    database.close()


def test_retention_of_1_x_grows_freely_and_shrinks_only_when_told(guarded: Server, prepared: Prepared) -> None:
    prepared.says(f"influx1:{guarded.url}/linli")
    prepared.done(ADMIN)
    assert "--shorten" in prepared.refusal(ADMIN, "--retention-days", "30")
    assert policies(guarded)[0][1] == "0s"
    prepared.done(ADMIN, "--retention-days", "30", "--shorten")
    prepared.done(ADMIN, "--retention-days", "60")
    assert "keeps readings 60 days" in prepared.refusal(ADMIN, "--retention-days", "59")
    prepared.done(ADMIN)
    assert policies(guarded) == [["autogen", "1440h0m0s", True]]


def test_a_wrong_administrator_and_a_silent_server_are_said(guarded: Server, prepared: Prepared) -> None:
    prepared.says(f"influx:{guarded.url}/linli")
    assert "refuses our credentials" in prepared.refusal({**ADMIN, "LINLI_INFLUX_ADMIN_PASSWORD": "guessed"})
    guarded.kill()
    assert prepared.refusal(ADMIN)


@pytest.mark.parametrize("days", ["0", "-1"])
def test_no_zero_deletes_everything(prepared: Prepared, days: str) -> None:
    prepared.says("influx1:http://127.0.0.1:1/linli")
    result = prepared.setup({}, "--retention-days", days, "--shorten")
    assert result.exit_code == 2
    assert "retention-days" in result.output


async def test_2_x_gets_organization_bucket_mapping_and_a_token_for_the_bucket_alone(prepared: Prepared) -> None:
    v2 = Influx2("operator", org="other")
    v2.virtual = False
    async with scripted(v2) as there:
        prepared.says(f"influx2:{there.url}?org=wuye&bucket=linli", token=True)
        first = await asyncio.to_thread(prepared.done, OPERATOR, "--retention-days", "90")
        assert [line.partition(":")[0] for line in first] == [
            "organization wuye", "bucket linli", "mapping of database linli for InfluxQL",
            "token to read and write the bucket",
        ]  # fmt: skip
        again = await asyncio.to_thread(prepared.done, OPERATOR, "--retention-days", "90")
        assert all("was there" in line for line in again)
    bucket = v2.buckets["linli"]
    assert bucket["orgID"] == v2.orgs["wuye"]
    assert [rule["everySeconds"] for rule in bucket["retentionRules"]] == [90 * 86_400]
    (mapping,) = v2.dbrps
    assert (mapping["database"], mapping["bucketID"], mapping["default"]) == ("linli", bucket["id"], True)
    (made,) = v2.authorizations
    assert [(one["action"], one["resource"]["type"], one["resource"]["id"]) for one in made["permissions"]] == [
        ("read", "buckets", bucket["id"]),
        ("write", "buckets", bucket["id"]),
    ]
    assert prepared.token_file.read_text() == f"{made['token']}\n"
    assert prepared.token_file.stat().st_mode & 0o777 == 0o600
    assert made["token"] not in "\n".join(first + again)


async def test_2_x_that_maps_buckets_by_itself_needs_no_mapping_and_shrinks_only_when_told(prepared: Prepared) -> None:
    v2 = Influx2("operator")
    async with scripted(v2) as there:
        prepared.says(f"influx2:{there.url}?org=wuye&bucket=linli", token=True)
        await asyncio.to_thread(prepared.done, OPERATOR)
        assert v2.dbrps == []
        assert "--shorten" in await asyncio.to_thread(prepared.refusal, OPERATOR, "--retention-days", "30")
        await asyncio.to_thread(prepared.done, OPERATOR, "--retention-days", "30", "--shorten")
        assert v2.buckets["linli"]["retentionRules"][0]["everySeconds"] == 30 * 86_400
        v2.dbrps.append({"id": "a" * 16, "database": "linli", "bucketID": "b" * 16, "orgID": "c" * 16, "default": True,
                         "retention_policy": "autogen"})  # fmt: skip
        v2.virtual = False
        assert "mapped to another bucket" in await asyncio.to_thread(prepared.refusal, OPERATOR)


async def test_2_x_refuses_a_wrong_token_in_words(prepared: Prepared) -> None:
    async with scripted(Influx2("another")) as there:
        prepared.says(f"influx2:{there.url}?org=wuye&bucket=linli", token=True)
        said = await asyncio.to_thread(prepared.refusal, OPERATOR)
        assert "401" in said
        assert "operator" not in said
    assert await asyncio.to_thread(prepared.refusal, OPERATOR)  # nobody listens any more


async def test_2_x_without_organization_or_token_file_is_told_what_to_write(prepared: Prepared) -> None:
    async with scripted(Influx2("operator")) as there:
        prepared.says(f"influx:{there.url}/linli")
        assert "influx2:" in await asyncio.to_thread(prepared.refusal, OPERATOR)


async def test_3_x_gets_its_database_and_keeps_one_that_is_there(prepared: Prepared) -> None:
    v3 = Influx3("operator")
    async with scripted(v3) as there:
        prepared.says(f"influx:{there.url}/linli")
        assert "made" in (await asyncio.to_thread(prepared.done, OPERATOR, "--retention-days", "90"))[0]
        (asked,) = there.of("/api/v3/configure/database")
        assert json.loads(asked.body) == {"db": "linli", "retention_period": "90d"}
        v3.kept.add("environment rain=1 1")
        assert "was there" in (await asyncio.to_thread(prepared.done, OPERATOR))[0]


def test_victoriametrics_is_told_from_influxdb(prepared: Prepared, tmp_path: Path) -> None:
    with victoria_metrics(tmp_path) as server:
        prepared.says(f"influx:{server.url}/linli")
        (line,) = prepared.done({})
        assert "-retentionPeriod" in line


def test_the_embedded_store_needs_none(prepared: Prepared) -> None:
    prepared.says("duckdb")
    assert "needs no server" in prepared.refusal({})


async def test_an_administrators_password_travels_in_no_address(prepared: Prepared) -> None:
    v3 = Influx3()
    async with scripted(lambda request: v3(request)._replace(headers={"x-influxdb-version": "1.8.10"})) as there:
        prepared.says(f"influx:{there.url}/linli")
        await asyncio.to_thread(prepared.setup, {**ADMIN, **CENTRE})
        assert not any("secret" in value or "sesame" in value for asked in there.asked for value in asked.query.values())
        assert any(dict(parse_qsl(asked.body.decode())) for asked in there.of("/query"))
