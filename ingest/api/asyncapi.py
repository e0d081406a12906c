"""What comes without being asked for, as AsyncAPI 3: topics between gateway and centre, the stream, webhooks and the MQTT topic.

Made of the types that encode and decode it, so that it says what they do. Pure.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ingest.alerts import Alert, Colour
from ingest.api.alerts import AlertView
from ingest.cases import Case, Court, Step
from ingest.notify.envelope import CASE_FULL, CASE_THIN, CONTENT_TYPE, INSTANTS, THIN
from telemetry import __version__
from telemetry.ack import Ack
from telemetry.batch import Batch
from telemetry.command import Command, Reply
from telemetry.identity import COMMUNITY_PATTERN, NAME_PATTERN
from telemetry.presence import Inventory, State
from telemetry.topic import DEFAULT_ROOT, Leaf

_REF = "#/components/schemas/{name}"
_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_TOPICS: dict[Leaf, tuple[str, type, str]] = {
    Leaf.UP: ("receive", Batch, "Readings of a gateway, sealed; JSON, zlib-compressed when that is smaller (first byte 0x78)."),
    Leaf.STATE: ("receive", State, "Whether the gateway is connected, and its hello. Retained, and its last will."),
    Leaf.INVENTORY: ("receive", Inventory, "The devices of a gateway. Retained."),
    Leaf.REPLY: ("receive", Reply, "The answer to a command."),
    Leaf.ACK: ("send", Ack, "What the centre holds for good, signed with the gateway's key. Retained."),
    Leaf.CMD: ("send", Command, "What the centre asks of a gateway, with an expiry."),
}


def described() -> dict[str, Any]:
    """The document."""
    _, schemas = msgspec.json.schema_components([kind for _, kind, _ in _TOPICS.values()], ref_template=_REF)
    schemas |= {"AlertChange": _change(), "CloudEvent": _alert_event(), "WorkOrderEvent": _work_order_event()}
    schemas |= {"DigestEvent": _digest_event()}
    channels = {str(leaf): _topic(leaf, kind, said) for leaf, (_, kind, said) in _TOPICS.items()}
    operations = {f"{action}_{leaf}": _operation(action, str(leaf)) for leaf, (action, _, _) in _TOPICS.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Linli 邻里",
            "version": __version__,
            "description": "What passes without being asked for. Requests and answers: /openapi.json.",
        },
        "defaultContentType": "application/json",
        "channels": channels | {"stream": _stream(), "events": _events(), "webhook": _webhook()},
        "operations": operations | {f"send_{name}": _operation("send", name) for name in ("stream", "events", "webhook")},
        "components": {"schemas": schemas},
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _topic(leaf: Leaf, kind: type, said: str) -> dict[str, Any]:
    return {
        "address": f"{DEFAULT_ROOT}/{{slot}}/{{community}}/{{gateway}}/{leaf}",
        "description": said,
        "parameters": {
            "slot": {"description": "crc32 of the community, modulo 256."},
            "community": {"description": f"A division code: {COMMUNITY_PATTERN}"},
            "gateway": {"description": f"The gateway's id: {NAME_PATTERN}"},
        },
        "messages": {kind.__name__: {"payload": {"$ref": _REF.format(name=kind.__name__)}}},
        "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
    }


def _stream() -> dict[str, Any]:
    return {
        "address": "/api/v1/alerts/stream",
        "description": "Server-sent events. `id` is the alert's seq: sent back as Last-Event-ID, nothing is missed. An event"
        " `reset` says that the id is not of this centre. A comment comes at least every 15 s.",
        "messages": {
            "alert": {"contentType": "text/event-stream", "payload": {"$ref": _REF.format(name="AlertChange")}},
            "reset": {"contentType": "text/event-stream", "payload": {"type": "object", "maxProperties": 0}},
        },
        "bindings": {"http": {"bindingVersion": "0.3.0"}},
    }


def _events() -> dict[str, Any]:
    return {
        "address": "{topic}/{community}/{kind}",
        "description": "Changes of alerts and of work orders, and digests, for platforms that prefer MQTT, at QoS 1.",
        "parameters": {
            "topic": {"description": "As `notify.targets` says."},
            "community": {"description": f"A division code: {COMMUNITY_PATTERN}"},
            "kind": {"description": "The alert's kind, or the work order's; `digest`."},
        },
        "messages": {
            "change": {"contentType": CONTENT_TYPE, "payload": {"$ref": _REF.format(name="CloudEvent")}},
            "work_order": {"contentType": CONTENT_TYPE, "payload": {"$ref": _REF.format(name="WorkOrderEvent")}},
            "digest": {"contentType": CONTENT_TYPE, "payload": {"$ref": _REF.format(name="DigestEvent")}},
        },
        "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
    }


def _webhook() -> dict[str, Any]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}
    return {
        "address": None,
        "description": "POST to the receiver's address, signed as Standard Webhooks has it; 2xx takes it, 410 ends it.",
        "messages": {
            name: {"contentType": CONTENT_TYPE, "headers": headers, "payload": {"$ref": _REF.format(name=schema)}}
            for name, schema in (("change", "CloudEvent"), ("work_order", "WorkOrderEvent"), ("digest", "DigestEvent"))
        },
        "bindings": {"http": {"bindingVersion": "0.3.0"}},
    }


def _change() -> dict[str, Any]:
    """An alert as the API tells it, whole in itself."""
    schema = AlertView.model_json_schema(mode="serialization")
    whole: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return whole


def _alert_event() -> dict[str, Any]:
    """A thin one has of the alert what is required here, a full one all."""
    (_,), schemas = msgspec.json.schema_components([Alert])
    properties = _inlined(schemas["Alert"]["properties"], schemas)
    properties |= dict.fromkeys(INSTANTS, _INSTANT) | {"href": {"type": "string"}}
    return _cloud_event("alert", (*THIN, "href"), properties)


def _work_order_event() -> dict[str, Any]:
    """A thin one has of the work order what is required here, a full one all."""
    (_,), schemas = msgspec.json.schema_components([Case])
    known = _inlined(schemas["Case"]["properties"], schemas)
    properties = {name: known[name] for name in (*CASE_THIN, *CASE_FULL)}
    properties["units"] = {"type": "array", "items": {"type": "string"}}
    properties |= {"court": {"enum": list(Court)}, "step": {"enum": [*Step, None]}}
    properties |= {"due_at": _INSTANT, "href": {"type": "string"}}
    return _cloud_event("work_order", (*CASE_THIN, "units", "court", "step", "due_at", "href"), properties)


def _digest_event() -> dict[str, Any]:
    """How many alerts were over before anybody knew of them."""
    words = {"type": "object", "properties": {"zh": {"type": "string"}, "en": {"type": "string"}}}
    counted = {"kind": {"type": "string"}, "colour": {"enum": list(Colour)}, "title": words, "alerts": {"type": "integer"}}
    counts = {"type": "array", "items": {"type": "object", "required": list(counted), "properties": counted}}
    text, instant = {"type": "string"}, {"type": "string", "format": "date-time"}
    properties = {"community": text, "total": {"type": "integer"}, "counts": counts, "first_at": instant, "last_at": instant}
    properties["href"] = text
    return _cloud_event("alerts", tuple(properties), properties)


def _cloud_event(about: str, required: Sequence[str], properties: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string"}
    instant = {"type": "string", "format": "date-time"}
    envelope: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        **dict.fromkeys(("id", "source", "subject", "sequence", "severitytext"), text),
        "type": {"type": "string", "pattern": f"^linli\\.{about}\\.[a-z_]+$"},
        "time": instant,
        "recordedtime": instant,
        "severitynumber": {"type": "integer"},
        "drill": {"type": "boolean"},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False},
    }
    return {"type": "object", "required": list(envelope), "properties": envelope, "additionalProperties": False}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with what it refers to in its place."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}
