import subprocess
import sys
from pathlib import Path

import pytest

from linli.demo import Options
from linli.together import check_all
from telemetry.errors import ConfigInvalid


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
