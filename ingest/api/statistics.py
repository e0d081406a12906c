"""``/api/v1/statistics`` and ``/api/v1/regions``: how much people are told, and where; the places that it is counted by."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ingest.alerts import Colour
from ingest.alerts.statistics import MINUTE_US, By, Delay, Group, Statistics
from ingest.api.auth import Viewer
from ingest.api.faults import malformed
from ingest.api.fields import Asked, Instant, Prefix, Said, WordsView, said
from ingest.api.parts import Parts, Wired
from ingest.api.problems import RESPONSES
from ingest.paging import narrowed
from ingest.regions import Level, Region, level_of
from telemetry.identity import PREFIX_LENGTHS
from telemetry.presence import Words

router = APIRouter(tags=["statistics"], responses=RESPONSES)

DAY_US = 24 * 60 * MINUTE_US
HOUR_US = 60 * MINUTE_US
LONGEST_US = 366 * DAY_US
TARGETS = {Colour.RED: 0.05, Colour.YELLOW: 0.15, Colour.BLUE: 0.80}
"""EEMUA 191: 5 % high, 15 % medium, 80 % low."""


class StatisticsAsked(Asked):
    start: Annotated[Instant | None, Field(alias="from", description="Seven days before `to` unless given.")] = None
    end: Annotated[Instant | None, Field(alias="to", description="Before this instant; now unless given.")] = None
    by: By = By.COMMUNITY
    region: Annotated[Prefix | None, Field(description="A division code or the start of one.")] = None


class DelayView(BaseModel):
    """Of ``count`` alerts, in seconds; null of none."""

    count: int
    mean_s: float | None
    median_s: float | None


class MixView(BaseModel):
    """``target`` is the share that EEMUA 191 recommends; orange has none."""

    colour: Colour
    alerts: int
    share: float
    target: float | None


class GroupView(BaseModel):
    """``key`` is a code, a kind or a colour; ``name`` of a code that has one."""

    key: str
    name: WordsView | None
    alerts: int
    per_hour: float
    per_day: float
    mix: list[MixView]
    to_ack: DelayView
    to_close: DelayView


class TopDeviceView(BaseModel):
    community: str
    gateway: str
    device: str
    alerts: int
    share: float


class TopRuleView(BaseModel):
    rule: str
    alerts: int
    share: float


class FloodView(BaseModel):
    """Minutes with ten alerts or more in the ten minutes up to it; EEMUA's target is a share under 0.01."""

    community: str
    minutes: int
    share: float


class StatisticsView(BaseModel):
    """What people were told: drills are left out, and what was suppressed, folded into a flood or shelved from the start."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-16T08:00:00.000000Z",
                    "to": "2026-11-23T08:00:00.000000Z",
                    "by": "colour",
                    "whole": {
                        "key": "",
                        "name": None,
                        "alerts": 168,
                        "per_hour": 1.0,
                        "per_day": 24.0,
                        "mix": [
                            {"colour": "red", "alerts": 8, "share": 0.048, "target": 0.05},
                            {"colour": "orange", "alerts": 0, "share": 0.0, "target": None},
                            {"colour": "yellow", "alerts": 30, "share": 0.179, "target": 0.15},
                            {"colour": "blue", "alerts": 130, "share": 0.774, "target": 0.8},
                        ],
                        "to_ack": {"count": 160, "mean_s": 412.5, "median_s": 95.0},
                        "to_close": {"count": 158, "mean_s": 5400.0, "median_s": 1800.0},
                    },
                    "groups": [],
                    "top_devices": [
                        {"community": "411202002001", "gateway": "gw-1", "device": "b3-pump-level", "alerts": 21, "share": 0.125}
                    ],
                    "top_rules": [{"rule": "sump-high", "alerts": 34, "share": 0.202}],
                    "floods": [{"community": "411202002001", "minutes": 12, "share": 0.001}],
                }
            ]
        },
    )

    start: Annotated[Said, Field(alias="from")]
    end: Annotated[Said, Field(alias="to")]
    by: By
    whole: GroupView
    groups: list[GroupView]
    top_devices: list[TopDeviceView]
    top_rules: list[TopRuleView]
    floods: list[FloodView]


class RegionsAsked(Asked):
    at: Annotated[Instant | None, Field(description="Codes change: what there was at this instant; now unless given.")] = None
    under: Annotated[Prefix | None, Field(description="A division code or the start of one.")] = None
    level: Level | None = None


class RegionView(BaseModel):
    """``parent`` is the nearest ancestor that there is, which may be more than one level up, and lie outside the token's scope.

    ``open`` counts what is open now in it and below it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "411202002",
                    "level": "street",
                    "name": {"zh": "前进街道", "en": ""},
                    "parent": "411202",
                    "valid_from": None,
                    "valid_until": None,
                    "open": {"red": 0, "orange": 0, "yellow": 2, "blue": 5},
                }
            ]
        }
    )

    code: str
    level: Level
    name: WordsView | None
    parent: str | None
    valid_from: Said | None
    valid_until: Said | None
    open: dict[Colour, int]


