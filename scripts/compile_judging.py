"""A copy of the centre's packages in which the modules that judge readings are compiled (docs/decisions/0016).

    python scripts/compile_judging.py FOLDER

1. The sources are the same, and nothing is compiled where they are: a stale module in a source tree would be run in their place.
2. FOLDER is new and stands apart from the tree. Run from it, ``ingest`` is the compiled one.

Needs mypy, setuptools, a C compiler and Python's headers, and the packages that the centre imports, for their types.
"""

import os
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("telemetry", "ingest")
MODULES = (
    "absence",
    "anomaly",
    "calm",
    "calm_tests",
    "change",
    "condition",
    "entry",
    "flatline",
    "fold",
    "forecast",
    "hold",
    "in_place",
    "joined",
    "judge",
    "late",
    "level",
    "mean",
    "occurrence",
    "outcome",
    "seat",
    "sequence",
    "silences",
    "staged",
    "watch",
    "window_folds",
)
"""Of ``ingest.alerts``: what readings pass through, with most machines. Compiled together, they call each other directly."""


def compiled(folder: Path) -> list[Path]:
    """The compiled modules, by their paths in ``folder``."""
    if folder.resolve().is_relative_to(ROOT):
        raise SystemExit(f"{folder} is in the source tree; name a folder that is not")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    os.chdir(folder)
    with redirect_stdout(sys.stderr):
        _build()
    return sorted(path.relative_to(folder) for path in folder.rglob("*.so") if "build" not in path.relative_to(folder).parts)


def _build() -> None:
    from mypyc.build import mypycify
    from setuptools import setup

    sources = [f"ingest/alerts/{module}.py" for module in MODULES]
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    extensions = mypycify([*options, *sources], opt_level="3", debug_level="0", group_name="linli_judging")
    setup(name="linli-judging", packages=[], ext_modules=extensions, script_args=["-q", "build_ext", "--inplace"])


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in compiled(Path(sys.argv[1])))
