"""What the API says of itself is whole, and what comes unasked is as its document says."""

import asyncio
import json
import threading
from typing import Any

import jsonschema
import pytest
from api_centre import HERE, NOW, Centre
from test_api_stream import following, following_one

from ingest.api import app
from ingest.notify.envelope import cloud_event
from telemetry import ack, batch, command, presence
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory, Span, State
from telemetry.reading import Micros, Reading
from tests.notices import notice, reminder

REF = GatewayRef(HERE, "gw-1")
EPOCH = "0" * 16


async def test_every_operation_is_summed_up_and_has_answers_with_examples(centre: Centre) -> None:
    described = (await centre.get("/openapi.json", None)).json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"] and operation["description"], where
            good = [code for code in operation["responses"] if code.startswith("2")]
            assert good, where
            if path.startswith("/api/"):
                assert "4XX" in operation["responses"], where
            contents = [operation.get("requestBody", {}), *operation["responses"].values()]
            for kind, content in ((kind, one) for each in contents for kind, one in each.get("content", {}).items()):
                streams = kind in ("text/event-stream", "text/csv") or "schema" not in content
                assert streams or "example" in content or "examples" in content, f"{where}: {kind}"


async def test_the_description_is_made_once_and_beside_the_loop(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    makers: list[int] = []
    made = app.with_examples

    def noted(openapi: dict[str, Any]) -> dict[str, Any]:
        makers.append(threading.get_ident())
        return made(openapi)

    monkeypatch.setattr(app, "with_examples", noted)
    answers = await asyncio.gather(*(centre.get(path, None) for path in ("/openapi.json", "/docs", "/openapi.json")))
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json() == answers[2].json()
    assert len(makers) == 1
    assert makers[0] != threading.get_ident()


async def test_every_example_is_what_its_schema_says(centre: Centre) -> None:
    described = (await centre.get("/openapi.json", None)).json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for each in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in each.get("content", {}).values():
                    schema = {**content.get("schema", {}), "components": described["components"]}
                    for example in examples(content):
                        jsonschema.validate(example, schema), f"{method} {path}"


def examples(content: dict[str, Any]) -> list[Any]:
    return [content["example"]] if "example" in content else [one["value"] for one in content.get("examples", {}).values()]


@pytest.fixture
async def document(centre: Centre) -> dict[str, Any]:
    found: dict[str, Any] = (await centre.get("/asyncapi.json", None)).json()
    return found


def check(document: dict[str, Any], name: str, body: bytes | str) -> None:
    """The schema of this name takes the message."""
    jsonschema.validate(json.loads(body), {"$ref": f"#/components/schemas/{name}", "components": document["components"]})


async def test_the_document_of_what_comes_unasked_points_nowhere_in_vain(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in document["channels"]
    for reference in set(json.dumps(document).split('"$ref": "')[1:]):
        step: Any = document
        for name in reference.partition('"')[0].removeprefix("#/").split("/"):
            step = step[name]
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema), name


async def test_messages_between_gateway_and_centre_are_as_the_document_says(document: dict[str, Any]) -> None:
    reading = Reading(device="b3-level", kind=Kind.ENVIRONMENT, at=Micros(NOW), values={"level": 1.5})
    sealed = batch.Batch(gateway="gw-1", epoch=EPOCH, lane=batch.Lane.BULK, seq=1, sealed_at=NOW, sent_at=NOW, readings=[reading])
    check(document, "Batch", batch.unpack(batch.encode(sealed)))
    marks = [ack.Mark(EPOCH, batch.Lane.BULK, 1)]
    check(document, "Ack", ack.encode(ack.Ack(at=NOW, marks=marks), REF, b"k" * 32))
    check(document, "State", presence.encode(State(online=True, at=NOW, hello=[Span(EPOCH, batch.Lane.BULK, 1, 1)])))
    device = Device(id="b3-level", kind=Kind.ENVIRONMENT, profile="level-qdy30a")
    check(document, "Inventory", presence.encode(Inventory(at=NOW, hash="x", devices=[device])))
    check(document, "Reply", command.encode_reply(command.Reply(id="a" * 16, at=NOW, done=True)))
    with pytest.raises(jsonschema.ValidationError):
        check(document, "State", b'{"online": 1}')


async def test_a_change_comes_over_the_stream_as_the_document_says(centre: Centre, document: dict[str, Any]) -> None:
    async with following(centre) as events:
        await centre.raise_alert()
        check(document, "AlertChange", (await following_one(events))["data"])


@pytest.mark.parametrize("full", [True, False])
async def test_a_webhook_is_sent_what_the_document_says(document: dict[str, Any], full: bool) -> None:
    check(document, "CloudEvent", cloud_event(notice(), "/linli", full=full))
    check(document, "WorkOrderEvent", cloud_event(notice(reminder()), "/linli", full=full))
