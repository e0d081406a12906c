"""The journal of work orders: who did what when and why, and the case as it then was. Append-only, chained by hashes. Pure.

1. Each line's digest covers the line and the digest before it (``ingest.chain``).
2. A line holds the whole case after its change: what the desk could know at any instant is in the journal alone.

That the end of the chain is missing shows by the work orders' rows, which the journal's last lines must reach.
"""

from typing import NamedTuple


class Line(NamedTuple):
    """``event_at`` is when it happened, ``known_at`` when it was entered; ``details`` is the move and ``body`` the case after it,
    both JSON."""

    seq: int
    case: str
    version: int
    action: str
    event_at: int
    known_at: int
    token: str
    person: str
    role: str
    unit: str
    reason: str
    details: bytes
    body: bytes
    before: str
    digest: str
