"""A centre that acknowledges what it has only received: before telemetry store and alerts are durable."""

from ingest.arrival import Arrival
from ingest.sequencer import Verdict
from ingest.sink import Sink
from tests.faults.programs import own_words


def _break() -> None:
    push = Sink.push

    def push_and_confirm(sink: Sink, arrival: Arrival) -> Verdict:
        verdict = push(sink, arrival)
        if verdict is Verdict.NEW:
            sink.durable[arrival.stream] = max(sink.durable.get(arrival.stream, 0), arrival.seq)
            sink._confirmed([arrival.stream])
        return verdict

    Sink.push = push_and_confirm  # type: ignore[method-assign]


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    _break()
    main()
