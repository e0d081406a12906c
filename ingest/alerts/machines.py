"""From what a rule says to the machine that judges by it."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from ingest.alerts import anomaly, balance, change, count, flatline, forecast, level, mean, repeat, surplus, together
from ingest.alerts.condition import Condition
from ingest.alerts.hold import Hold
from ingest.alerts.joined import Guarded, Join
from ingest.alerts.machine import Machine
from ingest.alerts.occurrence import Occurrence
from ingest.alerts.rule import Rule
from ingest.alerts.schedule import Schedule, minute_of
from ingest.alerts.sense import Sense
from ingest.alerts.sequence import Succession
from ingest.alerts.staged import Stage, Staged
from ingest.alerts.when import (
    Absence,
    AllOf,
    Anomaly,
    AnyOf,
    Balance,
    Correlation,
    Count,
    Dated,
    Duration,
    Flatline,
    Forecast,
    Match,
    Mean,
    Rate,
    Repeat,
    Samples,
    Sequence,
    Simple,
    Surplus,
    Threshold,
    micros,
)
from ingest.calendar import PLAIN, Calendar


class Times(NamedTuple):
    """Schedules and calendars by their names."""

    schedules: Mapping[str, Schedule] = {}
    calendars: Mapping[str, Calendar] = {}


NO_TIMES = Times()


def machine_of(rule: Rule, listed: frozenset[str] = frozenset(), times: Times = NO_TIMES) -> Machine[Any]:
    """``listed`` are the references on the rule's list. An absence has no machine: its gateway's presence judges it."""
    during = times.schedules[rule.during] if rule.during else None
    machine = _machine(rule, listed, during, times)
    if not rule.stages:
        return machine
    return Staged(machine, rule.colour, tuple(_stages(rule, times)), rule.falls_back)


def _machine(rule: Rule, listed: frozenset[str], during: Schedule | None, times: Times) -> Machine[Any]:
    quiet_us = micros(rule.clear_after_quiet_s or 0.0)
    match rule.when:
        case Sequence(happens=happens, without=without, before_s=before_s, settle_s=settle_s):
            excuses = tuple(Condition(where) for where in without)
            return Succession(Condition(happens), excuses, micros(before_s), micros(settle_s), quiet_us, during)
        case Match(where=where, unless=unless, metric=metric, list=name, show=show):
            excepted = Condition(unless) if unless else None
            return Occurrence(Condition(where), quiet_us, metric if name else None, listed, show, during, excepted)
        case Absence():
            raise TypeError("an absence has no machine of its own: it is judged by its gateway's presence")
        case AllOf() | AnyOf() as when:
            parts = tuple(_hold(one, None, times) for one in when.of)
            join = Join(parts, isinstance(when, AllOf), Condition(when.unless))
            return Hold(Guarded(join, during) if during else join, micros(when.for_s), micros(when.clear_for_s))
        case when:
            return _hold(when, during, times)


def _stages(rule: Rule, times: Times) -> Iterator[Stage]:
    for stage in rule.stages:
        during = times.schedules[stage.during] if stage.during else None
        condition = _hold(stage.when, None, times) if stage.when is not None else None
        yield Stage(stage.colour, micros(stage.after_s), during, condition)


def _hold(when: Simple, during: Schedule | None, times: Times) -> Hold:
    sense = _sense(when, times)
    clear_for_s = 0.0 if isinstance(when, Count) else when.clear_for_s
    return Hold(Guarded(sense, during) if during else sense, micros(when.for_s), micros(clear_for_s))


def _sense(when: Simple, times: Times) -> Sense[Any]:
    match when:
        case Threshold():
            return level.Level(when.metric, tuple(_limits(when)), when.direction, _samples(when.samples))
        case Duration(where=where, for_s=for_s, show=show, samples=samples, gap_s=gap_s):
            gap_us = None if gap_s is None else micros(gap_s)
            return level.Met(Condition(where), None if show else for_s, show, _samples(samples), gap_us)
        case Rate(metric=metric, course=course, within_s=within_s, raise_at=raise_at, clear_at=clear_at, gap_s=gap_s):
            cleared_at = raise_at if clear_at is None else clear_at
            return change.Change(metric, course, micros(within_s), raise_at, cleared_at, micros(gap_s))
        case Mean():
            return _mean(when)
        case Count(where=where, count=wanted, within_s=within_s, distinct=distinct):
            return count.Count(Condition(where), wanted, micros(within_s), distinct)
        case Repeat(again=again, ends=ends, show=show):
            resets = None if when.resets is None else minute_of(when.resets)
            return repeat.Repeat(Condition(again), Condition(ends), micros(when.apart_s), micros(when.within_s), resets, show)
        case Surplus(more=more, counter=counter, than=than, by=by, times=ratio):
            counted = None if more is None else Condition(more)
            return surplus.Surplus(counted, counter, Condition(than), by, ratio, micros(when.within_s))
        case Balance(plus=plus, minus=minus, census=census, share=share, at_least=at_least):
            return balance.Balance(Condition(plus), Condition(minus), census, share, at_least)
        case Correlation(of=of, devices=devices, within_s=within_s):
            return together.Together(tuple(Condition(where) for where in of), devices, micros(within_s))
        case Forecast():
            outlook = forecast.Outlook(
                when.metric, when.limit, when.gate_at, when.direction, when.within_s, micros(when.window_s)
            )
            return forecast.Holt(outlook) if when.method == "holt" else forecast.TheilSen(outlook)
        case Anomaly():
            return _anomaly(when, times)
        case Flatline(metric=metric, within_s=within_s, moved_by=moved_by, peers=peers):
            return flatline.Flatline(metric, micros(within_s), moved_by, peers)


def _mean(when: Mean) -> Sense[Any]:
    return mean.Mean(
        when.metric,
        tuple(_limits(when)),
        when.direction,
        when.average,
        micros(when.within_s),
        micros(when.gap_s),
        when.covered,
        Condition(when.unless),
        when.since_past,
    )


def _anomaly(when: Anomaly, times: Times) -> Sense[Any]:
    metric, limit, floor, side = when.metric, when.limit, when.floor, when.side
    match when.method:
        case "robust_z":
            return anomaly.Spread(metric, limit, floor, micros(when.learn_s), side)
        case "seasonal":
            return anomaly.Seasonal(metric, limit, floor, times.calendars[when.calendar] if when.calendar else PLAIN, side)
        case "peers":
            return anomaly.Peers(metric, limit, floor, side)
        case method:
            return anomaly.Drift(metric, method, limit, floor, micros(when.learn_s), side)


def _samples(samples: Samples | None) -> level.Samples:
    return level.Samples(samples.need, samples.of) if samples else level.EACH


def _limits(when: Threshold | Mean) -> Iterator[level.Limit]:
    for dated in when.dated:
        since, until = term(dated)
        yield level.Limit(dated.raise_at, _or(dated.clear_at, dated.raise_at), since, until, dated.clause)
    yield level.Limit(when.raise_at, _or(when.clear_at, when.raise_at))


def term(dated: Dated) -> tuple[int, int]:
    """From when until before when a limit is in force, UTC microseconds."""
    since = PLAIN.instant(date.fromisoformat(dated.valid_from), 0) if dated.valid_from else 0
    if dated.valid_to is None:
        return since, 1 << 62
    return since, PLAIN.instant(date.fromisoformat(dated.valid_to) + timedelta(days=1), 0)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
