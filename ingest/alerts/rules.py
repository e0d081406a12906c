"""Rules ready to run: each with its machine, found by what a reading is about.

A rule with overrides has a variant for each combination of overrides that fits somewhere: a rule of its own with other
numbers. Which one a device has is found once with the device's rules, so that a reading costs no search.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from ingest.alerts.machine import Machine
from ingest.alerts.machines import Times, machine_of
from ingest.alerts.rule import AppliesTo, CatalogueKind, Listed, Override, Rule
from ingest.alerts.when import (
    Absence,
    AllOf,
    Anomaly,
    AnyOf,
    Balance,
    Count,
    Duration,
    Flatline,
    Forecast,
    Match,
    Mean,
    Rate,
    Repeat,
    Surplus,
    Threshold,
)
from telemetry.metric import METRICS, Kind
from telemetry.presence import Device

MAX_ALIKE = 20_000
"""Devices that differ in what rules ask of them, for which the rules that watch them are remembered."""


@dataclass(frozen=True)
class Watcher:
    """A rule with the machine that judges for it; a rule that matches a list has one for each community."""

    rule: Rule
    listed: Listed = field(default_factory=dict)
    times: Times = field(default_factory=Times)
    overrides: tuple[Override, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether each community has a machine of its own."""
        return isinstance(self.rule.when, Match) and self.rule.when.list is not None

    def machine(self, community: str) -> Machine[Any]:
        if self.is_local:
            return machine_of(self.rule, self.listed.get(community, frozenset()), self.times)
        return self._machine

    @cached_property
    def _machine(self) -> Machine[Any]:
        return machine_of(self.rule, frozenset(), self.times)

    @cached_property
    def shown(self) -> tuple[str | None, str]:
        """The metric and the unit of the alert's value and limit."""
        return _shown(self.rule)

    @cached_property
    def version(self) -> str:
        """Names the rule's text: another text, another version."""
        return hashlib.sha256(self.text).hexdigest()[:12]

    @cached_property
    def text(self) -> bytes:
        """The rule as it counts here, overrides included: JSON with its keys in order."""
        return msgspec.json.encode(self.rule, order="sorted")

    def applies(self, community: str, name: str, device: Device | None, zone: str) -> bool:
        """Whether the rule watches this device; what the inventory does not know of it satisfies no restriction."""
        to = self.rule.applies_to
        return (
            (not to.communities or community.startswith(to.communities))
            and (not to.devices or name in to.devices)
            and (not to.zones or zone in to.zones)
            and (not to.profiles or (device is not None and device.profile in to.profiles))
            and (not to.metrics or (device is not None and not device.metrics.keys().isdisjoint(to.metrics)))
            and (device is None or device.metrics.keys().isdisjoint(to.without_metrics))
            and (self.rule.subject != "zone" or bool(zone))
        )

    def subject(self, gateway: str, device: str, zone: str) -> str:
        """Whose episode it is."""
        match self.rule.subject:
            case "device":
                return f"{gateway}/{device}"
            case "zone":
                return f"zone:{zone}"
            case _:
                return "community"

    def variant(self, community: str, device: str, zone: str) -> "Watcher":
        """The watcher with the numbers that count for this device."""
        fitting = tuple(number for number, one in enumerate(self.overrides) if _fits(one, community, device, zone))
        if not fitting:
            return self
        if fitting not in self._variants:
            self._variants[fitting] = Watcher(
                overridden(self.rule, [self.overrides[one] for one in fitting]), self.listed, self.times
            )
        return self._variants[fitting]

    @cached_property
    def _variants(self) -> dict[tuple[int, ...], "Watcher"]:
        return {}


class _Named(NamedTuple):
    """The communities, devices and zones that rules and overrides name; of others they ask only whether there is a zone."""

    communities: frozenset[str]
    devices: frozenset[str]
    zones: frozenset[str]

    def of(self, community: str, device: str, zone: str) -> tuple[object, ...]:
        """The same for all that rules do not tell apart."""
        where = tuple(prefix for prefix in self.communities if community.startswith(prefix))
        return where, device if device in self.devices else None, zone if zone in self.zones else bool(zone)


