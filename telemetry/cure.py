"""What a type wants, in words for whoever writes the file."""

import contextlib
import math
import types
import typing
import unicodedata
from typing import Annotated, Any, get_args, get_origin

import msgspec

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_SHOWN = 6
_UNSAID = object()


def wanted(type_: Any, said: Any = _UNSAID) -> str:
    """What to write in the place of ``said``; empty where nothing better than the type's own refusal is known."""
    bare, metas = _unwrapped(type_)
    if (slip := _slip(bare, said)) is not None:
        return slip
    for meta in metas:
        if meta.description:
            return str(meta.description)
    if get_origin(bare) is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(bare))
    if isinstance(bare, type) and hasattr(bare, "__members__"):
        return "one of " + ", ".join(member.value for member in bare)  # type: ignore[attr-defined]  # an Enum
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        names = [field.encode_name for field in msgspec.structs.fields(bare)]
        return f"keys with their values: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
    if (get_origin(bare) or bare) in (list, tuple, set, frozenset):
        return "a list: each entry on a line that begins with '- ', or all between [ and ]"
    if (get_origin(bare) or bare) is dict:
        return "keys with their values, as 'key: value'"
    return f"give {_NAMES[bare]}{_bounds(metas)}" if bare in _NAMES else ""


def _slip(bare: Any, said: Any) -> str | None:
    """The cure where the right thing was written in a way that YAML takes for another."""
    if bare is str and isinstance(said, bool | int | float):
        return f'put it in quotes: "{str(said).lower() if isinstance(said, bool) else said}"'
    if bare in (int, float) and isinstance(said, str):
        plain = unicodedata.normalize("NFKC", said).strip()
        with contextlib.suppress(ValueError, OverflowError):
            number = bare(plain)
            return f"give the number as {number}: no quotes, no leading 0, half-width digits" if math.isfinite(number) else None
    return None


def _unwrapped(type_: Any) -> tuple[Any, list[msgspec.Meta]]:
    """The type inside annotations and ``| None``, and what the annotations said."""
    metas: list[msgspec.Meta] = []
    while True:
        if get_origin(type_) is Annotated:
            type_, *said = get_args(type_)
            metas += [meta for meta in said if isinstance(meta, msgspec.Meta)]
        elif get_origin(type_) in (typing.Union, types.UnionType):
            branches = [branch for branch in get_args(type_) if branch is not type(None)]
            if len(branches) != 1:
                return type_, metas
            type_ = branches[0]
        else:
            return type_, metas


def _bounds(metas: list[msgspec.Meta]) -> str:
    said = {
        name: value
        for meta in metas
        for name in ("ge", "gt", "le", "lt", "max_length")
        if (value := getattr(meta, name)) is not None
    }
    low = f"{said['ge']:.12g} or more" if "ge" in said else f"above {said['gt']:.12g}" if "gt" in said else ""
    high = f"{said['le']:.12g} or less" if "le" in said else f"below {said['lt']:.12g}" if "lt" in said else ""
    if "ge" in said and "le" in said:
        return f" from {said['ge']:.12g} to {said['le']:.12g}"
    if "max_length" in said:
        return f" of at most {said['max_length']} characters"
    return ", " + " and ".join(filter(None, (low, high))) if low or high else ""
