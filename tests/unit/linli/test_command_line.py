import subprocess
import sys
from pathlib import Path

import pytest

from linli.demo import Options
from linli.report import BAD_CONFIGURATION, DIVERGED, FAILED, failure, failures
from linli.together import check_all
from telemetry.errors import ConfigInvalid, StoreDiverged, StoreUnavailable


def test_a_verb_of_an_extra_that_is_not_installed_says_what_to_install() -> None:
    without = "import sys; sys.modules['httpx'] = None; sys.argv = ['linli', 'up', '--check']; from linli.cli import main; main()"
    refused = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "error: httpx is not installed (pip install 'linli[edge]', 'linli[ingest]' or 'linli[all]')"
    ]


def test_a_broker_that_up_cannot_use_is_refused_by_the_option_that_named_it(tmp_path: Path) -> None:
    options = Options(tmp_path / "data", 8080, "mqtt://192.0.2.1", "duckdb", None, True)
    with pytest.raises(ConfigInvalid) as refused:
        check_all(options)
    assert [problem.file for problem in refused.value.problems] == ["--broker"]
    assert not (tmp_path / "data").exists()


def test_what_ended_the_parts_of_a_program_is_said_once_and_the_gravest_cure_counts(capsys: pytest.CaptureFixture[str]) -> None:
    ended = ExceptionGroup(
        "parts", [StoreDiverged("start anew"), ExceptionGroup("api", [StoreDiverged("start anew"), StoreUnavailable("away")])]
    )
    assert failure(*failures(ended)) == DIVERGED
    assert capsys.readouterr().err.splitlines() == ["error: start anew", "error: away"]
    assert failure(StoreUnavailable("away"), ConfigInvalid([])) == BAD_CONFIGURATION
    assert failure(StoreUnavailable("away")) == FAILED


def test_a_mistake_of_the_program_is_not_hidden_by_an_error_beside_it() -> None:
    broken = "raise ExceptionGroup('parts', [cli.LinliError('away'), ZeroDivisionError('ours')])"
    script = f"from linli import cli\ndef parts(): {broken}\ncli.command_line = parts\ncli.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: away\n")
    assert "ZeroDivisionError: ours" in ended.stderr
