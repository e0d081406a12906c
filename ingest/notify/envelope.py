"""News as a CloudEvent 1.0, structured JSON. Pure.

``id`` is the same at every try; with ``source`` it is unique. ``sequence`` grows with every change of its ``subject``, so a
receiver can tell which of two is newer whatever order they come in. ``time`` is when it happened, ``recordedtime`` when we knew.
``drill``: nothing is wrong, people practise.
"""

from typing import Any

import msgspec

from ingest import instant
from ingest.alerts import Alert, Changed, Colour
from ingest.cases import Moved
from ingest.notify.digest import Digest
from ingest.notify.news import News, change_of, matter, number_of
from ingest.notify.outbox import Notice

CONTENT_TYPE = "application/cloudevents+json"

_SEVERITY = {Colour.RED: 21, Colour.ORANGE: 17, Colour.YELLOW: 13, Colour.BLUE: 9}
INSTANTS = ("opened_at", "cleared_at", "closed_at", "acked_at", "withdrawn_at", "shelved_until")
THIN = ("id", "seq", "kind", "family", "colour", "state", "community", "gateway", "device", "zone", "opened_at", "drill")


CASE_THIN = ("id", "no", "version", "kind", "colour", "stage", "community", "supervision", "report_due", "drill")
CASE_FULL = ("title", "place", "source", "device", "zone", "alerts", "counts", "result")


def cloud_event(notice: Notice, source: str, *, full: bool) -> bytes:
    """``full``: the alert as the API says it, title, place and value included; else what leads to it."""
    news = notice.news
    about = matter(news)
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": notice.message,
            "source": source,
            "type": f"linli.{_about(news)}.{change_of(news).replace(' ', '_')}",
            "subject": about.id,
            "time": instant.text(news.event_at),
            "recordedtime": instant.text(news.known_at),
            "sequence": f"{number_of(news):019d}",
            "severitytext": about.colour,
            "severitynumber": _SEVERITY[about.colour],
            "drill": about.drill,
            "datacontenttype": "application/json",
            "data": _data(news, full),
        }
    )


def _about(news: News) -> str:
    match news:
        case Changed():
            return "alert"
        case Moved():
            return "work_order"
        case Digest():
            return "alerts"


def _data(news: News, full: bool) -> dict[str, Any]:
    match news:
        case Changed():
            return _said(news.alert, full)
        case Moved():
            return _moved(news, full)
        case Digest():
            return _summed(news)


def _summed(digest: Digest) -> dict[str, Any]:
    """What was over before anybody knew, thin and full alike."""
    span = {"first_at": instant.text(digest.first_at), "last_at": instant.text(digest.last_at)}
    counts = [one._asdict() for one in digest.counts]
    return {"community": digest.community, "total": digest.total, "counts": counts, **span, "href": digest.href}


def _said(alert: Alert, full: bool) -> dict[str, Any]:
    whole = msgspec.structs.asdict(alert)
    said = whole if full else {name: whole[name] for name in THIN}
    for name in INSTANTS:
        if said.get(name) is not None:
            said[name] = instant.text(said[name])
    return said | {"href": f"/api/v1/alerts/{alert.id}"}


def _moved(moved: Moved, full: bool) -> dict[str, Any]:
    """``units`` are those whom it concerns, whose time for ``step`` ends at ``due_at``; none is the desk."""
    case = moved.case
    said = {name: getattr(case, name) for name in (*CASE_THIN, *(CASE_FULL if full else ()))}
    said |= {"court": moved.court, "units": moved.units, "step": moved.step}
    due_at = None if moved.due_at is None else instant.text(moved.due_at)
    return said | {"due_at": due_at, "href": f"/api/v1/work-orders/{case.id}"}
