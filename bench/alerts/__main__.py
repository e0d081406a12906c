"""What judging and asking cost: `make bench NAME=alerts`; single works: `python -m bench.alerts engine`."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import sqlalchemy

from bench.alerts import engine, live, stored
from bench.report import Row, publish

WORKS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "engine": engine.rows,
    "stored": stored.rows,
    "live": live.rows,
}


def main(wanted: list[str]) -> int:
    rows: list[Row] = []
    for name in wanted or WORKS:
        with tempfile.TemporaryDirectory() as folder:
            for row in WORKS[name](Path(folder)):
                rows.append(row)
                print(f"{row.name}: {row.value:,.1f} {row.unit}", file=sys.stderr, flush=True)
    results = Path(__file__).with_name("results.json") if not wanted else Path(tempfile.gettempdir()) / "alerts.json"
    return publish(rows, results, {"msgspec": msgspec.__version__, "sqlalchemy": sqlalchemy.__version__})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
