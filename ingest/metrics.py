"""What the centre counts of itself, and its Prometheus text.

Counters grow from the start of the program; rates are the reader's. ``render`` is pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.alerts import AlertState, Colour
from ingest.registry import GatewaySeen
from telemetry.metric import Kind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Stats:
    """Plain counters; whoever does the thing counts it. ``readings`` counts by kind what was new, not what came again."""

    batches: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    overflowed: int = 0
    dead_letters: int = 0
    unasked: int = 0
    store_errors: int = 0
    rule_failures: int = 0
    readings: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))


class Sample(NamedTuple):
    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    """One metric: ``type`` is counter or gauge."""

    name: str
    type: str
    help: str
    samples: Sequence[Sample]


def families(stats: Stats, alerts: Mapping[tuple[Colour, AlertState], int], gateways: Iterable[GatewaySeen]) -> Iterator[Family]:
    """Everything ``/metrics`` says. ``alerts`` counts by colour and state."""
    for name, value, help_ in (
        ("batches", stats.batches, "Batches received that were new."),
        ("duplicates", stats.duplicates, "Batches received again and skipped."),
        ("out_of_order", stats.out_of_order, "Batches that came before an earlier one and waited for it."),
        ("overflowed", stats.overflowed, "Batches that found no room; what is not acknowledged comes again."),
        ("dead_letters", stats.dead_letters, "Messages and readings set aside as poison."),
        ("unasked", stats.unasked, "Replayed batches and replies that no open replay had asked for; they are dropped."),
        ("store_errors", stats.store_errors, "Writes that a store did not confirm."),
        ("rule_failures", stats.rule_failures, "Readings that a rule failed on; the other rules went on."),
    ):
        yield Family(f"linli_{name}_total", "counter", help_, [Sample({}, value)])
    by_kind = [Sample({"kind": kind}, count) for kind, count in stats.readings.items()]
    yield Family("linli_readings_total", "counter", "Readings received that were new, by kind.", by_kind)
    by_colour = [
        Sample({"colour": colour, "state": state}, alerts.get((colour, state), 0)) for colour in Colour for state in AlertState
    ]
    yield Family("linli_alerts", "gauge", "Alerts by colour and state.", by_colour)
    yield from _gateway_families(list(gateways))


def render(these: Iterable[Family]) -> str:
    """Prometheus text format 0.0.4."""
    return "".join(f"{line}\n" for family in these for line in _lines(family))


def _gateway_families(gateways: Sequence[GatewaySeen]) -> Iterator[Family]:
    up = [Sample(_labels(gateway), int(gateway.online)) for gateway in gateways]
    yield Family("linli_gateway_online", "gauge", "1 while the gateway is connected.", up)
    for metric, name, help_ in (
        ("oldest_unsent", "oldest_unsent_seconds", "Age of the gateway's oldest reading not yet acknowledged."),
        ("clock_offset", "clock_offset_seconds", "The centre's clock minus the gateway's."),
        ("outbox", "outbox_bytes", "Size of the gateway's outbox file."),
        ("outbox_lost", "outbox_lost", "Readings that the gateway thinned, gave up or refused, since it started."),
        ("outbox_failing", "outbox_failing", "1 while the gateway's disk takes nothing."),
        ("outbox_salvaged", "outbox_salvaged", "Times the gateway's outbox was damaged and salvaged, since it started."),
        ("acks_refused", "acks_refused", "Acknowledgements that the gateway did not believe, since it started."),
        ("connections_taken", "connections_taken", "Connections of the gateway that ended at once, since it started."),
        ("undecodable", "undecodable", "Messages of devices that the gateway could not decode, since it started."),
        ("thinned", "thinned", "Measurements over MQTT that the gateway left out of a storm, since it started."),
        ("timeouts", "timeouts", "Polls that a device did not answer, since the gateway started."),
        ("refused", "refused", "Requests that a device refused, since the gateway started."),
        ("polls_missed", "polls_missed", "Polls that the gateway had no time for, since it started."),
    ):
        said = [
            Sample(_labels(gateway), float(value))
            for gateway in gateways
            if isinstance(value := gateway.health.get(metric), int | float)
        ]
        yield Family(f"linli_gateway_{name}", "gauge", help_, said)


def _labels(gateway: GatewaySeen) -> dict[str, str]:
    return {"community": gateway.ref.community, "gateway": gateway.ref.gateway}


def _lines(family: Family) -> Iterator[str]:
    escaped = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {escaped}"
    yield f"# TYPE {family.name} {family.type}"
    for labels, value in family.samples:
        inside = ",".join(f'{name}="{_escape(text)}"' for name, text in labels.items())
        yield f"{family.name}{{{inside}}} {value!r}" if inside else f"{family.name} {value!r}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
