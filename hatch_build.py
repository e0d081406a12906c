"""Puts compiled modules into a wheel that is asked for with them (``make compiled``); see ``scripts/compile_judging.py``."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledJudging(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            raise SystemExit("a source tree is run as it is: modules are compiled for wheels alone")
        self._scratch = tempfile.TemporaryDirectory(prefix="linli-compiled-")  # goes with the build
        folder = Path(self._scratch.name)
        script = Path(self.root) / "scripts" / "compile_judging.py"
        command = (sys.executable, str(script), str(folder))
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
        build_data["force_include"] |= {str(folder / path): path for path in done.stdout.split()}
        build_data["pure_python"], build_data["infer_tag"] = False, True
