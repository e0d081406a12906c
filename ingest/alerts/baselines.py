"""States of rules that go by all that was ever said, kept now and then: where a review of such a rule can begin.

1. A kept state was durable, stood for no alert, and has decided nothing after ``at``.
2. One that a review found overtaken by late readings is taken away: the next begins before them. A review that gave up, or had
   no state to begin with, leaves the later ones.
3. Bounded: one for each state in ``EVERY_US``, for ``KEEP_US``; ``TOGETHER`` in one transaction, so that nothing waits long.
"""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.alerts.episode import Key
from ingest.alerts.hold import is_raised
from ingest.alerts.memory import Graded, Held, Joined, Judged
from ingest.alerts.states import VERSION
from ingest.alerts.tables import rule_state
from ingest.database import insert_new, metadata

HOUR_US = 3_600_000_000
EVERY_US = 12 * HOUR_US
KEEP_US = 72 * HOUR_US
TOGETHER = 1_000

_KEY = Key._fields
_table = sa.Table(
    "alert_baseline",
    metadata,
    sa.Column("rule", sa.String(64), primary_key=True),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("subject", sa.String(160), primary_key=True),
    sa.Column("discriminator", sa.String(256), primary_key=True),
    sa.Column("slot", sa.BigInteger, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
_decoder: msgspec.json.Decoder[Judged] = msgspec.json.Decoder(Judged)


def keep(connection: sa.Connection, rules: Collection[str], now: int, after: Key | None = None) -> Key | None:
    """Keeps the states of ``rules`` as they are written, those of which none is kept lately, and forgets the old ones: of
    ``TOGETHER``, in the order of their keys; the last of them, ``None`` when none can follow."""
    slot, mine = now // EVERY_US, [rule_state.c[name] for name in _KEY]
    have = sa.and_(*(_table.c[name] == rule_state.c[name] for name in _KEY), _table.c.slot == slot)
    wanted = sa.select(rule_state).where(
        rule_state.c.rule.in_(list(rules)), rule_state.c.version == VERSION, ~sa.exists().where(have)
    )
    if after is None:
        connection.execute(_table.delete().where(_table.c.slot < (now - KEEP_US) // EVERY_US))
    else:
        wanted = wanted.where(sa.tuple_(*mine) > sa.tuple_(*map(sa.literal, after)))
    rows = connection.execute(wanted.order_by(*mine).limit(TOGETHER)).mappings().all()
    insert_new(connection, _table, _kept(rows, slot))
    return Key(*(rows[-1][name] for name in _KEY)) if len(rows) == TOGETHER else None


def find(connection: sa.Connection, key: Key, before: int) -> dict[Key, tuple[int, Judged]]:
    """Of each discriminator the newest state that has decided nothing at ``before`` or later, with when it last did."""
    same = [_table.c[name] == value for name, value in key._asdict().items() if name != "discriminator"]
    wanted = sa.select(_table).where(*same, _table.c.at < before, _table.c.version == VERSION).order_by(_table.c.at)
    found: dict[Key, tuple[int, Judged]] = {}
    for row in connection.execute(wanted).mappings():
        found[Key(*(row[name] for name in _KEY))] = (row["at"], _decoder.decode(row["body"]))
    return found


def overtaken(connection: sa.Connection, key: Key, since: int) -> None:
    """Takes away the states of a subject that have decided something at ``since`` or later."""
    same = [_table.c[name] == value for name, value in key._asdict().items() if name != "discriminator"]
    connection.execute(_table.delete().where(*same, _table.c.at >= since))


def decided(state: Judged) -> int:
    """The last instant at which it judged a sample, or time by itself."""
    match state:
        case Held(seen=seen, turned=turned, since=since, memory=memory):
            parts = memory.of if isinstance(memory, Joined) else ()
            return max(seen, turned, since, *map(decided, parts))
        case Graded(inner=inner, judged=judged, stages=stages):
            return max(decided(inner), judged, *map(decided, stages))
        case _:
            raise TypeError(f"a rule that learns has no state such as {type(state).__name__}")


def _kept(rows: Collection[sa.RowMapping], slot: int) -> Iterator[dict[str, Any]]:
    for row in rows:
        state = _decoder.decode(row["body"])
        if not _stands(state):
            own = {name: row[name] for name in (*_KEY, "version", "body")}
            yield {**own, "slot": slot, "at": decided(state)}


def _stands(state: Judged) -> bool:
    inner = state.inner if isinstance(state, Graded) else state
    return isinstance(inner, Held) and is_raised(inner)
