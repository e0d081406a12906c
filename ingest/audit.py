"""What is missing between the centre's own count and what the telemetry store holds, and why. Pure.

1. A reading is missing when the centre took it, or a certificate says that it was lost, and the store does not hold it.
2. Each missing reading has one cause; what no witness explains is UNEXPLAINED, and a witness explains no more than it can.
3. Readings come in while an audit counts: the tally is read before the store is counted and after it, and any number in
   between is right.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ingest.gaps import GapRow
from ingest.sequencer import Gap
from ingest.store import HOUR_US, Hour
from ingest.tally import Certificate, Taken
from telemetry.batch import MAX_READINGS
from telemetry.identity import GatewayRef

POINTS, ALERTS = "points", "alerts"


class Cause(StrEnum):
    """``certificate``: the gateway gave it up and said so. ``dead_letter``: it cannot be read, its batch says it twice, or the
    store refuses it; it is kept aside. ``gap``: its batch is here no more, nor at the gateway. ``pending``: on its way into
    the store. ``retention``: dropped by age. ``surplus``: the store holds more than was counted, which is no loss."""

    CERTIFICATE = "certificate"
    DEAD_LETTER = "dead_letter"
    GAP = "gap"
    PENDING = "pending"
    RETENTION = "retention"
    SURPLUS = "surplus"
    UNEXPLAINED = "unexplained"


class Finding(NamedTuple):
    """``readings`` of a gateway in [first, end), UTC microseconds, are missing; ``None`` when nobody knows how many."""

    ref: GatewayRef
    first: int
    end: int
    readings: int | None
    cause: Cause
    device: str = ""
    reason: str = ""


class Pending(NamedTuple):
    """So many batches the gateway held at ``said_at`` that are not durable here."""

    ref: GatewayRef
    batches: int
    said_at: int


@dataclass(frozen=True)
class Evidence:
    """Who says what. ``before`` and ``after`` are the tally, read before ``stored`` was counted and after; ``refused`` are
    readings in the tally that the store refuses and that are kept as dead letters; ``behind`` are gateways of whom one of the
    two stores holds batches that the other does not hold yet; before ``kept_from`` the store has dropped some by age."""

    before: Mapping[Hour, Taken]
    stored: Mapping[Hour, int]
    after: Mapping[Hour, Taken]
    certificates: Sequence[Certificate] = ()
    refused: Mapping[Hour, int] = field(default_factory=dict)
    gaps: Sequence[GapRow] = ()
    behind: frozenset[GatewayRef] = frozenset()
    kept_from: int = 0


@dataclass(frozen=True)
class Audit:
    """``accepted`` is what gateways accepted and the centre knows of: taken, set aside, or certified as lost.

    ``stored`` is ``None`` where the store cannot be counted; then nothing is compared. Of gaps whose readings nobody counted,
    ``findings`` name the batches alone.
    """

    accepted: int
    stored: int | None
    findings: tuple[Finding, ...] = ()
    pending: tuple[Pending, ...] = ()

    @property
    def missing(self) -> int:
        return sum(one.readings or 0 for one in self.findings if one.cause is not Cause.SURPLUS)

    @property
    def unexplained(self) -> int:
        return sum(one.readings or 0 for one in self.findings if one.cause is Cause.UNEXPLAINED)

    @property
    def proved(self) -> bool:
        """Whether everything was compared and nothing is unexplained."""
        return self.stored is not None and not self.unexplained


def compare(evidence: Evidence) -> Audit:
    """Compares hour by hour."""
    findings = [_certified(certificate) for certificate in evidence.certificates] + list(_lost_batches(evidence.gaps))
    accepted = sum(certificate.readings for certificate in evidence.certificates)
    allowance = _Allowance(evidence)
    for hour in sorted({*evidence.before, *evidence.after, *evidence.stored}, key=lambda hour: (hour.at, hour)):
        taken, found = _compare_hour(evidence, hour, allowance)
        accepted += taken
        findings += found
    findings.sort(key=lambda one: (one.first, one.ref, one.cause))
    return Audit(accepted, sum(evidence.stored.values()), tuple(findings))


def count_only(evidence: Evidence) -> Audit:
    """The same where the store cannot be counted: what the centre took, and what others say is missing."""
    audit = compare(Evidence(evidence.after, {hour: taken.readings for hour, taken in evidence.after.items()}, evidence.after,
                             evidence.certificates, gaps=evidence.gaps))  # fmt: skip
    return Audit(audit.accepted, None, audit.findings)


def _compare_hour(evidence: Evidence, hour: Hour, allowance: "_Allowance") -> tuple[int, list[Finding]]:
    """How many readings of the hour were taken, and what is to be said of it."""
    nothing = Taken()
    least, most = evidence.before.get(hour, nothing).readings, evidence.after.get(hour, nothing).readings
    aside, stored = evidence.after.get(hour, nothing).set_aside, evidence.stored.get(hour, 0)
    short, extra = max(0, least - stored), max(0, stored - max(least, most))
    put_back = min(extra, aside)  # set aside once, and readable since
    sound = stored + short - extra
    aside, extra = aside - put_back, extra - put_back
    found = [_of(hour, aside, Cause.DEAD_LETTER, "set aside: it cannot be taken")] if aside else []
    found += allowance.explain(hour, short)
    if extra:
        found.append(allowance.explain_surplus(hour, extra))
    return sound + put_back + aside, found


class _Allowance:
    """What the witnesses can still explain: used up as they do."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._gaps = {sink: _readings_beyond(evidence.gaps, sink) for sink in (POINTS, ALERTS)}

    def explain(self, hour: Hour, short: int) -> list[Finding]:
        """The causes of ``short`` readings, those that are sure first."""
        ref, everything = GatewayRef(hour.community, hour.gateway), short
        found: list[Finding] = []
        for cause, most, reason in (
            (Cause.DEAD_LETTER, self._evidence.refused.get(hour, 0), "the store refuses it"),
            (Cause.RETENTION, everything if hour.at < self._evidence.kept_from else 0, "older than the store keeps"),
            (Cause.PENDING, everything if ref in self._evidence.behind else 0, "not in the telemetry store yet"),
            (Cause.GAP, self._gaps[POINTS][ref], "the telemetry store lost its batches"),
            (Cause.UNEXPLAINED, everything, "taken, and not in the telemetry store"),
        ):
            if readings := min(short, most):
                found.append(_of(hour, readings, cause, reason))
                short -= readings
                if cause is Cause.GAP:
                    self._gaps[POINTS][ref] -= readings
        return found

    def explain_surplus(self, hour: Hour, extra: int) -> Finding:
        ref = GatewayRef(hour.community, hour.gateway)
        if self._gaps[ALERTS][ref]:
            reason = "the tally lost their batches"
        elif ref in self._evidence.behind:
            reason = "not in the tally yet"
        else:
            reason = "in the store, and not in the tally"
        return _of(hour, extra, Cause.SURPLUS, reason)


