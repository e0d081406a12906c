"""A device's own time to UTC microseconds, believed only inside a window around its arrival.

Devices send local time without a zone, local time dressed as epoch seconds, 1970 before their first synchronisation,
and the future. What is not believed is replaced by the arrival, and said to be uncertain.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device_profiles.payload import number_of
from device_profiles.profile import Clock
from device_profiles.registers import Unfit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}


@lru_cache(maxsize=32)
def zone_named(name: str) -> tzinfo:
    """``utc`` or a named zone. Raises ``ValueError``."""
    if name == "utc":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {name!r}") from error


def device_time(clock: Clock, told: Any, arrived_at: int) -> int | None:
    """What the device says, in UTC microseconds, or ``None`` when that is not to be believed."""
    try:
        if clock.format == "iso":
            at = _micros(_from_iso(told, zone_named(clock.zone)))
        else:
            at = _from_epoch(number_of(told), _PER_SECOND[clock.format], zone_named(clock.zone))
    except (ValueError, OverflowError, Unfit):
        return None
    return at if arrived_at - clock.past_us <= at <= arrived_at + clock.future_us else None


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _from_epoch(number: int | float, per_second: int, zone: tzinfo) -> int:
    micros = round(number * (1_000_000 // per_second))
    if zone is UTC:
        return micros
    return _micros((_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=zone))


def _from_iso(told: Any, zone: tzinfo) -> datetime:
    if not isinstance(told, str) or len(told) > 64:
        raise ValueError("not a time")
    moment = datetime.fromisoformat(told.partition("[")[0].strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def as_micros(iso: str) -> int:
    """An ISO time with its offset as UTC microseconds. Raises ``ValueError``."""
    return _micros(_from_iso(iso, UTC))