class RegionsView(BaseModel):
    items: list[RegionView]


@router.get("/api/v1/statistics", response_model_by_alias=True)
async def statistics(parts: Wired, grant: Viewer, asked: Annotated[StatisticsAsked, Query()]) -> StatisticsView:
    """How much people were told: rate, mix, the devices and rules that tell most, floods, and how soon alerts are acknowledged
    and closed. A code that has no entry of its own counts under its nearest ancestor that has."""
    until = parts.clock() if asked.end is None else asked.end
    since = until - 7 * DAY_US if asked.start is None else asked.start
    if not since < until <= since + LONGEST_US:
        words = Words("应早于 'to'，且最多相差 366 天", "it is before 'to', and by at most 366 days")
        raise malformed("query.from", words)
    scope = narrowed(grant.scope, asked.region) if asked.region else grant.scope
    known = {seen.ref.community for seen in parts.registry.gateways(scope)}

    def rolled(code: str) -> str:
        there = any(community.startswith(code) for community in known) and len(code) >= Level.COMMUNITY.digits
        return code if there else parts.regions.nearest(code, until)

    found = await parts.alerts.statistics(scope, since, until, asked.by, rolled)
    return _view(parts, found, since, until, asked.by)


@router.get("/api/v1/regions")
async def regions(parts: Wired, grant: Viewer, asked: Annotated[RegionsAsked, Query()]) -> RegionsView:
    """The places of the token's scope, with what is open in each: counties, streets, and the communities that have gateways."""
    at = parts.clock() if asked.at is None else asked.at
    scope = narrowed(grant.scope, asked.under) if asked.under else grant.scope
    found = {region.code: region for region in parts.regions.under(scope.prefixes, at)}
    communities = {seen.ref.community for seen in parts.registry.gateways(scope)}
    found = {code: Region(code, Words()) for code in sorted(communities)} | found
    counts = await parts.alerts.open_by_community(scope)
    return RegionsView(
        items=[_region(parts, found[code], at, counts.items()) for code in sorted(found) if asked.level in (None, level_of(code))]
    )


def _region(parts: Parts, region: Region, at: int, counts: Iterable[tuple[str, Mapping[Colour, int]]]) -> RegionView:
    inside = [colours for community, colours in counts if community.startswith(region.code)]
    parent = parts.regions.parent(region.code, at)
    return RegionView(
        code=region.code,
        level=level_of(region.code),
        name=WordsView.of(region.name) if region.name.zh else None,
        parent=parent.code if parent else None,
        valid_from=said(region.since),
        valid_until=said(region.until),
        open={colour: sum(colours.get(colour, 0) for colours in inside) for colour in Colour},
    )


def _view(parts: Parts, found: Statistics, since: int, until: int, by: By) -> StatisticsView:
    all_of_them = found.whole.alerts or 1
    minutes = (until - since) / MINUTE_US
    return StatisticsView(
        start=said(since) or "",
        end=said(until) or "",
        by=by,
        whole=_group(parts, found.whole, since, until),
        groups=[_group(parts, group, since, until) for group in found.groups],
        top_devices=[TopDeviceView(**top._asdict(), share=_share(top.alerts / all_of_them)) for top in found.devices],
        top_rules=[TopRuleView(**top._asdict(), share=_share(top.alerts / all_of_them)) for top in found.rules],
        floods=[
            FloodView(community=community, minutes=flooded, share=_share(flooded / minutes))
            for community, flooded in found.floods.items()
        ],
    )


def _group(parts: Parts, group: Group, since: int, until: int) -> GroupView:
    region = parts.regions.find(group.key, until) if len(group.key) in PREFIX_LENGTHS else None
    return GroupView(
        key=group.key,
        name=WordsView.of(region.name) if region else None,
        alerts=group.alerts,
        per_hour=round(group.alerts * HOUR_US / (until - since), 3),
        per_day=round(group.alerts * DAY_US / (until - since), 3),
        mix=[
            MixView(
                colour=colour,
                alerts=group.colours.get(colour, 0),
                share=_share(group.colours.get(colour, 0) / (group.alerts or 1)),
                target=TARGETS.get(colour),
            )
            for colour in Colour
        ],
        to_ack=_delay(group.ack),
        to_close=_delay(group.close),
    )


def _delay(delay: Delay) -> DelayView:
    if not delay.of:
        return DelayView(count=0, mean_s=None, median_s=None)
    return DelayView(count=delay.of, mean_s=round(delay.mean / 1e6, 3), median_s=round(delay.median / 1e6, 3))


def _share(share: float) -> float:
    return round(share, 4)
