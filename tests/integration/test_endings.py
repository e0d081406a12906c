"""How programs end that cannot go on: what went wrong in plain lines, and a status that tells whether to start them again."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.database import Server
from linli.report import BAD_CONFIGURATION, DIVERGED, FAILED
from tests.databases import Postgresqls
from tests.servers import HOST, free_port

CENTRE = """
broker: {{url: "mqtt://127.0.0.1:{broker}"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules.yaml]
data: data
{more}
"""
END_S = 60


@pytest.fixture
def empty(postgresqls: Postgresqls) -> Iterator[Server]:
    place = postgresqls.empty()
    yield place
    postgresqls.drop(place)


def centre(folder: Path, more: str) -> subprocess.Popen[str]:
    (folder / "rules.yaml").write_text("rules: []\n")
    file = folder / "centre.yaml"
    file.write_text(CENTRE.format(broker=free_port(), more=more))
    return linli("ingest", "run", "--config", str(file))


def linli(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "linli", *arguments], stderr=subprocess.PIPE, text=True)


def ended(program: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Its status, and what it said of why."""
    _, said = program.communicate(timeout=END_S)
    assert "Traceback" not in said
    return program.returncode, [line for line in said.splitlines() if line.startswith("error: ")]


def until_it_runs(program: subprocess.Popen[str]) -> None:
    assert program.stderr is not None
    late = threading.Timer(END_S, program.kill)
    late.start()
    assert any("centre runs" in line for line in program.stderr)
    late.cancel()


def test_a_centre_whose_database_another_has_taken_ends_to_start_anew(
    tmp_path: Path, empty: Server, postgresqls: Postgresqls
) -> None:
    where = f"{HOST}:{empty.port}/{empty.name}"
    program = centre(tmp_path, f"database: postgresql://linli@{where}\napi: {{port: {free_port()}}}")
    until_it_runs(program)
    take(empty, postgresqls)
    status, said = ended(program)
    assert status == DIVERGED
    assert said == [f"error: postgresql://{where}: another centre has written since; this one must start anew"]


def take(place: Server, postgresqls: Postgresqls) -> None:
    """What another centre leaves that had the database for a while, between two connections of the one that works there."""
    with psycopg.connect(host=place.host, port=place.port, user=place.user, dbname=place.name) as other:
        other.execute("UPDATE centre_tenure SET term = term + 1")
    postgresqls.cut(place)


def test_a_certificate_that_cannot_be_used_is_said_by_the_part_that_met_it(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("no certificate\n")
    more = f"api: {{port: {free_port()}, certificate_file: cert.pem, certificate_key_file: key.pem}}"
    status, said = ended(centre(tmp_path, more))
    assert (status, len(said)) == (FAILED, 1)
    assert f"the certificate {tmp_path / 'cert.pem'} cannot be used" in said[0]


def test_a_centre_that_never_could_run_ends_with_every_problem_and_a_status_of_its_own(tmp_path: Path) -> None:
    status, said = ended(centre(tmp_path, "retention: {raw_days: 0}\nstore: nothing"))
    assert status == BAD_CONFIGURATION
    assert said


def test_a_gateway_that_never_could_run_ends_with_every_problem_and_a_status_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("gateway: {id: X}\n")
    status, said = ended(linli("edge", "run", "--config", str(tmp_path / "gateway.yaml")))
    assert status == BAD_CONFIGURATION
    assert said


def test_a_centre_that_is_told_to_stop_ends_well_and_says_nothing_but_its_log(tmp_path: Path) -> None:
    program = centre(tmp_path, f"api: {{port: {free_port()}}}")
    until_it_runs(program)
    program.terminate()
    _, said = program.communicate(timeout=END_S)
    assert program.returncode == 0
    assert [line for line in said.splitlines() if not line.startswith("timestamp=")] == []
