"""Store-and-forward outbox: one SQLite file, one writing connection.

1. Append is durable: once ``append`` returns, a crash or a power cut loses nothing (WAL, synchronous FULL).
2. Nothing is forgotten before the centre acknowledged it: reading does not remove.
3. Keys are never used twice: every start and every long outage opens a new random epoch, and in each
   (epoch, lane) ``seq`` counts from 1 without holes. What a run accepted and did not seal comes in an epoch of its own,
   before that of the next run, and so does what it held until its time was known, once it is: no epoch goes on over a time
   without a gateway.
4. What is sealed never changes: a batch sent again has the same readings, or is the certificate of their loss.
5. Bounded: past its byte budget acknowledged batches go first; past three quarters of it bulk readings that come are thinned;
   then the oldest unacknowledged *bulk* batch goes, and a tombstone of the same seq takes its place with its loss
   certificates. Bulk batches older than the age budget go likewise. Urgent batches are never evicted: when they alone fill
   the budget, bulk readings are only counted, and at the end of the file nothing more is accepted.
6. A full disk is a smaller budget: a ballast file gives the room that deleting needs.
7. Damage is contained: every row has a checksum. What can be read of a damaged file is moved to a new one, in a new epoch;
   the rest is certified. Opening refuses a newer version, and a disk that takes nothing; never damage.
8. An older version's file, with a full queue, becomes one of this version.
9. What was accepted while nobody vouched for the clock stands apart and is dated anew before it is sealed, never after.

A *chunk* is what one commit accepted of one lane. Sealing names a run of chunks and copies nothing, so a reading is
written once. ``lanes`` commits and seals, by ``tail`` (when a lane is due), ``undated`` (when something was) and ``thin`` (what
to leave out); ``budget`` says when something has to go, and ``room`` what, with ``tombstones`` for what went; ``chunk`` and
``loss`` say what is kept and what stands for what is lost; ``file`` holds the tables, which ``schema`` makes; ``salvage`` puts a
new file in the place of a damaged one, of which ``wreck`` reads what can be read and ``mend`` makes sense.
"""

from edge.outbox.file import OutboxFailing, OutboxUnusable
from edge.outbox.outbox import EpochUnknown, MarkBeyond, Outbox, Pending
from edge.outbox.sealed import Sealed
from edge.outbox.tail import BATCH_AGE_US, BATCH_READINGS

__all__ = [
    "BATCH_AGE_US",
    "BATCH_READINGS",
    "EpochUnknown",
    "MarkBeyond",
    "Outbox",
    "OutboxFailing",
    "OutboxUnusable",
    "Pending",
    "Sealed",
]
