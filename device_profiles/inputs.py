"""What a site has wired to the contacts of a module: each input is given the word of the vocabulary that it means there.

1. A bound profile says those words and nothing else, and its readings are of the kind whose words they are: eight inputs may be
   a fire panel, a barrier or a lift, and other inputs of the same module another device. They are urgent: who runs a wire to a
   contact wants to know of it at once.
2. A contact that opens when the thing comes about is ``inverted``; what could not be read means neither.
3. Nothing is guessed: where words are of several kinds, the site says which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from device_profiles.profile import Point, Profile
from telemetry.document import nearest
from telemetry.metric import METRICS, Kind, ValueType

Fault = tuple[str, str, str]
"""``(path, reason, cure)``; the path is that inside the device."""

SPOKEN = tuple(kind for kind in Kind if kind is not Kind.GATEWAY)


class Meaning(NamedTuple):
    """The word that an input stands for; ``inverted``: true while the contact is open."""

    word: str
    inverted: bool = False


def input_faults(profile: Profile, inputs: Mapping[str, Meaning], kind: Kind | None) -> Iterator[Fault]:
    """What keeps a profile from being bound to these inputs; with none, a ``kind`` alone is a fault."""
    if not inputs:
        if kind is not None:
            yield "kind", f"is what {profile.id} says it is: {profile.kind}", "leave it out; it is for devices with inputs"
        return
    contacts = [point.name for point in profile.points.values() if _is_contact(point)]
    seen: dict[str, str] = {}
    for name, meaning in inputs.items():
        if name not in contacts:
            known = nearest(name, contacts) if contacts else "choose a profile of an input module, read by Modbus"
            yield f"inputs.{name}", f"{profile.id} has no contact {name!r}", known
        elif (first := seen.setdefault(meaning.word, name)) != name:
            yield f"inputs.{name}", f"says {meaning.word}, as {first} does", "what stands twice is two devices at one address"
    wrong = [name for name, meaning in inputs.items() if not any(_has(each, meaning.word) for each in SPOKEN)]
    for name in wrong:
        yield f"inputs.{name}", f"no word {inputs[name].word!r} for yes or no", nearest(inputs[name].word, _words(kind))
    if not wrong:
        yield from _kind_faults([meaning.word for meaning in inputs.values()], kind)


def with_inputs(profile: Profile, inputs: Mapping[str, Meaning], kind: Kind | None) -> Profile:
    """The profile of one device at its site, which ``input_faults`` found nothing wrong with; the same where it has no inputs."""
    return _bound(profile, tuple(sorted(inputs.items())), kind) if inputs else profile


def _kind_faults(words: list[str], kind: Kind | None) -> Iterator[Fault]:
    able = _kinds(words)
    if kind is not None and kind not in able:
        strange = ", ".join(word for word in words if not _has(kind, word)) or "these"
        yield "kind", f"{kind} has no word {strange}", f"say kind: {_or(able)}" if able else "make a device of each kind"
    elif not able:
        reason = "are of no one kind: " + ", ".join(f"{word} is of {_or(_kinds([word]))}" for word in words)
        yield "inputs", reason, "make a device of each kind, with inputs of its own at the same address"
    elif kind is None and len(able) > 1:
        yield "kind", f"is missing: {', '.join(words)} may be of {_or(able)}", f"say kind: {able[0]}, or another of them"


def _kinds(words: list[str]) -> list[Kind]:
    return [kind for kind in SPOKEN if all(_has(kind, word) for word in words)]


def _has(kind: Kind, word: str) -> bool:
    metric = METRICS[kind].get(word)
    return metric is not None and metric.type is ValueType.BOOL


def _words(kind: Kind | None) -> set[str]:
    return {word for each in ((kind,) if kind else SPOKEN) for word in METRICS[each] if _has(each, word)}


def _is_contact(point: Point) -> bool:
    return point.is_polled and point.type is ValueType.BOOL


def _or(kinds: list[Kind]) -> str:
    return " or ".join(kinds)


@lru_cache(maxsize=1024)
def _bound(profile: Profile, inputs: tuple[tuple[str, Meaning], ...], kind: Kind | None) -> Profile:
    spoken = kind or _kinds([meaning.word for _, meaning in inputs])[0]
    wired = {name: _wired(profile.points[name], meaning) for name, meaning in inputs}
    needed = {other for point in wired.values() for other in point.needs}
    needed |= {other for name in needed for other in profile.points[name].needs}
    helpers = {name: replace(profile.points[name], metric=None) for name in needed - wired.keys()}
    return replace(profile, kind=spoken, points=helpers | wired, mqtt=None)


def _wired(point: Point, meaning: Meaning) -> Point:
    conversion = replace(point.conversion, invert=point.conversion.invert is not meaning.inverted)
    return replace(point, metric=meaning.word, conversion=conversion, urgent=True)
