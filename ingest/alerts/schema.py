"""The JSON Schema of a rules file, for editors: made of the types that read it."""

from typing import Any

import msgspec

from ingest.alerts.rule import RulesFile


def schema() -> dict[str, Any]:
    found = msgspec.json.schema(RulesFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Linli alert rules", **found}
