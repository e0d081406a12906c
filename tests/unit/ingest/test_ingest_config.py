"""The centre's configuration: everything that a start would need is looked at before it, and all that is wrong is said."""

from pathlib import Path

import pytest

from ingest.service import check
from telemetry.errors import ConfigInvalid

CENTRE = """
broker: {url: "mqtt://127.0.0.1"}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules]
"""


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "none.yaml").write_text("rules: []\n")
    return tmp_path / "centre.yaml"


def refused(centre: Path, text: str) -> list[str]:
    centre.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        check(centre)
    return [f"{Path(problem.file).name}: {problem.path}: {problem.reason}" for problem in caught.value.problems]


def test_a_sound_centre_is_taken(centre: Path) -> None:
    centre.write_text(CENTRE)
    assert check(centre).centre.rules == ("rules",)


@pytest.mark.parametrize("store", ["postgres:x", "influx:http://u:p@localhost/db", "influx:ftp://localhost/db", ""])
def test_a_store_that_is_none_is_refused_before_anything_is_opened(centre: Path, store: str) -> None:
    (problem,) = refused(centre, CENTRE + f"store: '{store}'\n")
    assert problem.startswith("configuration: store: ")


def test_a_password_that_others_can_read_and_certificates_that_are_not_there_are_said_before_the_start(centre: Path) -> None:
    (centre.parent / "pw").write_text("secret")
    (centre.parent / "pw").chmod(0o644)
    broker = '{url: "mqtts://broker", user: centre, password_file: pw, ca_file: ca.pem}'
    text = CENTRE.replace('{url: "mqtt://127.0.0.1"}', broker) + "api: {certificate_file: c.pem, certificate_key_file: k.pem}\n"
    assert refused(centre, text) == [
        "pw: : the broker's secret can be read by others (mode 0644)",
        "ca.pem: : cannot be read: No such file or directory",
        "c.pem: : cannot be read: No such file or directory",
        "k.pem: : cannot be read: No such file or directory",
    ]


@pytest.mark.parametrize("name", ["x" * 300, "no/such/folder"])
def test_rules_that_cannot_be_there_are_said(centre: Path, name: str) -> None:
    (problem,) = refused(centre, CENTRE.replace("[rules]", f"[{name}]"))
    assert problem.startswith("centre.yaml: rules[0]: no file or folder")


def test_history_kept_for_no_time_is_refused_with_the_word_for_all(centre: Path) -> None:
    (problem,) = refused(centre, CENTRE + "retention: {raw_days: 0}\n")
    assert problem == "centre.yaml: retention.raw_days: 0 would delete everything"


def test_what_is_kept_forever_is_said_by_that_word_alone(centre: Path) -> None:
    centre.write_text(CENTRE + "retention: {raw_days: forever, five_minute_days: forever}\n")
    assert check(centre).centre.retention.raw_days == "forever"
    for days in ("null", "never", "1.5", "-1"):
        (problem,) = refused(centre, CENTRE + f"retention: {{raw_days: {days}}}\n")
        assert "retention.raw_days" in problem
