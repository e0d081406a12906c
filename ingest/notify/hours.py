"""Times of the day and the week in which a route is open. Pure; the instant is an argument."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from telemetry.errors import Problem

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """From ``since`` to before ``until`` of the clock in ``zone``; past midnight when ``until`` is not later.

    A night belongs to the day on which it begins. No ``days``: every day.
    """

    since: str = "00:00"
    until: str = "00:00"
    days: tuple[Day, ...] = ()
    zone: str = "Asia/Shanghai"


def is_open(hours: Hours, at: int) -> bool:
    """``at`` is UTC microseconds."""
    local = (_START + timedelta(microseconds=at)).astimezone(ZoneInfo(hours.zone))
    now, since, until = local.hour * 60 + local.minute, _minutes(hours.since), _minutes(hours.until)
    day = local.weekday()
    if since < until:
        inside = since <= now < until
    else:
        inside = now >= since or now < until
        if now < until:
            day = (day - 1) % 7
    return inside and (not hours.days or _DAYS[day] in hours.days)


def hours_problems(hours: Hours, file: str, path: str) -> Iterator[Problem]:
    for key, text in (("from", hours.since), ("to", hours.until)):
        if not _TIME.fullmatch(text):
            yield Problem(file, f"{path}.{key}", f"{text!r} is no time of the day", 'write "22:00", in quotes')
    try:
        ZoneInfo(hours.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem(file, f"{path}.zone", f"there is no time zone {hours.zone[:60]!r}", "write Asia/Shanghai")


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)