def _certified(certificate: Certificate) -> Finding:
    said = {"device": certificate.device, "reason": certificate.reason}
    return Finding(certificate.ref, certificate.first, certificate.last + 1, certificate.readings, Cause.CERTIFICATE, **said)


def _lost_batches(gaps: Iterable[GapRow]) -> Iterator[Finding]:
    """The batches that neither side holds: nobody counted their readings."""
    passed = {sink: [row for row in gaps if row.sink == sink and row.gap.passes] for sink in (POINTS, ALERTS)}
    for ours in passed[POINTS]:
        for theirs in passed[ALERTS]:
            first, last = _common(ours.gap, theirs.gap)
            if first <= last:
                stream = ours.gap.stream
                batches = f"batches {first} to {last} of {stream.epoch} {stream.lane}: {ours.gap.reason}"
                yield Finding(stream.ref, ours.at, ours.at + 1, None, Cause.GAP, reason=batches)


def _readings_beyond(gaps: Iterable[GapRow], sink: str) -> Counter[GatewayRef]:
    """How many readings may lie in batches that this sink alone misses."""
    rows = [row for row in gaps if row.gap.passes]
    others = [row.gap for row in rows if row.sink != sink]
    room: Counter[GatewayRef] = Counter()
    for row in rows:
        if row.sink == sink:
            shared = sum(max(0, last - first + 1) for first, last in (_common(row.gap, other) for other in others))
            room[row.gap.stream.ref] += max(0, row.gap.last - row.gap.first + 1 - shared) * MAX_READINGS
    return room


def _common(one: Gap, other: Gap) -> tuple[int, int]:
    """First and last seq in both; none when first > last."""
    if one.stream != other.stream:
        return 1, 0
    return max(one.first, other.first), min(one.last, other.last)


def _of(hour: Hour, readings: int, cause: Cause, reason: str) -> Finding:
    return Finding(GatewayRef(hour.community, hour.gateway), hour.at, hour.at + HOUR_US, readings, cause, reason=reason)
