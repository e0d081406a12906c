"""A change of an alert as a CloudEvent 1.0, structured JSON. Pure.

``id`` is the same at every try; with ``source`` it is unique. ``sequence`` grows with every change, so a receiver can tell
which of two is newer whatever order they come in. ``time`` is when it happened, ``recordedtime`` when we knew. ``drill``: nothing
is wrong, people practise.
"""

from typing import Any

import msgspec

from ingest import instant
from ingest.alerts import Alert, Colour
from ingest.notify.outbox import Notice

CONTENT_TYPE = "application/cloudevents+json"

_SEVERITY = {Colour.RED: 21, Colour.ORANGE: 17, Colour.YELLOW: 13, Colour.BLUE: 9}
INSTANTS = ("opened_at", "cleared_at", "closed_at", "acked_at", "withdrawn_at", "shelved_until")
THIN = ("id", "seq", "kind", "family", "colour", "state", "community", "gateway", "device", "zone", "opened_at", "drill")


def cloud_event(notice: Notice, source: str, *, full: bool) -> bytes:
    """``full``: the alert as the API says it, title, place and value included; else what leads to it."""
    alert, transition, event_at, known_at = notice.changed
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": notice.message,
            "source": source,
            "type": f"linli.alert.{transition.replace(' ', '_')}",
            "subject": alert.id,
            "time": instant.text(event_at),
            "recordedtime": instant.text(known_at),
            "sequence": f"{alert.seq:019d}",
            "severitytext": alert.colour,
            "severitynumber": _SEVERITY[alert.colour],
            "drill": alert.drill,
            "datacontenttype": "application/json",
            "data": _said(alert, full),
        }
    )


def _said(alert: Alert, full: bool) -> dict[str, Any]:
    whole = msgspec.structs.asdict(alert)
    said = whole if full else {name: whole[name] for name in THIN}
    for name in INSTANTS:
        if said.get(name) is not None:
            said[name] = instant.text(said[name])
    return said | {"href": f"/api/v1/alerts/{alert.id}"}
