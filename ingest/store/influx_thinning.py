"""Summaries that InfluxDB computes itself: the InfluxQL and its answers. Pure.

InfluxQL cannot ask for readings *without* a fault or an event, whose values may not count. So it computes those of devices that
told neither in the window, and names the others, which are computed from their rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from ingest.store.influxql import quoted
from ingest.store.line_protocol import EVENT_ID, FAULTS, QUALITY
from ingest.store.summary import SOUND, Level, Summary, is_measured
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef
from telemetry.metric import METRICS, Kind

_SELECTED = ("count", "min", "max", "mean", "last")
"""InfluxQL's names of what a summary says, in the order of ``Summary``."""

_Cell = int | float | bool | str | None


class Place(NamedTuple):
    ref: GatewayRef
    device: str


class _Tags(msgspec.Struct, frozen=True):
    community: str
    gateway: str
    device: str


class _Series(msgspec.Struct, frozen=True):
    name: Kind
    tags: _Tags
    columns: list[str]
    values: list[list[_Cell]]


class _Result(msgspec.Struct, frozen=True):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


_answers = msgspec.json.Decoder(_Answer)


def aggregates(gateways: Sequence[GatewayRef], start: int) -> str:
    """The statement for the sound values of the five minutes from ``start``; all of ``gateways`` are of one community."""
    fields = ", ".join(f"{name}(*)" for name in _SELECTED)
    sound = " OR ".join(f'"{QUALITY}" = {quoted(quality)}' for quality in SOUND)
    return _statement(fields, gateways, start, sound)


def unusual(gateways: Sequence[GatewayRef], start: int) -> str:
    """The statement for the devices that told a fault or an event."""
    told = f'"{FAULTS}" =~ /./ OR "{EVENT_ID}" =~ /./'
    fields = ", ".join(f'"{name}"' for name in (QUALITY, FAULTS, EVENT_ID))
    return f"{_statement(fields, gateways, start, told)} LIMIT 1"


def computed(body: bytes, start: int) -> Iterator[Summary]:
    """The summaries in the answer to ``aggregates``. Raises ``StoreUnavailable`` when it is none."""
    for series in _series(body):
        (values,) = series.values
        said = dict(zip(series.columns, values, strict=True))
        for metric in METRICS[series.name]:
            samples, *others = (said.get(f"{name}_{metric}") for name in _SELECTED)
            if samples and is_measured(series.name, metric):
                place = (series.tags.community, series.tags.gateway, series.tags.device, series.name, metric, start)
                yield Summary(*place, int(samples), *(float(value) for value in others if value is not None))


def places(body: bytes) -> set[Place]:
    """The devices in the answer to ``unusual``. Raises ``StoreUnavailable`` when it is none."""
    return {Place(GatewayRef(one.tags.community, one.tags.gateway), one.tags.device) for one in _series(body)}


def _statement(fields: str, gateways: Sequence[GatewayRef], start: int, also: str) -> str:
    kinds = ", ".join(f'"{kind}"' for kind in Kind)
    of = " OR ".join(f'"gateway" = {quoted(ref.gateway)}' for ref in gateways)
    end = start + Level.FIVE_MINUTES.width_us
    return (
        f'SELECT {fields} FROM {kinds} WHERE "community" = {quoted(gateways[0].community)} AND ({of})'  # noqa: S608 - escaped
        f' AND time >= {start * 1000} AND time < {end * 1000} AND ({also}) GROUP BY "community", "gateway", "device"'
    )


def _series(body: bytes) -> list[_Series]:
    try:
        answer = _answers.decode(body)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"an answer that is not InfluxDB's: {error}") from error
    if said := next(filter(None, (answer.error, *(result.error for result in answer.results))), ""):
        raise StoreUnavailable(f"the query was refused: {said}")
    return [series for result in answer.results for series in result.series]
