"""The modules that judge readings, compiled for one machine: what holds for their sources holds for them."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "compile_judging.py"
JUDGING = ("absence", "calm", "calm_tests", "engine", "fold", "groups", "late", "machines", "mean")
CAN_COMPILE = shutil.which("cc") is not None and (Path(sysconfig.get_paths()["include"]) / "Python.h").exists()


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, check=False, cwd=cwd)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.mark.slow
@pytest.mark.skipif(not CAN_COMPILE, reason="there is no C compiler, or Python's headers are not installed")
def test_what_holds_for_the_sources_holds_for_the_compiled_modules(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    built = run(sys.executable, SCRIPT, tree, cwd=tmp_path).split()
    assert not list((ROOT / "ingest").rglob("*.so"))

    for name in ("tests", "config"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    used = run(sys.executable, "-c", "from ingest.alerts import judge, seat; print(judge.__file__, seat.__file__)", cwd=tree)
    assert len(built) > 2 and {Path(path).name for path in used.split()} <= {Path(path).name for path in built}
    tests = [f"tests/unit/ingest/test_alerts_{name}.py" for name in JUDGING]
    run(sys.executable, "-m", "pytest", "--hypothesis-seed=0", *tests, cwd=tree)  # chance is for the tests of the sources


def test_nothing_is_compiled_in_a_source_tree() -> None:
    inside = ROOT / "build" / "compiled"
    result = subprocess.run([sys.executable, str(SCRIPT), str(inside)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode != 0 and "in the source tree" in result.stderr
    assert not inside.exists()
