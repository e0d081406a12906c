"""A gateway that looks every second, not every minute, whether its disk has room again, and certifies as often."""

from edge.outbox import budget, thin
from tests.faults.programs import own_words

SECOND_US = 1_000_000

if __name__ == "__main__":
    from linli.cli import main

    own_words()
    budget.LOOK_AFTER_US = thin.MINUTE_US = SECOND_US
    main()
