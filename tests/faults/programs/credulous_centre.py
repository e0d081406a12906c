"""A centre without watermarks: whatever comes, and however often, is new to its telemetry store."""

from collections.abc import Iterable, Mapping

from ingest import sequencer
from ingest.arrival import Arrival
from ingest.sequencer import Sequencer, Verdict
from ingest.store import embedded
from ingest.store.watermark import Fresh
from telemetry.identity import Stream
from tests.faults.programs import own_words


def _break() -> None:
    def everything_is_new(_: Sequencer, arrival: Arrival) -> tuple[sequencer.Verdict, list[Arrival]]:
        return Verdict.NEW, [arrival]

    def take_all(arrivals: Iterable[Arrival], marks: Mapping[Stream, int]) -> Fresh:
        taken = tuple(arrivals)
        moved: dict[Stream, int] = {}
        for one in taken:
            moved[one.stream] = max(one.seq, moved.get(one.stream, marks.get(one.stream, 0)))
        return Fresh(taken, moved)

    Sequencer.push = everything_is_new  # type: ignore[method-assign]
    embedded.fresh = take_all  # type: ignore[attr-defined]


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    _break()
    main()
