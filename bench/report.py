"""What every benchmark prints and keeps: one row a figure, with the bar it is held to."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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


Work = Callable[[Path], Iterator[Row]]
"""Measures in a folder of its own, which is gone afterwards."""


def run(works: Mapping[str, Work], wanted: Sequence[str], file: Path, versions: Mapping[str, str]) -> int:
    """Measures what is ``wanted``, or everything; as ``publish``. Only everything is written into ``file``.

    Folders stand in the working folder: a bench of a card's writes must not measure a file system in memory.
    """
    if unknown := set(wanted) - set(works):
        print(f"no such work: {', '.join(sorted(unknown))}; there are {', '.join(works)}")
        return 2
    rows: list[Row] = []
    for name in wanted or works:
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
            for row in works[name](Path(folder)):
                rows.append(row)
                print(f"{row.name}: {row.value:,.1f} {row.unit}", file=sys.stderr, flush=True)
    return publish(rows, Path(os.devnull) if wanted else file, versions)


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
