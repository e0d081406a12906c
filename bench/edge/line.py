"""A serial line at the speed of its wire, on a pseudo-terminal: `python -m bench.edge.line LINK UNITS BAUD`.

A pseudo-terminal carries bytes at once; this end therefore waits for as long as request, gap and answer would take on a
real line (10 bits a character, 3.5 characters of silence) before it writes the answer.
"""

import os
import sys
import time
import tty
from pathlib import Path

from bench.edge.slave import Meter
from simulators.slave import RtuLine

BITS = 10
GAP = 3.5


def frame_time_s(characters: float, baud: int) -> float:
    return characters * BITS / baud


def limit_s(registers: int, baud: int) -> float:
    """One poll at best: the request of 8 characters, the answer, and a gap after each."""
    return frame_time_s(8 + 5 + 2 * registers + 2 * GAP, baud)


def main(link: Path, units: int, baud: int) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    tty.setraw(ours)
    link.symlink_to(os.ttyname(theirs))
    line = RtuLine({unit: Meter() for unit in range(1, units + 1)})
    while True:
        chunk = os.read(ours, 512)
        came = time.monotonic()
        for answer in line.receive(chunk):
            due = came + frame_time_s(len(chunk) + GAP + len(answer), baud)
            time.sleep(max(0.0, due - time.monotonic()))
            os.write(ours, answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
