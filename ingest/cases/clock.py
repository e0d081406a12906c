"""A clock of a work order: how much working time a step may take, and how much of it is gone. Pure.

Spans and limits are microseconds of working time, instants UTC microseconds. A clock that is paused costs nobody anything.
"""

from enum import StrEnum

import msgspec

from ingest.cases.hours import Hours


class Step(StrEnum):
    """What is timed: 受理, 派遣, 签收, 处置, 核查."""

    ACCEPT = "accept"
    DISPATCH = "dispatch"
    SIGN = "sign"
    HANDLE = "handle"
    VERIFY = "verify"


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """``spent`` is what was used before ``running_since``. ``rung`` is how far the ladder of supervision was climbed."""

    step: Step
    limit: int
    begun_at: int
    spent: int = 0
    running_since: int | None = None
    ended_at: int | None = None
    rung: int = 0

    @property
    def runs(self) -> bool:
        return self.running_since is not None


def begun(step: Step, limit: int, at: int) -> Clock:
    return Clock(step=step, limit=limit, begun_at=at, running_since=at)


def used(clock: Clock, now: int, hours: Hours) -> int:
    if clock.running_since is None:
        return clock.spent
    return clock.spent + hours.between(clock.running_since, now)


def paused(clock: Clock, at: int, hours: Hours) -> Clock:
    return msgspec.structs.replace(clock, spent=used(clock, at, hours), running_since=None)


def resumed(clock: Clock, at: int) -> Clock:
    """Runs on from ``at``, also when it had ended: work that comes back goes on with what is left of its time."""
    return clock if clock.runs else msgspec.structs.replace(clock, running_since=at, ended_at=None)


def ended(clock: Clock, at: int, hours: Hours) -> Clock:
    return msgspec.structs.replace(paused(clock, at, hours), ended_at=at)


def instant_of(clock: Clock, share: float, hours: Hours) -> int | None:
    """When so large a share of the limit will be used; ``None`` while the clock stands still."""
    if clock.running_since is None:
        return None
    return hours.after(clock.running_since, max(0, round(clock.limit * share) - clock.spent))


def deadline(clock: Clock, hours: Hours) -> int | None:
    return instant_of(clock, 1.0, hours)


def extended(clock: Clock, now: int, until: int, hours: Hours) -> Clock:
    """With the limit moved so that the deadline is ``until``."""
    return msgspec.structs.replace(clock, limit=used(clock, now, hours) + hours.between(now, until), rung=0)
