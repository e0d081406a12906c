"""What every benchmark prints and keeps: one row a figure, with the bar it is held to."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def publish(rows: Sequence[Row], file: Path, versions: Mapping[str, str]) -> int:
    """Prints the table and writes ``file``; the exit status, 1 when a bar was missed."""
    for row in rows:
        bar = "" if row.bar is None else f"{'>=' if row.at_least else '<='} {row.bar:,g} {'met' if row.met else 'MISSED'}"
        print(f"{row.name:56} {row.value:>12,.1f} {row.unit:12} {bar}")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "system": platform.system()}
    results = {
        "machine": machine,
        "versions": {"python": platform.python_version(), **versions},
        "rows": [{**row._asdict(), "met": row.met} for row in rows],
    }
    file.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(row.met is not False for row in rows) else 1
