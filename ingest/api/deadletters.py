"""``/api/v1/deadletters``: what could not be read or stored: looked at, tried again, dropped."""

import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ingest.api import cursor as cursors
from ingest.api.auth import Admin
from ingest.api.fields import Asked, Name, Said, said
from ingest.api.parts import Wired
from ingest.api.preconditions import Key
from ingest.api.problems import RESPONSES, not_there
from ingest.letterbox import After, Letter
from ingest.paging import Cursor
from telemetry import batch
from telemetry.errors import BatchInvalid
from telemetry.presence import Words

router = APIRouter(tags=["dead letters"], responses=RESPONSES)

LIST = "deadletters"
NOT_HERE = Words("在该令牌的范围内没有这条死信。", "There is no such dead letter in the token's scope.")


class LettersAsked(Asked):
    gateway: Name | None = None
    cursor: Annotated[str | None, Field(min_length=1, description="The `next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class LetterView(BaseModel):
    """What was set aside, without its bytes: it came `times` times. `origin`: a topic, or epoch, lane and seq of its batch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "5d41402abc4b2a76b9719d911017c592",
                    "community": "411202002001",
                    "gateway": "gw-jianye-1",
                    "first_at": "2026-11-23T08:00:00.123456Z",
                    "last_at": "2026-11-23T08:00:00.123456Z",
                    "times": 1,
                    "origin": "0123456789abcdef bulk 7",
                    "reason": "environment has no metric 'colour'",
                    "size": 118,
                }
            ]
        }
    )

    id: str
    community: str
    gateway: str
    first_at: Said
    last_at: Said
    times: int
    origin: str
    reason: str
    size: int


class LetterWhole(LetterView):
    """With its bytes: `text` when they are text, unpacked if they were compressed, else `hex`."""

    encoding: str
    body: str


class LettersPage(BaseModel):
    """Those that came last first. ``next`` is the ``cursor`` of the page after; null when this was the last."""

    items: list[LetterView]
    next: str | None


class TriedView(BaseModel):
    """`stored` readings of it are in the telemetry store now; `gone`: it is no dead letter now. `reason` of what still is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stored": 12, "gone": True, "reason": ""}]})

    stored: int
    gone: bool
    reason: str


@router.get("/api/v1/deadletters")
async def letters(parts: Wired, grant: Admin, asked: Annotated[LettersAsked, Query()]) -> LettersPage:
    """The dead letters of the token's communities."""
    begin = cursors.read(asked.cursor, LIST, grant.digest)
    found, after = await parts.letterbox.page(grant.scope, asked.gateway, After(*begin) if begin else None, asked.limit)
    following = cursors.write(Cursor(*after), LIST, grant.digest) if after else None
    return LettersPage(items=[LetterView(**_fields(letter)) for letter in found], next=following)


@router.get("/api/v1/deadletters/{id}")
async def letter(id: str, parts: Wired, grant: Admin, _asked: Annotated[Asked, Query()]) -> LetterWhole:
    """One dead letter with its bytes; 404 also when it is outside the token's scope."""
    found = await parts.letterbox.get(grant.scope, id)
    if found is None:
        raise not_there(NOT_HERE)
    encoding, body = shown(found.body)
    return LetterWhole(**_fields(found), encoding=encoding, body=body)


@router.post("/api/v1/deadletters/{id}/replay")
async def try_again(id: str, parts: Wired, grant: Admin, once: Key, _asked: Annotated[Asked, Query()]) -> TriedView:
    """Reads it again with the present program. What is sound now goes to the telemetry store, never to the rules."""
    tried = await parts.letterbox.try_again(grant.scope, id, once)
    if tried is None:
        raise not_there(NOT_HERE)
    return TriedView(stored=tried.stored, gone=tried.gone, reason=tried.reason)


@router.delete("/api/v1/deadletters/{id}", status_code=204)
async def drop(id: str, parts: Wired, grant: Admin, _asked: Annotated[Asked, Query()]) -> None:
    """Deletes it for good. The audit goes on counting it as missing."""
    if not await parts.letterbox.drop(grant.scope, id):
        raise not_there(NOT_HERE)


def shown(body: bytes) -> tuple[str, str]:
    """The bytes as text or as hex, and which of the two."""
    with contextlib.suppress(BatchInvalid):  # neither JSON nor zlib, or cut: shown as it came
        body = batch.unpack(body)
    try:
        return "text", body.decode()
    except UnicodeDecodeError:
        return "hex", body.hex()


def _fields(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "community": letter.ref.community,
        "gateway": letter.ref.gateway,
        "first_at": said(letter.first_at),
        "last_at": said(letter.last_at),
        "times": letter.times,
        "origin": letter.origin,
        "reason": letter.reason,
        "size": len(letter.body),
    }
