"""``linli rules``: rules are listed, checked and tried without a centre."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner, Result

from ingest.alerts.schema import schema
from linli.commands.rules import rules
from linli.paths import config_dir
from telemetry.document import parse
from telemetry.errors import ConfigInvalid

SHIPPED = config_dir() / "rules"
SCHEMA = SHIPPED / "rules.schema.json"
TABLES = Path(__file__).parents[2] / "rules"


def linli(*words: str | Path) -> Result:
    return CliRunner().invoke(rules, [str(word) for word in words])


def test_the_rules_that_ship_are_good_and_listed_with_their_kinds() -> None:
    assert "good" in linli("check").stdout
    listed = {row["id"]: row for row in json.loads(linli("list", "--json").stdout)}
    assert listed["sump_high"]["kind"] == "sump_high" and listed["sump_high"]["type"] in ("threshold", "any")
    assert all(row["kind"] for row in listed.values())
    assert "sump_high" in linli("list").stdout


def test_check_says_every_problem_of_every_file(tmp_path: Path) -> None:
    good = (SHIPPED / "camera.yaml").read_text()
    (tmp_path / "one.yaml").write_text(good.replace("label:", "lable:", 1))
    (tmp_path / "two.yaml").write_text("rules: [{id: x}]")
    error = linli("check", tmp_path).exception
    assert isinstance(error, ConfigInvalid)
    assert "no metric 'lable' (did you mean 'label'?)" in str(error) and "two.yaml: rules[0].kind: is missing" in str(error)


def test_tables_are_tried_and_one_that_fails_is_said(tmp_path: Path) -> None:
    table = TABLES / "threshold.yaml"
    assert linli("test", table, "--variant", "plain").stdout.startswith("6 of 6 runs hold")
    wrong = tmp_path / "threshold.yaml"
    wrong.write_text(
        table.read_text().replace("../short_rules", str(TABLES.parent / "short_rules")).replace("13, cleared: 40", "14")
    )
    failed = linli("test", wrong, "--variant", "one take")
    assert failed.exit_code == 1
    assert "(one take): did not come: sump_high at sump opened 14" in failed.stdout
    assert "5 of 6 runs hold" in failed.stdout
    unknown = linli("test", table, "--variant", "backwards").exception
    assert isinstance(unknown, ConfigInvalid) and "no variant backwards" in str(unknown)


def test_the_schema_is_fresh() -> None:
    """``linli rules schema > config/rules/rules.schema.json`` makes it so."""
    assert json.loads(SCHEMA.read_bytes()) == json.loads(json.dumps(schema())) == json.loads(linli("schema").stdout)


@pytest.mark.parametrize(
    "file", [*SHIPPED.glob("*.yaml"), *(config_dir() / "demo" / "rules").glob("*.yaml")], ids=lambda file: file.stem
)
def test_every_shipped_file_keeps_to_the_schema(file: Path) -> None:
    as_json = json.loads(msgspec.json.encode(parse(file.read_text(), str(file))))
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(as_json)
