"""The journal of alerts: what changed each when, known when, by whom and why. Append-only, chained by hashes.

1. Each line's digest covers the line and the digest before it (``ingest.chain``).
2. The newest line of an alert and its row say the same; that the end of the chain is missing shows by that.
"""

from typing import NamedTuple


class Line(NamedTuple):
    """``event_at`` is when it happened, ``known_at`` when it was entered. ``value`` (JSON), ``colour`` and ``state`` are the
    alert's after it; ``rule_version`` names the rule's text that counted."""

    seq: int
    alert: str
    transition: str
    event_at: int
    known_at: int
    actor: str
    note: str
    value: str
    colour: str
    state: str
    rule_version: str
    before: str
    digest: str
