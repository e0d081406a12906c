"""Errors as RFC 9457 ``application/problem+json``: what is wrong and what to do, never a trace of our insides."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from ingest.api.language import prefers_chinese
from ingest.once import KeyReused
from telemetry.errors import StoreUnavailable
from telemetry.presence import Words


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
        "404 not there or outside the token's scope, 409 not now, 412 it has changed meanwhile, 413 the body is too large, "
        "422 an Idempotency-Key was used for something else, 428 If-Match is missing, 429 too many streams, or asked too often",
        "content": {"application/problem+json": {"schema": _schema()}},
    }
}


TITLES = {
    403: "无权操作",
    404: "不存在",
    409: "无法执行",
    412: "版本已变",
    422: "内容不符",
    428: "缺少版本",
    429: "请求过多",
}


REUSED = Words("该 Idempotency-Key 已用于其他请求。", "This Idempotency-Key was used for another request.")


class Refused(Exception):
    """A refusal in the language of who asks. ``kind`` makes a ``type`` that programs may rely on."""

    def __init__(self, status: int, kind: str, words: Words, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.kind = kind
        self.words = words
        self.headers = dict(headers or {})
        super().__init__(words.en)


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
    app.exception_handler(Refused)(_told)
    app.exception_handler(KeyReused)(_reused)
    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(StoreUnavailable)(_unavailable)
    app.exception_handler(Exception)(_broken)


async def _refused(request: Request, error: HTTPException) -> JSONResponse:
    return problem(request, error.status_code, error.detail, headers=error.headers)


async def _told(request: Request, error: Refused) -> JSONResponse:
    chinese = prefers_chinese(request.headers.get("accept-language", ""))
    body = {
        "type": f"urn:linli:problem:{error.kind}",
        "title": TITLES[error.status] if chinese else HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.words.zh if chinese else error.words.en,
        "instance": request.url.path,
    }
    headers = {**error.headers, "Content-Language": "zh-CN" if chinese else "en", "Vary": "Accept-Language"}
    return JSONResponse(body, error.status, headers, media_type="application/problem+json")


async def _reused(request: Request, _error: KeyReused) -> JSONResponse:
    return await _told(request, Refused(422, "key-reused", REUSED))


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
