"""What is wrong with a rule beyond its shape: words that nobody knows, units that differ, limits that no sensor can reach,
conditions that can never hold. Each fault is its path inside the rule, the reason, and a cure."""

from collections.abc import Iterator

from ingest.alerts.rule import AppliesTo, Override, Rule
from ingest.alerts.text import NAMES, faults
from ingest.alerts.vocabulary import Fault, metric_faults
from ingest.alerts.when import Absence, Anomaly, Correlation, Count, Flatline, Match, Sequence
from ingest.alerts.when_faults import Known, when_faults
from telemetry.document import nearest
from telemetry.metric import METRICS, Kind, ValueType


def rule_faults(rule: Rule, known: Known) -> Iterator[Fault]:
    """Everything wrong with one rule."""
    yield from _text_faults(rule)
    yield from _clearing_faults(rule)
    yield from _time_faults(rule, known)
    yield from _scope_faults(rule.applies_to)
    kinds = rule.applies_to.kinds
    if isinstance(rule.when, Absence):
        if rule.subject != "device" or rule.discriminator or rule.during or rule.stages:
            yield "subject", "an absence is of a device, at all times", "leave out subject, discriminator, during and stages"
        return
    if not kinds:
        yield "applies_to.kinds", "is missing", f"name the kinds of reading it watches: {', '.join(Kind)}"
        return
    if rule.discriminator:
        yield from metric_faults(rule.discriminator, kinds, "discriminator", (ValueType.TEXT, ValueType.INT))
    yield from when_faults(rule.when, kinds, "when", known)
    yield from _subject_faults(rule)
    for number, stage in enumerate(rule.stages):
        if stage.when is not None:
            yield from when_faults(stage.when, kinds, f"stages[{number}].when", known)


def override_faults(rule: Rule, override: Override) -> Iterator[Fault]:
    """What is wrong with an override by itself."""
    if not (override.communities or override.zones or override.devices):
        yield "rule", "it names no community, zone or device", "change the rule itself"
    if override.devices and rule.subject != "device":
        yield "devices", f"{rule.id} judges a {rule.subject}", "name zones or communities"
    if override.zones and rule.subject == "community":
        yield "zones", f"{rule.id} judges a community", "name communities"
    if not override.set:
        yield "set", "is empty", "name a key of the rule's `when` and its value"
    fields = rule.when.__struct_fields__
    for name in override.set:
        if name not in fields:
            yield f"set.{name}", f"{rule.id} has no {name!r} in its `when`", nearest(name, fields)


def _scope_faults(to: AppliesTo) -> Iterator[Fault]:
    known = {name for kind in to.kinds or Kind for name in METRICS[kind]}
    for path, names in (("metrics", to.metrics), ("without_metrics", to.without_metrics)):
        for name in names:
            if name not in known:
                yield f"applies_to.{path}", f"no device of {', '.join(to.kinds or Kind)} says {name!r}", nearest(name, known)
    if to.metrics and set(to.metrics) <= set(to.without_metrics):
        yield "applies_to.without_metrics", "leaves out every device that metrics lets in", "name each metric in one of them"


def _text_faults(rule: Rule) -> Iterator[Fault]:
    for name, words in (("title", rule.title), ("text", rule.text)):
        for language in ("zh", "en"):
            template: str = getattr(words, language)
            if not template.strip():
                yield f"{name}.{language}", "is missing", "say it in both languages"
            for fault in faults(template):
                yield f"{name}.{language}", fault, f"known: {', '.join(sorted(NAMES))}"


def _clearing_faults(rule: Rule) -> Iterator[Fault]:
    when = rule.when
    is_event = isinstance(when, Match) or (isinstance(when, Sequence) and "event" in when.happens)
    if rule.clear_after_quiet_s is not None and not is_event:
        yield "clear_after_quiet_s", "is for events; this condition says itself when it is over", "leave it out"
    if rule.clear_after_quiet_s is None and is_event and not rule.latch:
        yield "latch", "an event is over at once and the alert with it", "give latch: true or clear_after_quiet_s"


def _time_faults(rule: Rule, known: Known) -> Iterator[Fault]:
    if rule.lateness.late_s > rule.lateness.historical_s:
        yield "lateness.late_s", "is longer than historical_s", "what is late comes before what is historical"
    named = [("during", rule.during)] + [(f"stages[{n}].during", stage.during) for n, stage in enumerate(rule.stages)]
    for path, name in named:
        if name is not None and name not in known.schedules:
            yield path, f"no schedule {name!r}", nearest(name, known.schedules)
    for number, stage in enumerate(rule.stages):
        if not stage.after_s and stage.during is None and stage.when is None:
            yield f"stages[{number}]", "holds always", "give after_s, during or when, or the rule another colour"
        if stage.colour == rule.colour:
            yield (
                f"stages[{number}].colour",
                f"is {stage.colour} as the rule's own",
                "give another colour, or leave the stage out",
            )


def _subject_faults(rule: Rule) -> Iterator[Fault]:
    when = rule.when
    several = (isinstance(when, Correlation) and when.devices > 1) or (
        isinstance(when, Count) and when.distinct == "device" and when.count > 1
    )
    if rule.subject == "device" and several:
        yield "subject", "one device can never be several", "give subject: zone or community"
    among_siblings = isinstance(when, Flatline) or (isinstance(when, Anomaly) and when.method == "peers")
    if rule.subject != "zone" and among_siblings:
        yield "subject", "siblings are the devices of a zone", "give subject: zone"
