"""What is wrong with one place of a request, in both languages. Pure.

The checks of the framework speak English alone, and of themselves; here each of their complaints has words of ours.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi.exceptions import RequestValidationError

from telemetry.presence import Words


class Wrong(NamedTuple):
    """A place of the request, as ``query.colour`` or ``body.filter.since``, and what is wrong there."""

    where: str
    words: Words


class Unfit(ValueError):
    """A value that a check of ours refuses, in words for who sent it."""

    def __init__(self, zh: str, en: str) -> None:
        self.words = Words(zh, en)
        super().__init__(en)


def malformed(where: str, words: Words) -> RequestValidationError:
    """A request whose place ``where`` is wrong, found later than by its types."""
    return RequestValidationError([{"loc": tuple(where.split(".")), "msg": words.en, "ctx": {"words": words}}])


_NUMBER = Words("应为整数", "it is a whole number")
_TRUTH = Words("应为 true 或 false", "it is true or false")
_TEXT = Words("应为文本", "it is text")
_LIST = Words("应为列表", "it is a list")
_OBJECT = Words("应为 JSON 对象", "it is a JSON object")

_WORDS = {
    "extra_forbidden": Words("没有这一项，请核对拼写", "there is nothing of that name: look at its spelling"),
    "missing": Words("缺少此项", "it is missing"),
    "enum": Words("应为以下之一: {expected}", "it is one of {expected}"),
    "literal_error": Words("应为以下之一: {expected}", "it is one of {expected}"),
    "string_pattern_mismatch": Words("格式不符: {pattern}", "it does not match {pattern}"),
    "string_too_short": Words("至少 {min_length} 个字符", "it has {min_length} characters at least"),
    "string_too_long": Words("最多 {max_length} 个字符", "it has {max_length} characters at most"),
    "too_short": Words("至少 {min_length} 项", "it has {min_length} items at least"),
    "too_long": Words("最多 {max_length} 项", "it has {max_length} items at most"),
    "greater_than_equal": Words("不得小于 {ge}", "it is {ge} at least"),
    "less_than_equal": Words("不得大于 {le}", "it is {le} at most"),
    "greater_than": Words("应大于 {gt}", "it is more than {gt}"),
    "less_than": Words("应小于 {lt}", "it is less than {lt}"),
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_from_float": _NUMBER,
    "int_type": _NUMBER,
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "string_type": _TEXT,
    "string_unicode": Words("不是合法的 UTF-8 文本", "it is not text in UTF-8"),
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "json_invalid": Words("不是合法的 JSON", "it is not JSON"),
}
"""By the types of errors of pydantic and FastAPI, with their own values."""

_MOVES = (
    (re.compile(r"Object missing required field `(.+)`"), Words("缺少字段 {0}", "the field {0} is missing")),
    (
        re.compile(r"Object contains unknown field `(.+)`"),
        Words("没有字段 {0}，请核对拼写", "there is no field {0}: look at its spelling"),
    ),
    (re.compile(r"Expected `(.+)`, got `.+`"), Words("应为 {0}", "it is {0}")),
    (re.compile(r"Invalid (?:enum )?value (.+)"), Words("没有 {0} 这种取值", "{0} is none of its words")),
)
"""Complaints of msgspec, which reads what a work order is moved with."""


def wrong(error: Mapping[str, Any]) -> Wrong:
    """One complaint of a check, as ``RequestValidationError.errors`` lists it."""
    where = ".".join(str(step) for step in error["loc"])
    context = error.get("ctx") or {}
    if isinstance(said := context.get("words"), Words):
        return Wrong(where, said)
    if isinstance(own := context.get("error"), Unfit):
        return Wrong(where, own.words)
    if (known := _WORDS.get(error.get("type", ""))) is not None:
        return Wrong(where, Words(known.zh.format_map(context), known.en.format_map(context)))
    return Wrong(where, in_both(error["msg"]))


def in_both(complaint: str) -> Words:
    """A complaint of msgspec in both languages; any other as it stands."""
    for pattern, words in _MOVES:
        if found := pattern.fullmatch(complaint):
            return Words(words.zh.format(*found.groups()), words.en.format(*found.groups()))
    return Words(complaint, complaint)
