"""Who asks. Decided for each route by a dependency of the route itself, never by how the path is written."""

import math
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ingest.api.parts import Wired
from ingest.api.problems import Refused
from ingest.api.recorder import address_of
from ingest.tokens import Grant, Role
from telemetry.presence import Words

_bearer = HTTPBearer(auto_error=False, description="A token made with `linli ingest token add`.")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="linli"'}
WRONG_ROLE = "wrong-role"
NO_TOKEN = Words("请提供有效令牌: Authorization: Bearer linli_...", "Give a valid token: Authorization: Bearer linli_...")
READS_ONLY = Words("该令牌只能查看，操作需要 handler 角色。", "This token may read only; acting needs the role handler.")
NO_SUPERVISOR = Words(
    "施工、演练与规则回放需要 supervisor 角色的令牌。",
    "Works, drills and replays of rules need a token with the role supervisor.",
)
NO_ADMIN = Words(
    "补传、死信、通知与访问日志需要 admin 角色的令牌。",
    "Replays, dead letters, notifications and the access log need a token with the role admin.",
)
NOT_THE_WHOLE = Words(
    "此项涉及整个中心端，需要可见全部小区的 admin 令牌。",
    "This concerns the whole centre: it needs a token of the role admin that sees every community.",
)
TOO_OFTEN = Words("请求过于频繁，请稍后再试。", "This token asks too often: wait as long as Retry-After says.")
Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def grant_of(request: Request, parts: Wired, presented: Presented) -> Grant:
    """What the request's token allows; 401 without a valid one, 429 for one that asks too often."""
    now = parts.clock()
    found = parts.tokens.find(presented.credentials, now) if presented else None
    if found is None:
        raise Refused(401, "no-token", NO_TOKEN, _CHALLENGE)
    if parts.limits is not None and (wait_s := parts.limits.wait_s(found.name, now)):
        raise Refused(429, "too-often", TOO_OFTEN, {"Retry-After": str(math.ceil(wait_s))})
    request.state.grant = found
    parts.access_log.used(found, address_of(request.scope))
    return found


def _handler(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if grant.role is Role.VIEWER:
        raise Refused(403, WRONG_ROLE, READS_ONLY)
    return grant


def _supervisor(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if not grant.role.includes(Role.SUPERVISOR):
        raise Refused(403, WRONG_ROLE, NO_SUPERVISOR)
    return grant


def _admin(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if grant.role is not Role.ADMIN:
        raise Refused(403, WRONG_ROLE, NO_ADMIN)
    return grant


def _whole(grant: Annotated[Grant, Depends(_admin)], parts: Wired) -> Grant:
    if not parts.registry.is_within(grant.scope):
        raise Refused(403, "not-the-whole", NOT_THE_WHOLE)
    return grant


Viewer = Annotated[Grant, Depends(grant_of)]
Handler = Annotated[Grant, Depends(_handler)]
Supervisor = Annotated[Grant, Depends(_supervisor)]
Admin = Annotated[Grant, Depends(_admin)]
WholeAdmin = Annotated[Grant, Depends(_whole)]
"""For what is of no community: its answer or its effect would reach beyond a scope."""
