"""When an alert comes and goes so often that people hear of that alone. Pure but for the count of ``raises``.

It begins with more than ``FLAPS`` raises within ``WINDOW_US`` and ends when no more than ``CALM`` are left of them. While it
lasts the episode goes on, whatever the rule says of reopening.
"""

import sqlalchemy as sa

from ingest.alerts.episode import Key
from ingest.alerts.tables import alert, journal

WINDOW_US = 600_000_000
FLAPS = 5
CALM = 2
LOOKED_BACK = 20
"""Episodes of which raises are counted: more than could begin it."""


def flaps(was: bool, raises: int) -> bool:
    """Whether it flaps with so many raises within the window, this one included."""
    return raises > (CALM if was else FLAPS)


def raises(connection: sa.Connection, key: Key, at: int) -> int:
    """How often an alert of this key was raised within the window up to an instant."""
    same = [alert.c[name] == value for name, value in key._asdict().items()]
    newest = sa.select(alert.c.id).where(*same).order_by(alert.c.opened_at.desc()).limit(LOOKED_BACK)
    raised = journal.c.transition.in_(("opened", "raised again"))
    within = journal.c.event_at > at - WINDOW_US, journal.c.event_at <= at
    counted = sa.select(sa.func.count()).select_from(journal).where(journal.c.alert.in_(newest), raised, *within)
    return connection.scalar(counted) or 0
