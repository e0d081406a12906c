"""The text of a YAML document to a typed, frozen value, or to every problem in it at once.

Strict: unknown keys, wrong types and missing keys are all refused, each with its path and a cure. Reading the file is the
caller's; this module only sees text.
"""

import difflib
import math
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from telemetry.cure import wanted
from telemetry.errors import ConfigInvalid, Problem
from telemetry.yaml_text import MAX_DEPTH, MAX_TEXT, parse

__all__ = ["MAX_TEXT", "convert", "nearest", "parse", "read"]

_T = TypeVar("_T")


def read(text: str, file: str, type_: type[_T]) -> _T:
    """The value of ``type_`` that a YAML text says. Raises ``ConfigInvalid`` with every problem."""
    data = parse(text, file)
    return convert({} if data is None else data, file, type_)


def convert(data: Any, file: str, type_: type[_T], path: str = "") -> _T:
    """Plain data as ``type_``. Raises ``ConfigInvalid`` with every problem."""
    problems = list(_problems(data, type_, path, file))
    if problems:
        raise ConfigInvalid(problems)
    try:
        return msgspec.convert(data, type_, strict=True)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        raise ConfigInvalid([Problem(file, f"{path}{where.rstrip('`')}".lstrip("."), reason)]) from error


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """The cure for a misspelt word."""
    choices = sorted(known)
    close = difflib.get_close_matches(str(word), choices, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(choices[:20])}{', ...' if len(choices) > 20 else ''}" if choices else "nothing is known here"


def _problems(data: Any, type_: Any, path: str, file: str, depth: int = 0) -> Iterator[Problem]:
    if depth > MAX_DEPTH:
        yield Problem(file, path, f"nested deeper than {MAX_DEPTH}")
        return
    type_ = _alternative(_bare(type_), data)
    origin = get_origin(type_)
    if origin in (typing.Union, types.UnionType) and isinstance(data, dict) and (tags := _tags(type_)):
        key, known = tags
        said = data.get(key)
        reason = f"unknown {key} {said!r}" if key in data else "is missing"
        yield Problem(file, f"{path}.{key}".lstrip("."), reason, nearest(str(said), known))
    elif isinstance(type_, type) and issubclass(type_, msgspec.Struct) and isinstance(data, dict):
        yield from _struct_problems(data, type_, path, file, depth)
    elif origin in (list, tuple, set, frozenset) and isinstance(data, list):
        item = get_args(type_)[0]
        for number, value in enumerate(data):
            yield from _problems(value, item, f"{path}[{number}]", file, depth + 1)
    elif origin is dict and isinstance(data, dict):
        key_type, item = get_args(type_)
        for key, value in data.items():
            yield from _leaf_problems(key, key_type, f"{path}.{key}".lstrip("."), file)
            yield from _problems(value, item, f"{path}.{key}".lstrip("."), file, depth + 1)
    else:
        yield from _leaf_problems(data, type_, path, file)


def _struct_problems(data: dict[Any, Any], type_: type[msgspec.Struct], path: str, file: str, depth: int) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    tag = type_.__struct_config__.tag_field
    for key, value in data.items():
        here = f"{path}.{key}".lstrip(".")
        if key in fields:
            yield from _problems(value, fields[key].type, here, file, depth + 1)
        elif key != tag:
            yield Problem(file, here, f"unknown key {key!r}", nearest(key, fields))
    missing = [name for name, field in fields.items() if field.required and name not in data]
    for name in missing:
        yield Problem(file, f"{path}.{name}".lstrip("."), "is missing", wanted(fields[name].type))


def _leaf_problems(data: Any, type_: Any, path: str, file: str) -> Iterator[Problem]:
    if fault := _unusable(data):
        yield Problem(file, path, fault, "give a number" if isinstance(data, float) else "give text that can be shown")
        return
    try:
        msgspec.convert(data, type_, strict=True)
    except msgspec.ValidationError as error:
        reason = str(error).partition(" - at `")[0]
        shown = f"{data!r}"[:60]
        yield Problem(file, path, f"{reason}; it says {shown}", wanted(type_, data))


def _unusable(data: Any) -> str:
    """Why no type of ours could mean this value: a number that is none, text that no file name and no screen can hold."""
    if isinstance(data, float) and not math.isfinite(data):
        return "is not a finite number"
    if isinstance(data, str) and ("\0" in data or any("\ud800" <= character <= "\udfff" for character in data)):
        return f"{data[:40]!r} holds a character that nothing can show"
    return ""


def _bare(type_: Any) -> Any:
    """``type_`` without its annotation when what is inside is a container to walk into."""
    if get_origin(type_) is Annotated:
        inner = get_args(type_)[0]
        if get_origin(inner) in (list, tuple, dict, set, frozenset, typing.Union, types.UnionType):
            return inner
    return type_


def _alternative(type_: Any, data: Any) -> Any:
    """The branch of a union that ``data`` means: by tag, else by shape."""
    if get_origin(type_) not in (typing.Union, types.UnionType):
        return type_
    branches = [branch for branch in get_args(type_) if branch is not type(None)]
    structs = [branch for branch in branches if isinstance(branch, type) and issubclass(branch, msgspec.Struct)]
    if isinstance(data, dict) and structs:
        for branch in structs:
            config = branch.__struct_config__
            if config.tag_field and data.get(config.tag_field) == config.tag:
                return branch
        return structs[0] if len(structs) == 1 else type_
    if isinstance(data, list):
        return next((_bare(branch) for branch in branches if get_origin(_bare(branch)) in (list, tuple)), type_)
    if isinstance(data, dict):
        return next((_bare(branch) for branch in branches if get_origin(_bare(branch)) is dict), type_)
    return type_


def _tags(union: Any) -> tuple[str, list[str]] | None:
    """The key that tells the branches of a union apart and what it may say; ``None`` when no such key does."""
    configs = [branch.__struct_config__ for branch in get_args(union) if hasattr(branch, "__struct_config__")]
    key = next((config.tag_field for config in configs if config.tag_field), None)
    return (key, [str(config.tag) for config in configs]) if key else None
