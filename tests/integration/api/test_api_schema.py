"""What the API says of itself is true: whatever is made from its description, it answers as described and never breaks."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from api_centre import Centre
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

EXAMPLES = 6
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
ENDLESS = "/api/v1/alerts/stream"


def operations(url: str) -> Iterator[Any]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path != ENDLESS:
            yield operation


def ask(operation: Any, mode: GenerationMode, token: str) -> bool:
    """Whether there was anything to ask: what takes no parameters cannot be asked otherwise than described."""

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def try_one(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    try:
        try_one()
    except Unsatisfiable:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "otherwise"])
async def test_whatever_is_asked_the_answer_is_as_described_and_no_failure(centre: Centre, mode: GenerationMode) -> None:
    await centre.raise_alert()
    url = f"http://127.0.0.1:{centre.port}"
    asked = 0
    for operation in await asyncio.to_thread(lambda: list(operations(url))):
        asked += await asyncio.to_thread(ask, operation, mode, centre.made["admin"])
    assert asked >= 30
