"""Linli's own programs, each with one thing broken: what dies at a chosen point, and what proves that the oracle sees loss.

Run in place of ``python -m linli``: ``python -m tests.faults.programs.NAME [words of its own] -- edge run ...``.
"""

import sys


def own_words() -> list[str]:
    """What stands before ``--``; the rest stays for the command line."""
    words = sys.argv[1 : sys.argv.index("--")]
    sys.argv[1:] = sys.argv[sys.argv.index("--") + 1 :]
    return words
