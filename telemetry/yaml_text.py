"""YAML as people write it, read strictly: plain data, or where it stops being YAML and what to do about it.

Tags, aliases and keys that stand twice are refused. Only true and false are truth values, numbers are decimal or 0x…; dates,
times of day (22:00) and numbers that begin with 0 stay text, as they were written.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from telemetry.errors import ConfigInvalid, Problem

MAX_TEXT = 4 << 20
MAX_DEPTH = 40

_FULL_WIDTH = dict(zip("：，｛｝［］＂＃－“”‘’\u3000", ':,{}[]"#-""\'\' ', strict=True))
_WIDTH = "if {typed!r} in line {line} is meant as YAML's {meant!r}, type it half-width 全角符号应改为半角"
_SHAPE = (
    "in this line and the one above: keys of one thing begin in the same column, a space follows each ':', "
    "text that holds ': ' stands in quotes"
)
_ENTRIES = ("mapping values", "expected ':'", "expected <block end>", "expected ',' or", "did not find expected")
_LOOKED_AT = 10

_Node = Any


class _Loader(yaml.SafeLoader):
    """Safe YAML with less of it."""

    def compose_node(self, parent: _Node, index: _Node) -> _Node:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
            raise yaml.MarkedYAMLError(problem="aliases are not used here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: _Node, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise yaml.MarkedYAMLError(problem=f"{key!r} cannot be a key", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def fetch_flow_collection_start(self, token_class: Any) -> None:
        if self.flow_level >= MAX_DEPTH:  # each level makes every later token dearer
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token_class)


_OURS = ("timestamp", "bool", "int", "float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(_OURS)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_DIGITS = list("-+0123456789")
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$"), _DIGITS)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    [*_DIGITS, "."],
)


def parse(text: str, file: str) -> Any:
    """Plain data of a YAML text. Raises ``ConfigInvalid`` with the line of the first syntax error."""
    if len(text) > MAX_TEXT:
        raise ConfigInvalid([Problem(file, "", f"{len(text)} characters", f"at most {MAX_TEXT} are read")])
    try:
        return yaml.load(text.removeprefix("\ufeff"), _Loader)  # noqa: S506 - a SafeLoader with less
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigInvalid([Problem(file, line, error.problem or "not YAML", _cure(text, error))]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigInvalid([Problem(file, "", f"not YAML: {error}")]) from error


def _cure(text: str, error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if "\\t" in problem:
        return "indent with spaces"
    if not any(words in problem for words in _ENTRIES):
        return ""
    for number, line in _near(text, error):
        for typed in line:
            if typed in _FULL_WIDTH:
                return _WIDTH.format(typed=typed, line=number, meant=_FULL_WIDTH[typed])
    return _SHAPE


def _near(text: str, error: yaml.MarkedYAMLError) -> Iterator[tuple[int, str]]:
    """The lines in which the fault may lie, with their numbers: it is often found a line later than it stands."""
    marks = [mark.line for mark in (error.context_mark, error.problem_mark) if mark]
    last = max(marks, default=0)
    first = max(0, min(min(marks, default=0), last - 1), last - _LOOKED_AT)
    yield from enumerate(text.splitlines()[first : last + 1], first + 1)
