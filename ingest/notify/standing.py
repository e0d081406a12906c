"""How each target does: switched off for good, or how its last tries went.

That a target is gone is durable: a restart does not ask it again. The counts are since the start of the program.
"""

from dataclasses import dataclass, field

import sqlalchemy as sa

from ingest.database import Database, metadata
from ingest.notify.verdict import Fate, Verdict

table = sa.Table(
    "notify_target_off",
    metadata,
    sa.Column("target", sa.String(64), primary_key=True),
    sa.Column("off_at", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


@dataclass
class Tries:
    """``reason`` is of the last failure, ``""`` after a success."""

    sent: int = 0
    failed: int = 0
    last_sent_at: int | None = None
    reason: str = ""


@dataclass
class Standing:
    database: Database
    tries: dict[str, Tries] = field(default_factory=dict)
    _off: dict[str, str] | None = None

    async def is_off(self, target: str) -> bool:
        """Whether it is switched off."""
        return target in await self.off()

    async def off(self) -> dict[str, str]:
        """Why each is off that is. Raises ``StoreUnavailable``."""
        if self._off is None:
            rows = await self.database.read(lambda connection: connection.execute(sa.select(table)).mappings().all())
            self._off = {row["target"]: row["reason"] for row in rows}
        return self._off

    async def switch_off(self, target: str, reason: str, now: int) -> None:
        def change(connection: sa.Connection) -> None:
            connection.execute(table.delete().where(table.c.target == target))
            connection.execute(table.insert().values(target=target, off_at=now, reason=reason))

        await self.database.write(change)
        self._off = None

    async def switch_on(self, target: str) -> None:
        await self.database.write(lambda connection: connection.execute(table.delete().where(table.c.target == target)))
        self._off = None

    def note(self, target: str, verdict: Verdict, now: int) -> None:
        tries = self.tries.setdefault(target, Tries())
        if verdict.fate is Fate.SENT:
            tries.sent += 1
            tries.last_sent_at = now
        else:
            tries.failed += 1
        tries.reason = verdict.reason
