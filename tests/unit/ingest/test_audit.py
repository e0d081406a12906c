"""What is missing has one cause, or none; a witness explains no more than it can."""

from collections.abc import Iterable

import pytest
from alerts_world import COMMUNITY, GATEWAY, REF
from hypothesis import given
from hypothesis import strategies as st

from ingest.audit import Audit, Cause, Evidence, compare, count_only
from ingest.gaps import GapRow
from ingest.sequencer import ROLLED_BACK, UNKNOWN, Gap
from ingest.store import HOUR_US, Hour
from ingest.tally import Certificate, Taken
from telemetry.batch import MAX_READINGS
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros

T = 497_222 * HOUR_US
HOUR = Hour(COMMUNITY, GATEWAY, T)
STREAM = Stream(COMMUNITY, GATEWAY, "0" * 16, "bulk")


def evidence(taken: Taken, stored: int, **more: object) -> Evidence:
    return Evidence(**{"before": {HOUR: taken}, "stored": {HOUR: stored}, "after": {HOUR: taken}, **more})


def causes(audit: Audit) -> dict[Cause, int | None]:
    assert len({one.cause for one in audit.findings}) == len(audit.findings)
    return {one.cause: one.readings for one in audit.findings}


def gap(first: int, last: int, sink: str = "points", reason: str = UNKNOWN, stream: Stream = STREAM) -> GapRow:
    return GapRow(sink, Gap(stream, first, last, reason), Micros(T + 5))


def test_equal_counts_prove_that_nothing_is_missing() -> None:
    audit = compare(evidence(Taken(12), 12))
    assert (audit.accepted, audit.stored, audit.missing, audit.proved, audit.findings) == (12, 12, 0, True, ())


def test_what_nobody_explains_is_unexplained() -> None:
    audit = compare(evidence(Taken(12), 9))
    assert (audit.accepted, audit.stored, audit.missing, audit.unexplained, audit.proved) == (12, 9, 3, 3, False)
    (finding,) = audit.findings
    assert finding[:5] == (REF, T, T + HOUR_US, 3, Cause.UNEXPLAINED)


def test_an_hour_that_the_store_does_not_know_at_all_is_missing_whole() -> None:
    assert causes(compare(Evidence({HOUR: Taken(4)}, {}, {HOUR: Taken(4)}))) == {Cause.UNEXPLAINED: 4}


@pytest.mark.parametrize(
    ("stored", "accepted", "expected"),
    [
        (9, 10, {Cause.UNEXPLAINED: 1}),
        (10, 10, {}),
        (11, 11, {}),
        (12, 12, {}),
        (13, 12, {Cause.SURPLUS: 1}),
    ],
)
def test_while_readings_come_in_any_number_between_the_two_tallies_is_right(
    stored: int, accepted: int, expected: dict[Cause, int]
) -> None:
    audit = compare(Evidence({HOUR: Taken(10)}, {HOUR: stored}, {HOUR: Taken(12)}))
    assert (audit.accepted, causes(audit)) == (accepted, expected)


def test_what_was_set_aside_is_missing_with_its_cause() -> None:
    audit = compare(evidence(Taken(10, 2), 10))
    assert (audit.accepted, audit.missing, audit.proved, causes(audit)) == (12, 2, True, {Cause.DEAD_LETTER: 2})


def test_what_was_set_aside_and_could_be_read_since_is_missing_no_more() -> None:
    audit = compare(evidence(Taken(10, 2), 11))
    assert (audit.accepted, audit.missing, causes(audit)) == (12, 1, {Cause.DEAD_LETTER: 1})


def test_what_the_store_refused_explains_so_many_readings_and_no_more() -> None:
    assert causes(compare(evidence(Taken(10), 7, refused={HOUR: 2}))) == {Cause.DEAD_LETTER: 2, Cause.UNEXPLAINED: 1}
    assert causes(compare(evidence(Taken(10), 9, refused={HOUR: 2}))) == {Cause.DEAD_LETTER: 1}


def test_a_store_that_is_behind_explains_its_own_gateways_alone() -> None:
    other = GatewayRef(COMMUNITY, "gw-other")
    assert causes(compare(evidence(Taken(10), 7, behind=frozenset([REF])))) == {Cause.PENDING: 3}
    assert causes(compare(evidence(Taken(10), 7, behind=frozenset([other])))) == {Cause.UNEXPLAINED: 3}


@pytest.mark.parametrize(("kept_from", "cause"), [(T + 1, Cause.RETENTION), (T, Cause.UNEXPLAINED)])
def test_what_is_older_than_the_store_keeps_is_not_lost(kept_from: int, cause: Cause) -> None:
    assert causes(compare(evidence(Taken(10), 0, kept_from=kept_from))) == {cause: 10}


