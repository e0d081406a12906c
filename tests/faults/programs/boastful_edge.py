"""A gateway that calls a reading accepted when it has it in memory, before the commit."""

import os
from asyncio import Future
from collections.abc import Sequence
from typing import Any

from edge.accept import Accept
from edge.clock import Stamp
from telemetry.batch import Lane
from telemetry.reading import Reading
from tests.faults.programs import own_words


def _break() -> None:
    begin, put = Accept.__init__, Accept.put
    reports: list[int] = []

    def begin_in_silence(accept: Accept, *arguments: Any, report: int | None = None, **more: Any) -> None:
        begin(accept, *arguments, **more)
        reports.extend([] if report is None else [report])

    def report_and_put(accept: Accept, readings: Sequence[Reading], lane: Lane, stamp: Stamp | None = None) -> Future[None]:
        if stamp is None or stamp.known:  # else their instants may change
            for report in reports:
                os.write(report, "".join(f"{reading.device} {reading.at}\n" for reading in readings).encode())
        return put(accept, readings, lane, stamp)

    Accept.__init__ = begin_in_silence  # type: ignore[method-assign]
    Accept.put = report_and_put  # type: ignore[method-assign]


if __name__ == "__main__":
    from linli.cli import main

    own_words()
    _break()
    main()
