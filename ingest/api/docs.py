"""The page ``/docs``: the OpenAPI description as plain HTML, readable without a network, without scripts."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from ingest.api.description import resolved

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}}
pre{{background:#f4f4f4;padding:.7rem;overflow:auto;font-size:14px}}
h2{{border-top:1px solid #ccc;padding-top:1rem;font-size:1.1rem}}
td,th{{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0}} code{{background:#f4f4f4}}</style>
<h1>{title} {version}</h1>"""


def page(openapi: Mapping[str, Any]) -> str:
    """One section for each operation: what it does, its parameters, an example of its answer."""
    title, version = escape(openapi["info"]["title"]), escape(openapi["info"]["version"])
    intro = "".join(f"<p>{escape(paragraph)}" for paragraph in openapi["info"].get("description", "").split("\n\n"))
    link = '<p>For programs: <a href="/openapi.json">openapi.json</a>'
    sections = (
        "".join(_section(openapi, method, path, operation))
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    )
    return "\n".join((_HEAD.format(title=title, version=version), intro, link, *sections))


def _section(openapi: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}"
    parameters = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] != "cookie"]
    if parameters:
        yield "<table>"
        yield from (_row(openapi, parameter) for parameter in parameters)
        yield "</table>"
    content = operation.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
    if (example := content.get("example")) is not None:
        yield f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"


def _row(openapi: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    schema = parameter.get("schema", {})
    choices = _choices(openapi, schema)
    said = parameter.get("description") or schema.get("description") or ""
    return f"<tr><th><code>{escape(parameter['name'])}</code><td>{escape(' | '.join(choices))}<td>{escape(said)}</tr>"


def _choices(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What a parameter may be: its words, or its type."""
    branches = [resolved(openapi, branch) for branch in schema.get("anyOf", [schema])]
    found = [str(word) for branch in branches for word in branch.get("enum", ())]
    types = [str(branch.get("format") or branch["type"]) for branch in branches if branch.get("type") not in (None, "null")]
    return found or types
