"""``/api/v1/access-log`` and ``/api/v1/tokens``: who did what through the API, and which tokens there are."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ingest.access_log import Wanted
from ingest.api.auth import Admin, WholeAdmin
from ingest.api.checks import CheckView, check_view
from ingest.api.fields import Asked, Instant, Said, said
from ingest.api.parts import Wired
from ingest.api.problems import RESPONSES
from ingest.tokens import Role

router = APIRouter(tags=["access"], responses=RESPONSES)


class AccessLogAsked(Asked):
    token: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    since: Annotated[Instant | None, Field(description="At this instant or later.")] = None
    until: Annotated[Instant | None, Field(description="Before this instant.")] = None
    before: Annotated[int | None, Field(ge=1, lt=2**63, description="The `next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class AccessView(BaseModel):
    """One request that may have changed something, or one whose answer says who was where. `scope` is what the token saw then."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "seq": 812,
                    "at": "2026-11-23T08:00:00.123456Z",
                    "token": "wuye-jianye",
                    "role": "handler",
                    "scope": ["411202002001"],
                    "method": "GET",
                    "path": "/api/v1/readings",
                    "query": "kind=access&from=2026-11-23T08:00:00Z",
                    "status": 200,
                    "address": "10.2.0.17",
                    "digest": "9f86d081…",
                }
            ]
        }
    )

    seq: int
    at: Said
    token: str
    role: str
    scope: list[str]
    method: str
    path: str
    query: str
    status: int
    address: str
    digest: str


class AccessPage(BaseModel):
    """Newest first. `next` is the `before` of the page after; null when this was the last. A page may be empty and yet not the
    last."""

    items: list[AccessView]
    next: int | None


class TokenView(BaseModel):
    """`former`: it was rotated, and opens the same as the new one until `expires`. `scope` is what it sees now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "wuye-jianye",
                    "role": "handler",
                    "unit": "wuye-jianye",
                    "scope": ["411202002001"],
                    "expires": "2027-11-23T08:00:00.000000Z",
                    "former": False,
                    "last_used_at": "2026-11-23T08:00:00.123456Z",
                    "last_used_from": "10.2.0.17",
                }
            ]
        }
    )

    name: str
    role: Role
    unit: str
    scope: list[str]
    expires: Said | None
    former: bool
    last_used_at: Said | None
    last_used_from: str


class TokensView(BaseModel):
    items: list[TokenView]


@router.get("/api/v1/access-log")
async def access_log(parts: Wired, grant: Admin, asked: Annotated[AccessLogAsked, Query()]) -> AccessPage:
    """What was done through the API, newest first: of tokens that saw no more than this one does."""
    wanted = Wanted(asked.token, asked.since, asked.until, asked.before)
    found, following = await parts.access_log.page(grant.scope, wanted, asked.limit)
    items = [AccessView(**{**entry._asdict(), "at": said(entry.at) or "", "scope": entry.scope.split()}) for entry in found]
    return AccessPage(items=items, next=following)


@router.get("/api/v1/access-log/check")
async def check(parts: Wired, _grant: WholeAdmin, _asked: Annotated[Asked, Query()]) -> CheckView:
    """Whether the access log is what was written: nothing changed, put in, taken out before its time. It reads all of it."""
    return check_view(await parts.access_log.check())


@router.get("/api/v1/tokens")
async def tokens(parts: Wired, grant: Admin, _asked: Annotated[Asked, Query()]) -> TokensView:
    """The tokens that see no more than this one does, by name, with when they were used last."""
    uses, seen, items = await parts.access_log.uses(), set[str](), []
    for listed in parts.tokens.listed():
        former, now = listed.name in seen, parts.tokens.still(listed.digest, parts.clock()) or listed
        seen.add(listed.name)
        prefixes = (*listed.scope.prefixes, *(term.prefix for term in listed.terms))
        if all(grant.scope.covers(prefix) for prefix in prefixes):
            use = uses.get(listed.name)
            items.append(
                TokenView(
                    name=listed.name,
                    role=listed.role,
                    unit=listed.unit,
                    scope=list(now.scope.prefixes),
                    expires=said(listed.expires_at),
                    former=former,
                    last_used_at=said(use.at) if use else None,
                    last_used_from=use.address if use else "",
                )
            )
    return TokensView(items=sorted(items, key=lambda item: (item.name, item.former)))
