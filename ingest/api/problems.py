"""Errors as RFC 9457 ``application/problem+json``: what is wrong and what to do, never a trace of our insides.

1. Every error is told in the language that the request would rather read, Chinese or English.
2. Each has a ``type`` that programs may rely on; it never changes its meaning.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from ingest.api.faults import Wrong, wrong
from ingest.api.language import prefers_chinese
from ingest.once import KeyReused
from telemetry.errors import StoreUnavailable
from telemetry.presence import Words

MOST_FAULTS = 20


class Fault(BaseModel):
    """One thing wrong with one place of the request."""

    where: str
    reason: str


class Problem(BaseModel):
    """An error. ``title``, ``detail`` and ``reason`` are for people, by ``Accept-Language``; programs look at ``type``,
    ``status`` and the places in ``errors``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:linli:problem:malformed",
                    "title": "Bad Request",
                    "status": 400,
                    "detail": "The request cannot be taken as it is.",
                    "instance": "/api/v1/alerts",
                    "errors": [{"where": "query.colour", "reason": "it is one of 'red', 'orange', 'yellow' or 'blue'"}],
                }
            ]
        }
    )

    type: str
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
    400: "请求有误",
    401: "未经认证",
    403: "无权操作",
    404: "不存在",
    405: "方法不支持",
    408: "请求超时",
    409: "无法执行",
    412: "版本已变",
    413: "内容过大",
    422: "内容不符",
    428: "缺少版本",
    429: "请求过多",
    500: "内部错误",
    503: "暂不可用",
}

MALFORMED = Words("请求有误，无法受理。", "The request cannot be taken as it is.")
NOT_JSON = Words("请求正文不是合法的 JSON。", "The body is not JSON.")
SAY_JSON = Words(
    " 正文须为 JSON，并注明 Content-Type: application/json。", " A body is JSON and says so: Content-Type: application/json."
)
NO_PAGE = Words("没有这个地址，全部接口见 /docs。", "There is nothing at this address; /docs shows all that there is.")
NO_METHOD = Words("该地址不接受此方法，可用的见 Allow。", "This address does not take that method; Allow says which it takes.")
REUSED = Words("该 Idempotency-Key 已用于其他请求。", "This Idempotency-Key was used for another request.")
AWAY = Words("存储暂时没有响应，请稍后再试。", "The store does not answer now.")
BROKEN = Words("中心端内部出错，原因见其日志。", "Something is wrong in the centre; its log says what.")


class Refused(HTTPException):
    """A refusal in the language of who asks. ``kind`` makes a ``type`` that programs may rely on.

    An ``HTTPException``, because the framework lets no other error out of a body that is being read.
    """

    def __init__(self, status: int, kind: str, words: Words, headers: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.words = words
        super().__init__(status, words.en, headers)


def not_there(words: Words) -> Refused:
    """404, also for what the token may not see."""
    return Refused(404, "not-there", words)


def problem(
    request: Request,
    status: int,
    kind: str,
    words: Words,
    faults: Iterable[Wrong] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    is_chinese = prefers_chinese(request.headers.get("accept-language", ""))
    phrase = HTTPStatus(status).phrase
    body = Problem(
        type=f"urn:linli:problem:{kind}",
        title=TITLES.get(status, phrase) if is_chinese else phrase,
        status=status,
        detail=words.zh if is_chinese else words.en,
        instance=request.url.path,
        errors=[Fault(where=one.where, reason=one.words.zh if is_chinese else one.words.en) for one in faults],
    )
    language = {"Content-Language": "zh-CN" if is_chinese else "en", "Vary": "Accept-Language"}
    told = body.model_dump(exclude_defaults=True)
    return JSONResponse(told, status, {**(headers or {}), **language}, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Makes every error that leaves ``app`` a problem."""
    app.exception_handler(HTTPException)(_of_the_framework)
    app.exception_handler(Refused)(_refused)
    app.exception_handler(KeyReused)(_reused)
    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(StoreUnavailable)(_unavailable)
    app.exception_handler(Exception)(_broken)


async def _of_the_framework(request: Request, error: HTTPException) -> JSONResponse:
    match error.status_code:
        case 400:
            kind, words = "malformed", NOT_JSON
        case 404:
            kind, words = "no-such-page", NO_PAGE
        case 405:
            kind, words = "no-such-method", NO_METHOD
        case _:
            kind, words = "refused", Words(error.detail, error.detail)
    return problem(request, error.status_code, kind, words, headers=error.headers)


async def _refused(request: Request, error: Refused) -> JSONResponse:
    return problem(request, error.status_code, error.kind, error.words, headers=error.headers)


async def _reused(request: Request, _error: KeyReused) -> JSONResponse:
    return problem(request, 422, "key-reused", REUSED)


async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    words = MALFORMED
    if request.method == "POST" and "json" not in request.headers.get("content-type", ""):
        words = Words(words.zh + SAY_JSON.zh, words.en + SAY_JSON.en)
    return problem(request, 400, "malformed", words, [wrong(one) for one in error.errors()[:MOST_FAULTS]])


async def _unavailable(request: Request, _error: Exception) -> JSONResponse:
    return problem(request, 503, "store-away", AWAY, headers={"Retry-After": "5"})


async def _broken(request: Request, _error: Exception) -> JSONResponse:
    return problem(request, 500, "broken", BROKEN)
