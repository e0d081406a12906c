"""The body of a work order's transition: read strictly, described by the same types that it is read with."""

import re
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request

from ingest.api.faults import in_both, malformed
from ingest.api.problems import NOT_JSON
from ingest.cases import Move

_decoder: msgspec.json.Decoder[Move] = msgspec.json.Decoder(Move)
_PLACE = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`\Z")


async def _read(request: Request) -> Move:
    if "json" not in request.headers.get("content-type", ""):
        raise malformed("body", NOT_JSON)
    try:
        return _decoder.decode(await request.body())
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        raise malformed(f"body.{place[1]}" if place and place[1] else "body", in_both(_PLACE.sub("", str(error)))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed("body", NOT_JSON) from error


def _whole(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with what it refers to in its place: it stands inside the description of a route."""
    if isinstance(schema, list):
        return [_whole(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _whole(value, definitions) for name, value in schema.items() if name != "discriminator"}


def _described() -> dict[str, Any]:
    (schema,), definitions = msgspec.json.schema_components([Move])
    examples = {
        "dispatch": {"action": "dispatch", "unit": "wuye-jianye", "assistants": [{"unit": "weibao", "task": "检修水泵"}]},
        "hand_in": {"action": "hand_in", "by": "王师傅", "result": "水泵已更换，水位恢复正常"},
        "close": {"action": "close", "by": "刘指挥"},
    }
    content = {
        "schema": _whole(schema, definitions),
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


MOVE = _described()
"""What OpenAPI says of the body."""

Moved = Annotated[Move, Depends(_read)]
