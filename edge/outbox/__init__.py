"""Store-and-forward outbox: one SQLite file, one writing connection.

1. Append is durable: once ``append`` returns, a crash or a power cut loses nothing (WAL, synchronous FULL).
2. Nothing is forgotten before the centre acknowledged it: reading does not remove.
3. Keys are never used twice: every start and every long outage opens a new random epoch, and in each
   (epoch, lane) ``seq`` counts from 1 without holes.
4. What is sealed never changes: a batch sent again has the same readings.
5. Bounded: past the byte budget acknowledged batches go first, then the oldest unacknowledged *bulk* batch,
   which leaves a tombstone of the same seq carrying its loss certificates. Urgent batches are never evicted.
6. Damage is contained: each chunk has a checksum, and a damaged one is sent, or given up, as its loss certificate.

A *chunk* is what one commit accepted of one lane. Sealing names a run of chunks and copies nothing, so a reading is
written once. ``outbox`` decides with ``tail`` (when to seal) and ``room`` (what to give up); ``chunk`` and ``loss`` say
what is kept and what stands for what is lost; ``file`` holds the tables.
"""

from edge.outbox.file import OutboxFailing, OutboxUnusable
from edge.outbox.outbox import Outbox, Pending, Sealed
from edge.outbox.tail import BATCH_AGE_US, BATCH_READINGS

__all__ = ["BATCH_AGE_US", "BATCH_READINGS", "Outbox", "OutboxFailing", "OutboxUnusable", "Pending", "Sealed"]
