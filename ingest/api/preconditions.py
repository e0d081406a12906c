"""``ETag``, ``If-Match`` and ``Idempotency-Key``: what a change was decided on, and that it is done once."""

import hashlib
import re
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from ingest.api.auth import Viewer
from ingest.api.problems import Refused
from ingest.once import Once
from telemetry.presence import Words

_ETAG = re.compile(r'"([1-9][0-9]{0,17})"\Z')

MISSING = Words("请在 If-Match 中给出您所见版本的 ETag。", "Give the ETag of the version you have seen as If-Match.")
STALE = Words("案件在此期间已有变化，请重新读取后再试。", "The work order has changed meanwhile: read it again, then decide.")
ALERT_STALE = Words("告警在此期间已有变化，请重新读取后再试。", "The alert has changed meanwhile: read it again, then decide.")


def etag(version: int) -> str:
    return f'"{version}"'


def unless_known(request: Request, response: Response, view: BaseModel) -> BaseModel | Response:
    """What is told, with a hash of it as ``ETag``; 304 without it to who has this already."""
    tag = f'"{hashlib.sha256(view.model_dump_json().encode()).hexdigest()[:20]}"'
    response.headers["ETag"] = tag
    known = (one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(","))
    return Response(status_code=304, headers={"ETag": tag}) if tag in known else view


def stale(version: int) -> Refused:
    """412, with the version that it is at now."""
    return Refused(412, "changed", STALE, {"ETag": etag(version)})


def alert_stale(version: int) -> Refused:
    return Refused(412, "changed", ALERT_STALE, {"ETag": etag(version)})


def _seen(
    if_match: Annotated[
        str | None, Header(max_length=100, description='The `ETag` of the alert that was seen, as `"42"`; may be left out.')
    ] = None,
) -> int | None:
    """The version that was seen, if one is named."""
    if if_match is None or if_match.strip() in ("", "*"):
        return None
    found = _ETAG.match(if_match.strip())
    if found is None:
        raise Refused(412, "changed", ALERT_STALE)
    return int(found[1])


def _version(
    if_match: Annotated[
        str | None, Header(max_length=100, description='The `ETag` of the version that was seen, as `"3"`.')
    ] = None,
) -> int:
    if if_match is None or if_match.strip() in ("", "*"):
        raise Refused(428, "if-match-missing", MISSING)
    found = _ETAG.match(if_match.strip())
    if found is None:
        raise Refused(412, "changed", STALE)
    return int(found[1])


async def _once(
    request: Request,
    grant: Viewer,
    idempotency_key: Annotated[
        str | None,
        Header(pattern=r"^[\x21-\x7e]{1,255}$", description="Asked again with the same key within 24 h, it is done once."),
    ] = None,
) -> Once | None:
    if idempotency_key is None:
        return None
    asked = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body())
    return Once(grant.name, idempotency_key, asked.hexdigest())


Seen = Annotated[int | None, Depends(_seen)]
Version = Annotated[int, Depends(_version)]
Key = Annotated[Once | None, Depends(_once)]
