"""What Prometheus sees of notifications. Pure."""

from collections.abc import Callable, Iterator, Sequence

from ingest.metrics import Family, Sample
from ingest.notify.notifications import TargetSeen

_SHOWN: tuple[tuple[str, str, str, Callable[[TargetSeen], float]], ...] = (
    ("notify_sent_total", "counter", "Messages that the target took, since the start.", lambda seen: seen.tries.sent),
    ("notify_failures_total", "counter", "Tries that failed, since the start.", lambda seen: seen.tries.failed),
    ("notify_waiting", "gauge", "Notifications that wait.", lambda seen: seen.waiting),
    ("notify_given_up", "gauge", "Notifications given up and still kept.", lambda seen: seen.given_up),
    ("notify_off", "gauge", "1 while the target is switched off because it answered 410.", lambda seen: int(bool(seen.off))),
)


def families(targets: Sequence[TargetSeen], now: int) -> Iterator[Family]:
    """One sample for each target; nothing without targets."""
    if not targets:
        return
    for name, type_, help_, value in _SHOWN:
        yield Family(f"linli_{name}", type_, help_, [Sample({"target": seen.name}, value(seen)) for seen in targets])
    waited = [Sample({"target": seen.name}, _waited_s(seen, now)) for seen in targets]
    yield Family("linli_notify_oldest_waiting_seconds", "gauge", "Age of the oldest notification that waits.", waited)


def _waited_s(seen: TargetSeen, now: int) -> float:
    return 0.0 if seen.oldest_waiting_at is None else max(0.0, (now - seen.oldest_waiting_at) / 1_000_000)
