"""The rules of devices alike, sorted by what a reading says.

A reading's *shape* is the metrics that it carries. Which rules listen to it, and which of them need look at all while nothing
stands, is worked out once for each shape and shared by all devices with the same rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.alerts.calm import calm_of, hears_many, takes_any_order
from ingest.alerts.calm_tests import Calm, always, every, never
from ingest.alerts.fold import may_fold
from ingest.alerts.machine import Machine
from ingest.alerts.rules import Watcher
from telemetry.metric import Value

MAX_SHAPES = 256


@dataclass(frozen=True)
class Ask:
    """One rule that listens: ``slot`` is its place among a subject's states, unless readings tell subjects apart by
    ``discriminator``; ``any_order``, ``forgets`` and ``folds``: ``calm.takes_any_order``, and whether what ``began`` may be
    forgotten, and windows take readings in place."""

    watcher: Watcher
    machine: Machine[Any]
    calm: Calm
    slot: tuple[str, str]
    discriminator: str | None
    subject: str
    any_order: bool
    forgets: bool
    folds: bool


@dataclass(frozen=True)
class Listening:
    """Who listens to a shape: ``asks`` all of them, ``wary`` those who may care while nothing stands, unless values are ``calm``.
    ``zone`` and ``community``: whether such are the subjects of any of them; ``shares``: whether one is."""

    asks: tuple[Ask, ...]
    wary: tuple[Ask, ...]
    calm: Calm
    zone: bool
    community: bool
    shares: bool


class Watch:
    """The rules of the devices that have the same; of one community where any of them is local to it."""

    def __init__(self, watchers: tuple[Watcher, ...], community: str) -> None:
        self._machines = [(watcher, watcher.machine(community)) for watcher in watchers]
        self._listening: dict[tuple[str, ...], Listening] = {}

    def listening(self, values: Mapping[str, Value]) -> Listening:
        """Who listens to a reading with these values."""
        return self._listening.get(tuple(values)) or self._worked_out(tuple(values))

    def _worked_out(self, shape: tuple[str, ...]) -> Listening:
        if len(self._listening) >= MAX_SHAPES:
            self._listening.clear()
        found = self._listening[shape] = self._found(frozenset(shape))
        return found

    def _found(self, shape: frozenset[str]) -> Listening:
        asks = tuple(
            ask_of(watcher, machine, shape)
            for watcher, machine in self._machines
            if not machine.metrics.isdisjoint(shape) and _says_which(watcher.rule.discriminator, shape)
        )
        subjects = {ask.subject for ask in asks}
        wary = tuple(ask for ask in asks if ask.calm is not always)
        calm = every([ask.calm for ask in wary])
        zone, community = "zone" in subjects, "community" in subjects
        return Listening(asks, wary, calm, zone, community, zone or community)


def _says_which(discriminator: str | None, shape: frozenset[str]) -> bool:
    return discriminator is None or discriminator in shape


def is_orderly(watcher: Watcher, machine: Machine[Any]) -> bool:
    """Whether nothing but a reading's own device has to be asked if it is the newest: not where several devices share a state
    that takes none but newer readings."""
    return watcher.rule.subject == "device" or hears_many(machine)


def ask_of(watcher: Watcher, machine: Machine[Any], shape: frozenset[str]) -> Ask:
    rule, orderly = watcher.rule, is_orderly(watcher, machine)
    return Ask(
        watcher,
        machine,
        calm_of(machine, shape) if orderly else never,
        (rule.id, ""),
        rule.discriminator,
        rule.subject,
        takes_any_order(machine),
        orderly,
        may_fold(machine),
    )
