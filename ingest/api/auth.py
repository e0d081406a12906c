"""Who asks. Decided for each route by a dependency of the route itself, never by how the path is written."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from ingest.api.parts import Wired
from ingest.tokens import Grant, Role

_bearer = HTTPBearer(auto_error=False, description="A token made with `linli ingest token add`.")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="linli"'}
Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def grant_of(parts: Wired, presented: Presented) -> Grant:
    """What the request's token allows; 401 without a valid one."""
    found = parts.tokens.find(presented.credentials, parts.clock()) if presented else None
    if found is None:
        raise HTTPException(401, "Give a valid token: Authorization: Bearer linli_...", _CHALLENGE)
    return found


def _handler(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if grant.role is Role.VIEWER:
        raise HTTPException(403, "This token may read only; acting needs the role handler.")
    return grant


def _supervisor(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if not grant.role.includes(Role.SUPERVISOR):
        raise HTTPException(403, "Works and drills are announced with a token of the role supervisor.")
    return grant


def _admin(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if grant.role is not Role.ADMIN:
        raise HTTPException(403, "Replays, dead letters and notifications need a token with the role admin.")
    return grant


Viewer = Annotated[Grant, Depends(grant_of)]
Handler = Annotated[Grant, Depends(_handler)]
Supervisor = Annotated[Grant, Depends(_supervisor)]
Admin = Annotated[Grant, Depends(_admin)]
