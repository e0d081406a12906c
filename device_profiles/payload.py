"""Inside a payload: paths, values and conditions, compiled once and total on whatever a device sends.

A path is dotted, with ``[n]`` for elements of a list, ``["a key"]`` for keys with dots or spaces, and ``$`` for all.
``^.a`` begins at the whole payload, also inside a list of observations; ``#2`` is a level of the topic.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from device_profiles.conversion import key_of
from device_profiles.format_base import Scalar
from device_profiles.format_mqtt import Absent, Check, Encoding, Source
from device_profiles.registers import Unfit
from telemetry.errors import LinliError

MAX_PAYLOAD = 1 << 20
MAX_ITEMS = 64


class Root(Enum):
    """Where a path begins that does not begin at the element in hand."""

    WHOLE = "^"
    TOPIC = "#"


Path = tuple[str | int | Root, ...]
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_STEP = re.compile(r"""\.?(?:(?P<key>[^.\[\]"]+)|\[(?P<index>[0-9]{1,4})\]|\["(?P<quoted>[^"]+)"\])""")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


class Heard(NamedTuple):
    """One element of a message (or all of it), with what is around it."""

    element: Any
    whole: Any = None
    topic: str = ""


class PayloadInvalid(LinliError):
    """A message of a device cannot be decoded; the message says why."""


def path(text: str) -> Path:
    """The steps of a path; ``$`` has none. Raises ``ValueError``."""
    if text == "$":
        return ()
    if text == "^":
        return (Root.WHOLE,)
    if text.startswith("^."):
        return (Root.WHOLE, *path(text[2:]))
    if text.startswith("#"):
        if not text[1:].isdecimal():
            raise ValueError(f"{text!r} is no level of a topic; #0 is the first")
        return (Root.TOPIC, int(text[1:]))
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None or (position == 0 and text[0] == "."):
            raise ValueError(f"{text!r} is not a path")
        steps.append(int(step["index"]) if step["index"] else step["quoted"] or step["key"])
        position = step.end()
    if not steps:
        raise ValueError("an empty path; '$' is the whole payload")
    return tuple(steps)


def at(heard: Heard, steps: Path) -> Any:
    """What stands at a path, or ``MISSING``."""
    document = heard.element
    if steps and isinstance(steps[0], Root):
        document, steps = (heard.whole if steps[0] is Root.WHOLE else heard.topic.split("/")), steps[1:]
    for step in steps:
        if isinstance(step, int):
            if not isinstance(document, list) or step >= len(document):
                return MISSING
            document = document[step]
        elif isinstance(document, dict):
            document = document.get(step, MISSING)
        else:
            return MISSING
    return document


@lru_cache(maxsize=4)  # several devices share one message: every camera of a Frigate reads the same topic
def decode_json(payload: bytes) -> Any:
    """Plain data of a JSON payload, not to be changed. Raises ``PayloadInvalid``."""
    if len(payload) > MAX_PAYLOAD:
        raise PayloadInvalid(f"a payload of {len(payload)} bytes; {MAX_PAYLOAD} are taken")
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PayloadInvalid(f"not JSON: {error}") from error


def decode_text(payload: bytes) -> str:
    """Raises ``PayloadInvalid``."""
    if len(payload) > MAX_PAYLOAD:
        raise PayloadInvalid(f"a payload of {len(payload)} bytes; {MAX_PAYLOAD} are taken")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadInvalid(f"not UTF-8: {error.reason} at byte {error.start}") from error


@dataclass(frozen=True, slots=True)
class Take:
    """Finds one raw value in a message, or the constant that a message means; ``zero`` is what ``absent: zero`` gives.

    The constant may be a ``{parameter}`` of the device's address until bound.
    """

    steps: Path | None
    constant: Scalar | None = None
    encoding: Encoding = Encoding.PLAIN
    absent: Absent = Absent.UNCHANGED
    zero: Scalar = 0

    @property
    def parameter(self) -> str | None:
        """The parameter that the constant is."""
        return parameter_of(self.constant)

    def bound(self, parameters: Mapping[str, str]) -> "Take":
        """With the device's parameters filled in; what its address leaves out is not said."""
        return self if self.parameter is None else replace(self, constant=parameters.get(self.parameter, MISSING))

    def raw(self, heard: Heard) -> Any:
        """The raw value; ``MISSING`` where there is none or it is null. Raises ``Unfit`` where it is not encoded as said."""
        if self.steps is None:
            return self.constant
        found = at(heard, self.steps)
        if found is MISSING or found is None:
            return self._absent()
        match self.encoding:
            case Encoding.NUMBER:
                return number_of(found)
            case Encoding.BASE64:
                return _from_base64(found)
            case Encoding.LIST:
                return _joined(found)
        return found

    def _absent(self) -> Any:
        if self.absent is Absent.UNKNOWN:
            raise Unfit("it was not told")
        return self.zero if self.absent is Absent.ZERO else MISSING


def parameter_of(constant: object) -> str | None:
    """The name in ``{name}``, when that is all of it."""
    found = _PARAMETER.fullmatch(constant) if isinstance(constant, str) else None
    return found[1] if found else None


def take(source: str | Source, absent: Absent = Absent.UNCHANGED, zero: Scalar = 0) -> Take:
    """Raises ``ValueError`` for a bad path, or when it says neither or both of path and value."""
    if isinstance(source, str):
        return Take(path(source), absent=absent, zero=zero)
    if bool(source.path) == (source.value is not None):
        raise ValueError("give either a path or a value")
    steps = path(source.path) if source.path else None
    return Take(steps, source.value, source.encoding, source.absent or absent, zero)


def number_of(found: Any) -> int | float:
    """A number, or a text that is one. Raises ``Unfit``."""
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if isinstance(found, str) and len(found) <= 40:
        try:
            return int(found) if found.strip().lstrip("+-").isdecimal() else float(found)
        except ValueError:
            pass
    raise Unfit("not a number")


def _from_base64(found: Any) -> str:
    if not isinstance(found, str):
        raise Unfit("not base64 text")
    try:
        return base64.b64decode(found, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):  # not ASCII, not base64, not UTF-8
        raise Unfit("not base64 of UTF-8 text") from None


def _joined(found: Any) -> str:
    if not isinstance(found, list) or len(found) > MAX_ITEMS or not all(isinstance(item, str) for item in found):
        raise Unfit("not a list of texts")
    return ",".join(sorted(found))


@dataclass(frozen=True, slots=True)
class Condition:
    """What must stand at a path: one of ``keys``, or what ``check`` says. Keys may hold ``{parameters}`` until bound."""

    steps: Path
    keys: frozenset[str] | None
    check: Check | None

    def bound(self, parameters: Mapping[str, str]) -> "Condition":
        """With the device's parameters filled in."""
        if self.keys is None or not any("{" in key for key in self.keys):
            return self
        return Condition(self.steps, frozenset(_filled(key, parameters) for key in self.keys), None)

    def holds(self, heard: Heard) -> bool:
        found = at(heard, self.steps)
        if self.keys is not None:
            return _is_scalar(found) and key_of(found) in self.keys
        return self.check is not None and _passes(self.check, found)


def condition(where: str, wanted: Scalar | tuple[Scalar, ...] | Check) -> Condition:
    """Raises ``ValueError`` for a bad path."""
    if isinstance(wanted, Check):
        return Condition(path(where), None, wanted)
    choices = wanted if isinstance(wanted, tuple) else (wanted,)
    return Condition(path(where), frozenset(key_of(choice) for choice in choices), None)


def _filled(text: str, parameters: Mapping[str, str]) -> str:
    for name, value in parameters.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _is_scalar(found: Any) -> bool:
    return isinstance(found, str | bool | int | float)


def _passes(check: Check, found: Any) -> bool:
    there = found is not MISSING and found is not None
    if check.present is not None and check.present is not there:
        return False
    if check.other_than and (not there or (_is_scalar(found) and key_of(found) in map(key_of, check.other_than))):
        return False
    if check.at_least is None and check.at_most is None:
        return True
    try:
        number = number_of(found)
    except Unfit:
        return False
    return (check.at_least is None or number >= check.at_least) and (check.at_most is None or number <= check.at_most)
