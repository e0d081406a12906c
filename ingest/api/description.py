"""How the API describes itself: OpenAPI with an example wherever something is taken or given. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

Node = dict[str, Any]


def with_examples(openapi: Node) -> Node:
    """The description, with the example of each body and answer that has none of its own put together from its schema."""
    for operations in openapi["paths"].values():
        for operation in operations.values():
            for content in _contents(operation):
                if "example" not in content and "examples" not in content:
                    found = example(openapi, content.get("schema", {}))
                    if found is not None:
                        content["example"] = _whole(openapi, content["schema"], found)
    return openapi


def _contents(operation: Node) -> Iterator[Node]:
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()


def example(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """The example of a schema, put together from those of its parts; ``None`` when it has none."""
    schema = resolved(openapi, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    branches = (example(openapi, branch) for branch in schema.get("anyOf", ()))
    if (first := next((found for found in branches if found is not None), None)) is not None:
        return first
    if schema.get("type") == "array":
        inner = example(openapi, schema.get("items", {}))
        return None if inner is None else [inner]
    if "properties" in schema:
        found = {name: example(openapi, inner) for name, inner in schema["properties"].items()}
        if all(value is None for value in found.values()):
            return None
        return {name: _plain(openapi, schema["properties"][name]) if value is None else value for name, value in found.items()}
    return None


def _plain(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """The plainest value of a type that shows nothing by example."""
    schema = resolved(openapi, schema)
    if "properties" in schema:
        return {name: _plain(openapi, schema["properties"][name]) for name in schema.get("required", ())}
    if "enum" in schema:
        return schema["enum"][0]
    plain = {"integer": 0, "number": 0.0, "boolean": False, "string": "", "array": [], "object": {}}
    return plain.get(schema.get("type", ""))


def _whole(openapi: Mapping[str, Any], schema: Mapping[str, Any], said: Any) -> Any:
    """An example with what it leaves out, as FastAPI leaves nulls out of what stands in a schema."""
    branches = [resolved(openapi, branch) for branch in schema.get("anyOf", [schema])]
    schema = next((branch for branch in branches if branch.get("type") != "null"), schema)
    if isinstance(said, list):
        return [_whole(openapi, schema.get("items", {}), one) for one in said]
    if not isinstance(said, dict):
        return said
    parts: Mapping[str, Any] = schema.get("properties", {})
    missing = {name: _plain(openapi, parts[name]) for name in schema.get("required", ()) if name not in said}
    return {name: _whole(openapi, parts.get(name, {}), value) for name, value in said.items()} | missing


def resolved(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found
