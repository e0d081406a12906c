"""VictoriaMetrics cannot overwrite an instant: a window that is computed again stands after the one before."""

import json

from ingest.store.protocol import Query
from ingest.store.summary import Level, Summary
from ingest.store.victoria import overwriting, selector, summaries
from telemetry.identity import Scope
from telemetry.metric import Kind

FIVE = Level.FIVE_MINUTES
START = FIVE.start(1_790_000_000_000_000)
PLACE = ("411202002001", "gw-jianye-1", "yard", Kind.ENVIRONMENT)
WARM = Summary(*PLACE, "temperature", START, 3, 1.0, 9.0, 4.5, 2.0)
WET = Summary(*PLACE, "rain", START, 1, 0.5, 0.5, 0.5, 0.5)


def exported(summary: Summary, at: int) -> list[str]:
    """As ``/api/v1/export`` says a summary that was written at ``at``: one line for each series, milliseconds."""
    labels = {"community": summary.community, "gateway": summary.gateway, "device": summary.device, "db": "linli"}
    names = ("samples", "min", "max", "mean", "last")
    return [
        json.dumps(
            {
                "metric": {"__name__": f"{summary.kind}_5m_{summary.metric}_{name}", **labels},
                "values": [value],
                "timestamps": [at // 1000],
            }
        )
        for name, value in zip(names, summary[6:], strict=True)
    ]


def test_what_is_not_there_is_written_at_the_start_of_its_window() -> None:
    assert overwriting([], [WARM, WET], FIVE) == [WARM, WET]


def test_what_says_the_same_is_not_written_again() -> None:
    lines = exported(WARM._replace(mean=4.5 * (1 + 1e-14)), START) + exported(WET, START)
    assert overwriting(lines, [WARM, WET], FIVE) == []


def test_what_changed_is_written_a_millisecond_later_with_all_of_its_device_and_holds_then() -> None:
    late = WARM._replace(samples=4, minimum=-9.0)
    before = exported(WARM, START) + exported(WET, START)
    assert overwriting(before, [late, WET], FIVE) == [late._replace(at=START + 1_000), WET._replace(at=START + 1_000)]
    after = before + exported(late, START + 1_000) + exported(WET, START + 1_000)
    assert sorted(summaries(after, Query(("41",)), FIVE)) == [WET, late]
    assert overwriting(after, [late._replace(last=7.0)], FIVE) == [late._replace(last=7.0, at=START + 2_000)]


def test_windows_and_devices_are_apart() -> None:
    there = exported(WARM, START)
    others = [WARM._replace(at=START + FIVE.width_us), WARM._replace(device="cellar"), WARM._replace(gateway="gw-2")]
    assert overwriting(there, others, FIVE) == others


def test_readings_are_asked_for_without_their_summaries_and_each_level_alone() -> None:
    query = Query(("41",), kind=Kind.ENVIRONMENT, metric="rain")
    raw, five = (selector(Scope(("41",)), query, "linli", level)["match[]"] for level in (Level.RAW, FIVE))
    assert '__name__=~"environment_(rain|quality)"' in raw
    assert '__name__!~"[a-z]+_(5m|1h)_.*"' in raw
    assert '__name__=~"environment_5m_rain_(samples|min|max|mean|last)"' in five
