"""The wheel, installed as a gateway and as a centre install it: all is inside, and a gateway carries nothing of the centre."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CENTRE_ONLY = ("numpy", "fastapi", "sqlalchemy", "duckdb", "iotcore", "influxdb_client")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False, cwd=cwd)
    assert result.returncode == 0, f"{command}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    (built,) = folder.glob("linli-*.whl")
    return built


@pytest.mark.slow
def test_a_gateway_installs_the_edge_alone_and_a_centre_the_rest(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python, linli = tmp_path / "env" / "bin" / "python", tmp_path / "env" / "bin" / "linli"
    install = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")

    run(*install, f"{wheel}[edge]")
    assert "邻里" in run(linli, "--help", cwd=tmp_path)
    assert "eastron-sdm630" in run(linli, "profile", "list", cwd=tmp_path)
    run(
        linli,
        "gateway",
        "init",
        "--community",
        "411202002001",
        "--id",
        "gw-b3",
        "--broker",
        "mqtt://127.0.0.1:1883",
        cwd=tmp_path,
    )
    run(linli, "edge", "check", "--config", tmp_path / "gateway.yaml", cwd=tmp_path)
    found = run(python, "-c", f"import importlib.util as u; print([n for n in {CENTRE_ONLY!r} if u.find_spec(n)])", cwd=tmp_path)
    assert found.strip() == "[]"

    run(*install, f"{wheel}[all]")
    run(linli, "up", "--check", "--data", tmp_path / "data", cwd=tmp_path)
    made = "from pathlib import Path; from ingest.database import Database; Database(Path('centre.db')).close()"
    run(python, "-c", made, cwd=tmp_path)  # the revisions of its layout are inside
    assert "site-packages" in run(python, "-c", "from linli.paths import config_dir; print(config_dir())", cwd=tmp_path)