def _named(watchers: Iterable[Watcher]) -> _Named:
    named: list[AppliesTo | Override] = []
    for one in watchers:
        named += (one.rule.applies_to, *one.overrides)
    return _Named(*(frozenset(chain.from_iterable(getattr(one, what) for one in named)) for what in _Named._fields))


def _said_of(device: Device | None) -> tuple[object, ...]:
    """What rules may ask of a device's own words."""
    return (device.profile, *device.metrics) if device is not None else ()


class Rules:
    """``kinds`` is the catalogue, by id."""

    def __init__(self, watchers: Iterable[Watcher] = (), kinds: Iterable[CatalogueKind] = ()) -> None:
        self.watchers = {watcher.rule.id: watcher for watcher in watchers}
        self.kinds: Mapping[str, CatalogueKind] = {kind.id: kind for kind in kinds}
        self.absences = tuple(one for one in self.watchers.values() if isinstance(one.rule.when, Absence))
        self._by_kind: Mapping[Kind, tuple[Watcher, ...]] = {
            kind: tuple(
                one
                for one in self.watchers.values()
                if kind in one.rule.applies_to.kinds and not isinstance(one.rule.when, Absence)
            )
            for kind in Kind
        }
        self._named = {kind: _named(watchers) for kind, watchers in self._by_kind.items()}
        self._found: dict[tuple[object, ...], tuple[Watcher, ...]] = {}

    def __len__(self) -> int:
        return len(self.watchers)

    def judge(self, kind: Kind) -> bool:
        """Whether readings of this kind can matter to any rule."""
        return bool(self.absences or self._by_kind[kind])

    def watching(self, kind: Kind, community: str, name: str, device: Device | None, zone: str) -> tuple[Watcher, ...]:
        """The rules that judge readings of this device, each with its numbers; absences apart."""
        alike = (kind, *self._named[kind].of(community, name, zone), *_said_of(device))
        known = self._found.get(alike)
        if known is None:
            if len(self._found) >= MAX_ALIKE:
                self._found.clear()
            found = (one for one in self._by_kind[kind] if one.applies(community, name, device, zone))
            known = self._found[alike] = tuple(one.variant(community, name, zone) for one in found)
        return known

    def missing(self, community: str, device: Device) -> tuple[Watcher, ...]:
        """The rules that tell when a device is absent, each with its numbers."""
        found = (one for one in self.absences if device.kind in (one.rule.applies_to.kinds or (device.kind,)))
        fitting = (one for one in found if one.applies(community, device.id, device, device.zone))
        return tuple(one.variant(community, device.id, device.zone) for one in fitting)


def overridden(rule: Rule, overrides: Iterable[Override]) -> Rule:
    """The rule with what the overrides set, in their order."""
    for override in overrides:
        rule = replace(rule, when=replace(rule.when, **override.set))
    return rule


def _fits(override: Override, community: str, device: str, zone: str) -> bool:
    return (
        (not override.communities or community.startswith(override.communities))
        and (not override.devices or device in override.devices)
        and (not override.zones or zone in override.zones)
    )


def _shown(rule: Rule) -> tuple[str | None, str]:
    when = rule.when
    match when:
        case Threshold() | Rate() | Mean() | Anomaly() | Flatline():
            return when.metric, when.unit
        case Forecast():
            return when.metric, "min"
        case Duration(show=str(show)) | Match(show=str(show)) | Repeat(show=str(show)):
            return show, METRICS[rule.applies_to.kinds[0]][show].unit
        case Duration() | Absence():
            return None, "s"
        case AllOf() | AnyOf():
            numbers = (one for one in when.of if isinstance(one, Threshold | Rate | Mean | Anomaly))
            first = next(numbers, None)
            return (first.metric, first.unit) if first else (None, "")
        case Count() | Surplus() | Balance():
            return None, "count"
        case _:
            return None, ""