def test_a_gap_of_the_telemetry_store_alone_explains_what_its_batches_can_hold() -> None:
    short = Taken(MAX_READINGS + 5)
    assert causes(compare(evidence(short, 0, gaps=[gap(3, 3)]))) == {Cause.GAP: MAX_READINGS, Cause.UNEXPLAINED: 5}
    assert causes(compare(evidence(short, 0, gaps=[gap(3, 4)]))) == {Cause.GAP: MAX_READINGS + 5}
    elsewhere = gap(3, 4, stream=STREAM._replace(gateway="gw-other"))
    assert causes(compare(evidence(short, 0, gaps=[elsewhere]))) == {Cause.UNEXPLAINED: MAX_READINGS + 5}
    behind_the_watermark = gap(3, 4, reason=ROLLED_BACK)
    assert causes(compare(evidence(short, 0, gaps=[behind_the_watermark]))) == {Cause.UNEXPLAINED: MAX_READINGS + 5}


def test_a_gap_is_used_up_over_the_hours() -> None:
    later = HOUR._replace(at=T + HOUR_US)
    taken = {HOUR: Taken(MAX_READINGS - 1), later: Taken(3)}
    found = compare(Evidence(taken, {}, taken, gaps=[gap(3, 3)])).findings
    assert [(one.first, one.cause, one.readings) for one in found] == [
        (T, Cause.GAP, MAX_READINGS - 1),
        (T + HOUR_US, Cause.GAP, 1),
        (T + HOUR_US, Cause.UNEXPLAINED, 2),
    ]


def test_batches_that_neither_side_holds_are_named_and_explain_no_missing_reading() -> None:
    both = [gap(3, 9), gap(5, 20, sink="alerts")]
    audit = compare(evidence(Taken(0), 0, gaps=both))
    (finding,) = audit.findings
    assert (finding.cause, finding.readings) == (Cause.GAP, None)
    assert "batches 5 to 9" in finding.reason
    assert audit.missing == 0
    at_one = compare(evidence(Taken(0), 0, gaps=[gap(3, 5), gap(5, 9, sink="alerts")]))
    assert [one.reason.partition(" of ")[0] for one in at_one.findings] == ["batches 5 to 5"]
    only_both = [gap(5, 9), gap(5, 9, sink="alerts")]
    found = compare(evidence(Taken(7), 0, gaps=only_both)).findings
    assert [one.readings for one in found if one.cause is Cause.UNEXPLAINED] == [7]


def test_a_surplus_is_told_and_is_no_loss() -> None:
    audit = compare(evidence(Taken(10), 12))
    assert (audit.accepted, audit.missing, audit.proved, causes(audit)) == (10, 0, True, {Cause.SURPLUS: 2})
    assert "not in the tally" in audit.findings[0].reason
    lost = compare(evidence(Taken(10), 12, gaps=[gap(1, 1, sink="alerts")]))
    assert "the tally lost" in lost.findings[0].reason


def test_a_certificate_is_a_loss_with_its_device_and_reason() -> None:
    certificate = Certificate(REF, T + 9, "b3-meter", T - 5, T + 5, 40, "outbox full")
    audit = compare(evidence(Taken(10), 10, certificates=[certificate]))
    assert (audit.accepted, audit.stored, audit.missing, audit.proved) == (50, 10, 40, True)
    (finding,) = audit.findings
    assert finding == (REF, T - 5, T + 6, 40, Cause.CERTIFICATE, "b3-meter", "outbox full")


def test_where_the_store_cannot_be_counted_nothing_is_proved() -> None:
    audit = count_only(evidence(Taken(10, 1), 0, certificates=[Certificate(REF, T, "b3-meter", T, T, 4, "full")]))
    assert (audit.accepted, audit.stored, audit.proved) == (15, None, False)
    assert causes(audit) == {Cause.DEAD_LETTER: 1, Cause.CERTIFICATE: 4}


counts = st.integers(0, 50)


@given(counts, counts, counts, counts, counts, st.booleans(), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3))))
def test_accepted_is_stored_and_missing_without_what_is_too_much(
    least: int, more: int, aside: int, stored: int, refused: int, behind: bool, gaps: Iterable[tuple[int, int]]
) -> None:
    found = compare(
        Evidence(
            {HOUR: Taken(least, aside)},
            {HOUR: stored},
            {HOUR: Taken(least + more, aside)},
            refused={HOUR: refused},
            gaps=[gap(first, first + length) for first, length in gaps],
            behind=frozenset([REF] if behind else []),
        )
    )
    surplus = sum(one.readings or 0 for one in found.findings if one.cause is Cause.SURPLUS)
    assert found.accepted == stored + found.missing - surplus
    assert all(one.readings is None or one.readings > 0 for one in found.findings)
    assert surplus == 0 or found.unexplained == 0
