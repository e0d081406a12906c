"""How a case begins: from an alert, or from what a person reports. Pure; it is numbered when it is written down."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from ingest.alerts import Alert, Colour
from ingest.alerts.rule import CatalogueKind
from ingest.alerts.when import micros
from ingest.cases.case import Case, Source, Stage, Times
from ingest.cases.clock import Step, begun
from ingest.cases.terms import Terms
from telemetry.presence import Words


class Practice(NamedTuple):
    """What the catalogue says of a kind: how long the work may take (working time), when it is filed, what proves it done."""

    handle_limit: int | None = None
    file_when: Words = Words()
    close_when: Words = Words()


Catalogue = Callable[[str], Practice]


def catalogue_of(kinds: Mapping[str, CatalogueKind]) -> Catalogue:
    def practice(kind: str) -> Practice:
        said = kinds.get(kind)
        if said is None:
            return Practice()
        done_s = said.sla.done_s
        return Practice(None if done_s is None else micros(done_s), said.file_when, said.close_when)

    return practice


def unsaid(_kind: str) -> Practice:
    """A catalogue that says nothing of any kind."""
    return Practice()


def from_alert(alert: Alert, subject: str, practice: Practice, stage: Stage, at: int, terms: Terms) -> Case:
    """A case of an alert, at ``stage``: reported, or filed when its rule vouches for it."""
    fresh = Case(
        id="",
        no="",
        community=alert.community,
        source=Source.SENSOR,
        colour=alert.colour,
        title=alert.title,
        place=alert.place,
        description=f"{alert.text.zh} {alert.text.en}".strip()[:4000],
        kind=alert.kind,
        rule=alert.rule,
        subject=subject,
        device=alert.device,
        zone=alert.zone,
        alerts=(alert.id,),
        opened_at=alert.opened_at,
        handle_limit=practice.handle_limit,
        file_when=practice.file_when,
        close_when=practice.close_when,
        drill=alert.drill,
        times=Times(at),
    )
    return _begun(fresh, stage, at, terms)


def from_report(
    community: str,
    source: Source,
    colour: Colour,
    title: Words,
    place: Words,
    description: str,
    opened_at: int,
    at: int,
    terms: Terms,
) -> Case:
    """A case that no sensor has seen, reported by a person or a platform."""
    fresh = Case(
        id="",
        no="",
        community=community,
        source=source,
        colour=colour,
        title=title,
        place=place,
        description=description,
        kind="reported",
        opened_at=opened_at,
        times=Times(at),
        touched=True,
    )
    return _begun(fresh, Stage.REPORTED, at, terms)


def _begun(case: Case, stage: Stage, at: int, terms: Terms) -> Case:
    if stage is Stage.FILED:
        case = replace(case, times=replace(case.times, accepted=at, filed=at))
    step = Step.ACCEPT if stage is Stage.REPORTED else Step.DISPATCH
    return replace(case, stage=stage, clock=begun(step, terms.limit(case.colour, step), at))
