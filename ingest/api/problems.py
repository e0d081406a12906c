"""Errors as RFC 9457 ``application/problem+json``: what is wrong and what to do, never a trace of our insides."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from telemetry.errors import StoreUnavailable


class Fault(BaseModel):
    """One thing wrong with one place of the request."""

    where: str
    reason: str


class Problem(BaseModel):
    """An error. ``detail`` is for people; programs look at ``status`` and at the places in ``errors``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Bad Request",
                    "status": 400,
                    "detail": "The request cannot be taken as it is.",
                    "instance": "/api/v1/alerts",
                    "errors": [{"where": "query.colour", "reason": "Input should be 'red', 'orange', 'yellow' or 'blue'"}],
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] = []


def _schema() -> dict[str, Any]:
    """A problem's JSON Schema, whole in itself: a reference would point nowhere in the API's own description."""
    schema = Problem.model_json_schema()
    schema["properties"]["errors"]["items"] = schema.pop("$defs")["Fault"]
    return schema


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "400 the request is malformed, 401 no valid token, 403 the token may not do this, "
        "404 not there or outside the token's scope, 413 the body is too large, 429 too many streams",
        "content": {"application/problem+json": {"schema": _schema()}},
    }
}


def problem(
    request: Request, status: int, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, instance=request.url.path, errors=list(errors)
    ).model_dump(exclude_defaults=True)
    return JSONResponse({"type": "about:blank"} | body, status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Makes every error that leaves ``app`` a problem."""
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(StoreUnavailable)(_unavailable)
    app.exception_handler(Exception)(_broken)


async def _refused(request: Request, error: HTTPException) -> JSONResponse:
    return problem(request, error.status_code, error.detail, headers=error.headers)


async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = [Fault(where=".".join(str(step) for step in fault["loc"]), reason=fault["msg"]) for fault in error.errors()[:20]]
    detail = "The request cannot be taken as it is."
    if request.method == "POST" and "json" not in request.headers.get("content-type", ""):
        detail += " A body is JSON and says so: Content-Type: application/json."
    return problem(request, 400, detail, faults)


async def _unavailable(request: Request, _error: Exception) -> JSONResponse:
    return problem(request, 503, "The store does not answer now.", headers={"Retry-After": "5"})


async def _broken(request: Request, _error: Exception) -> JSONResponse:
    return problem(request, 500, "Something is wrong in the centre; its log says what.")
