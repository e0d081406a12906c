"""What holds an alert back when it begins: what it follows from, what was planned, the flood that it is a part of.

1. Event time decides: what stood, or was planned, at the instant at which the alert was raised.
2. Red is never folded into a flood, and never suppressed by works that do not name its kind.
3. What is raised in a drill says so; what is raised after it is no part of it.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from msgspec.structs import replace

from ingest.alerts.episode import Alert, AlertState, Episode
from ingest.alerts.inhibition import GRACE_US, Inhibitor, Standing, cause, inhibitors
from ingest.alerts.planned import Planned, Purpose
from ingest.alerts.plans import covering
from ingest.alerts.rules import Rules
from ingest.alerts.severity import Colour
from ingest.alerts.tables import alert as table
from ingest.alerts.when import Threshold

FLOOD = "alarm_flood"
"""The kind of the alert that stands for a flood of others."""

FORMING = "flood"
"""What an alert is collapsed into before its flood has an id."""

FLOOD_WINDOW_US = 600_000_000


class Gate:
    def __init__(self, rules: Rules) -> None:
        self._inhibitors: Mapping[str, tuple[Inhibitor, ...]] = inhibitors(rules.kinds.values())
        self._flood_limit = _flood_limit(rules)

    def opened(self, connection: sa.Connection, episode: Episode) -> Episode:
        """As a new alert stands."""
        alert, at = episode.alert, episode.alert.opened_at
        planned = covering(connection, alert, at)
        drill = any(one.purpose is Purpose.DRILL for one in planned)
        return self._held(connection, episode._replace(alert=replace(alert, drill=drill)), at, planned)

    def raised_again(self, connection: sa.Connection, episode: Episode, at: int) -> Episode:
        """As an alert stands that was there before."""
        return self._held(connection, episode, at, covering(connection, episode.alert, at))

    def _held(self, connection: sa.Connection, episode: Episode, at: int, planned: Sequence[Planned]) -> Episode:
        alert = episode.alert
        suppressed_by = self._suppressor(connection, alert, at, planned)
        into, folded = alert.collapsed_into, alert.folded
        if (
            not suppressed_by
            and not alert.drill
            and alert.kind != FLOOD
            and (flood := self.flood(connection, alert.community, at))
        ):
            into, folded = flood, alert.colour is not Colour.RED
        return episode._replace(alert=replace(alert, suppressed_by=suppressed_by, collapsed_into=into, folded=folded))

    def is_drill(self, connection: sa.Connection, alert: Alert, at: int) -> bool:
        """Whether people practise with such an alert at an instant."""
        return any(one.purpose is Purpose.DRILL for one in covering(connection, alert, at))

    def graded(self, connection: sa.Connection, episode: Episode, at: int) -> Episode:
        """As an alert stands whose colour rose or fell: what held back the milder one may let the graver one pass."""
        alert = episode.alert
        suppressed_by = self.suppressor(connection, alert, at) if alert.suppressed_by else ""
        folded = alert.folded and alert.colour is not Colour.RED
        return episode._replace(alert=replace(alert, suppressed_by=suppressed_by, folded=folded))

    def suppressor(self, connection: sa.Connection, alert: Alert, at: int) -> str:
        """The alert or the works from which it follows at an instant, or ``""``."""
        return self._suppressor(connection, alert, at, covering(connection, alert, at))

    def _suppressor(self, connection: sa.Connection, alert: Alert, at: int, planned: Sequence[Planned]) -> str:
        by = self._inhibitors.get(alert.kind, ())
        if by and (found := cause(alert, at, by, _standing(connection, alert.community, by, at))):
            return found
        return next((one.id for one in planned if one.purpose is Purpose.WORKS), "")

    def flood(self, connection: sa.Connection, community: str, at: int) -> str:
        """The flood of a community at an instant, ``FORMING`` before it has an id; ``""``: there is none."""
        if self._flood_limit is None:
            return ""
        mine = table.c.community == community, table.c.kind == FLOOD, table.c.opened_at <= at
        standing = sa.select(table.c.id).where(*mine, table.c.over_at.is_(None)).order_by(table.c.opened_at).limit(1)
        if found := connection.scalar(standing):
            return str(found)
        counted = sa.select(sa.func.count()).select_from(table).where(table.c.community == community, *in_a_flood(at))
        return FORMING if (connection.scalar(counted) or 0) >= self._flood_limit else ""


def in_a_flood(at: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Alerts that count towards a flood at an instant: those that people heard of, or would have."""
    opened = table.c.opened_at > at - FLOOD_WINDOW_US, table.c.opened_at <= at
    return *opened, table.c.suppressed_by == "", table.c.drill.is_(False), table.c.kind != FLOOD, table.c.origin == ""


def _flood_limit(rules: Rules) -> float | None:
    """How many alerts a flood begins with; ``None``: no rule tells of floods."""
    told = (one.rule.when for one in rules.watchers.values() if one.rule.kind == FLOOD)
    return min((when.raise_at for when in told if isinstance(when, Threshold)), default=None)


def _standing(connection: sa.Connection, community: str, by: tuple[Inhibitor, ...], at: int) -> list[Standing]:
    counts = sa.or_(table.c.over_at.is_(None), table.c.over_at > at - GRACE_US)
    kinds = table.c.kind.in_([one.kind for one in by])
    wanted = sa.select(*(table.c[name] for name in Standing._fields))
    wanted = wanted.where(table.c.community == community, counts, kinds, table.c.state != AlertState.WITHDRAWN.value)
    return [Standing(*row) for row in connection.execute(wanted)]
