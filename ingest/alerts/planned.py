"""Planned works and drills: what people announce for a place and a time. Pure.

Works suppress the alerts that they bring about; of a drill every alert says that it is one. Works that name no kinds suppress no
red alert: smoke during a painter's job is smoke.
"""

import hashlib
from enum import StrEnum

import msgspec

from ingest.alerts.episode import Alert
from ingest.alerts.severity import Colour

DAY_US = 24 * 3600 * 1_000_000


class Purpose(StrEnum):
    WORKS = "works"
    DRILL = "drill"


LONGEST_US = {Purpose.WORKS: 31 * DAY_US, Purpose.DRILL: DAY_US}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """From ``starts_at`` until before ``ends_at``, or before ``ended_at`` when somebody ended it sooner. ``community`` is a
    division code or the start of one; of ``gateway``, ``zone``, ``device`` and ``kinds`` what is empty is no restriction."""

    id: str
    purpose: Purpose
    community: str
    gateway: str = ""
    zone: str = ""
    device: str = ""
    kinds: tuple[str, ...] = ()
    starts_at: int
    ends_at: int
    by: str
    reason: str
    made_at: int
    ended_at: int | None = None
    ended_by: str = ""

    @property
    def until(self) -> int:
        return self.ends_at if self.ended_at is None else min(self.ended_at, self.ends_at)


def plan_id(purpose: Purpose, *said: object) -> str:
    return f"{purpose.value}-{hashlib.sha256(repr(said).encode()).hexdigest()[:16]}"


def covers(planned: Planned, alert: Alert, at: int) -> bool:
    """Whether it is about an alert at an instant."""
    named = alert.kind in planned.kinds
    unnamed = not planned.kinds and (planned.purpose is Purpose.DRILL or alert.colour is not Colour.RED)
    return planned.starts_at <= at < planned.until and (named or unnamed) and is_about(planned, alert)


def is_about(planned: Planned, alert: Alert) -> bool:
    """Whether the alert is of its place."""
    return alert.community.startswith(planned.community) and all(
        getattr(planned, name) in ("", getattr(alert, name)) for name in ("gateway", "zone", "device")
    )
