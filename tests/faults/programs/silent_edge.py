"""A gateway that gives up readings without a certificate; it looks for room on its disk as often as ``hasty_edge``."""

from collections.abc import Sequence

from edge.outbox import Outbox, budget, thin, tombstones
from edge.outbox.file import BatchRow
from edge.outbox.loss import Lost
from tests.faults.programs import own_words
from tests.faults.programs.hasty_edge import SECOND_US


def _break() -> None:
    tombstone = tombstones.tombstone

    def say_nothing(batch: BatchRow, gateway: str, _losses: Sequence[Lost]) -> BatchRow:
        return tombstone(batch, gateway, [])

    tombstones.tombstone = say_nothing
    Outbox._certify_thinned = lambda outbox, now, force: False  # type: ignore[method-assign]


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    budget.LOOK_AFTER_US = thin.MINUTE_US = SECOND_US
    _break()
    main()
