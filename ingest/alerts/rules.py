"""Rules ready to run: each with its machine, found by what a reading is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ingest.alerts.condition import Condition
from ingest.alerts.hold import Hold, Level, Met
from ingest.alerts.machine import Machine
from ingest.alerts.occurrence import Occurrence
from ingest.alerts.rule import Absence, Duration, Listed, Match, Rule, Sequence, Threshold, micros
from ingest.alerts.sequence import Succession
from telemetry.metric import METRICS, Kind
from telemetry.presence import Device


@dataclass(frozen=True)
class Watcher:
    """A rule with the machine that judges for it; a rule that matches a list has one for each community."""

    rule: Rule
    listed: Listed = field(default_factory=dict)

    def machine(self, community: str) -> Machine[Any]:
        if isinstance(self.rule.when, Match) and self.rule.when.list is not None:
            return _machine(self.rule, self.listed.get(community, frozenset()))
        return self._machine

    @cached_property
    def _machine(self) -> Machine[Any]:
        return _machine(self.rule, frozenset())

    @cached_property
    def shown(self) -> tuple[str | None, str]:
        """The metric and the unit of the alert's value and limit."""
        when = self.rule.when
        match when:
            case Threshold():
                return when.metric, when.unit
            case Duration() | Match():
                kinds = self.rule.applies_to.kinds
                return when.show, METRICS[kinds[0]][when.show].unit if when.show else "s" if isinstance(when, Duration) else ""
            case _:
                return None, "s" if isinstance(when, Absence) else ""

    def applies(self, community: str, name: str, device: Device | None, zone: str) -> bool:
        """Whether the rule watches this device; what the inventory does not know of it satisfies no restriction."""
        to = self.rule.applies_to
        return (
            (not to.communities or community.startswith(to.communities))
            and (not to.devices or name in to.devices)
            and (not to.zones or zone in to.zones)
            and (not to.profiles or (device is not None and device.profile in to.profiles))
            and (self.rule.subject == "device" or bool(zone))
        )


class Rules:
    def __init__(self, watchers: Iterable[Watcher] = ()) -> None:
        self.watchers = {watcher.rule.id: watcher for watcher in watchers}
        self.absences = tuple(one for one in self.watchers.values() if isinstance(one.rule.when, Absence))
        self._by_kind: Mapping[Kind, tuple[Watcher, ...]] = {
            kind: tuple(
                one
                for one in self.watchers.values()
                if kind in one.rule.applies_to.kinds and not isinstance(one.rule.when, Absence)
            )
            for kind in Kind
        }

    def __len__(self) -> int:
        return len(self.watchers)

    def judge(self, kind: Kind) -> bool:
        """Whether readings of this kind can matter to any rule."""
        return bool(self.absences or self._by_kind[kind])

    def watching(self, kind: Kind, community: str, name: str, device: Device | None, zone: str) -> tuple[Watcher, ...]:
        """The rules that judge readings of this device, absences apart."""
        return tuple(one for one in self._by_kind[kind] if one.applies(community, name, device, zone))


def _machine(rule: Rule, listed: frozenset[str]) -> Machine[Any]:
    quiet_us = micros(rule.clear_after_quiet_s or 0.0)
    match rule.when:
        case Threshold(for_s=for_s, clear_for_s=clear_for_s) as when:
            return Hold(Level(when), micros(for_s), micros(clear_for_s))
        case Duration(where=where, for_s=for_s, clear_for_s=clear_for_s, show=show):
            return Hold(Met(Condition(where), None if show else for_s, show), micros(for_s), micros(clear_for_s))
        case Sequence(happens=happens, without=without, before_s=before_s, settle_s=settle_s):
            excuses = tuple(Condition(where) for where in without)
            return Succession(Condition(happens), excuses, micros(before_s), micros(settle_s), quiet_us)
        case Match(where=where, metric=metric, list=None, show=show):
            return Occurrence(Condition(where), quiet_us, None, frozenset(), show)
        case Match(where=where, metric=metric, show=show):
            return Occurrence(Condition(where), quiet_us, metric, listed, show)
        case Absence():
            raise TypeError("an absence has no machine of its own: it is judged by its gateway's presence")
