"""A centre that cannot start says why in one line."""

import asyncio
from pathlib import Path

import pytest

from ingest.database import Database
from ingest.service import run
from telemetry.errors import ConfigInvalid, StoreUnavailable
from tests.servers import free_port

CENTRE = """
broker: {{url: "mqtt://127.0.0.1"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules.yaml]
api: {{port: {port}}}
data: {data}
"""


def centre(folder: Path, data: str) -> Path:
    (folder / "rules.yaml").write_text("rules: []\n")
    file = folder / "centre.yaml"
    file.write_text(CENTRE.format(port=free_port(), data=data))
    return file


@pytest.mark.parametrize("data", ["centre.yaml", "centre.yaml/below", "/dev/null"])
async def test_a_folder_that_is_none_is_refused_with_its_cure(tmp_path: Path, data: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"data: .* cannot be used: .*name a folder that the centre may write to"):
        await run(centre(tmp_path, data), asyncio.Event())


async def test_two_centres_do_not_share_a_folder(tmp_path: Path) -> None:
    stop = asyncio.Event()
    file = centre(tmp_path, "data")
    first = asyncio.create_task(run(file, stop))
    async with asyncio.timeout(10):
        while not (tmp_path / "data" / "telemetry.duckdb").exists():
            await asyncio.sleep(0.01)
    with pytest.raises(ConfigInvalid, match="another centre runs on"):
        await run(file, asyncio.Event())
    stop.set()
    await asyncio.wait_for(first, 10)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "centre.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailable, match=r"centre\.db cannot be used: file is not a database"):
        Database(tmp_path / "centre.db")
