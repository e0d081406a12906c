"""How soon a thread of a program gets its turn while another computes.

Python lets a thread compute for 5 ms while others wait. An event crosses several threads on its way (SQLite lets go after each
step and waits for its turn again), and each of them waited for whole turns of the decoding of measurements. Much shorter turns
than these cost more than they give: each exchange is paid by who computes.
"""

import sys

SWITCH_S = 0.002


def take_short_turns() -> None:
    """For the whole program, from now on."""
    sys.setswitchinterval(SWITCH_S)
