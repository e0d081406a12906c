"""What judging and asking cost: `make bench NAME=alerts`; single works: `python -m bench.alerts engine`."""

import sys
from pathlib import Path

import msgspec
import sqlalchemy

from bench.alerts import engine, live, stored
from bench.report import Work, run

WORKS: dict[str, Work] = {
    "engine": engine.rows,
    "stored": stored.rows,
    "live": live.rows,
}


if __name__ == "__main__":
    versions = {"msgspec": msgspec.__version__, "sqlalchemy": sqlalchemy.__version__}
    sys.exit(run(WORKS, sys.argv[1:], Path(__file__).with_name("results.json"), versions))
