import subprocess
import sys


def test_a_verb_of_an_extra_that_is_not_installed_says_what_to_install() -> None:
    without = "import sys; sys.modules['httpx'] = None; sys.argv = ['linli', 'up', '--check']; from linli.cli import main; main()"
    refused = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "error: httpx is not installed (pip install 'linli[edge]', 'linli[ingest]' or 'linli[all]')"
    ]
