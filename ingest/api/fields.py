"""The types of fields that many routes share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ingest import instant
from ingest.api.faults import Unfit
from telemetry.identity import COMMUNITY_PATTERN, NAME_PATTERN
from telemetry.presence import Words
from telemetry.reading import LATEST

EXAMPLE = "2026-11-23T08:00:00.123456Z"


CURE_ZH = "请写 2026-11-23T08:00:00Z、2026-11-23T16:00:00+08:00 或 1970 年以来的 16 位微秒数"


def instant_of(written: object) -> int:
    """UTC microseconds of an instant that somebody wrote. Raises ``Unfit``."""
    if not isinstance(written, str):
        raise Unfit(f"时间应为文本；{CURE_ZH}", f"an instant is text; {instant.CURE}")
    try:
        at = instant.parse(written)
    except ValueError as error:
        raise Unfit(f"{written[:40]!r} 不是时间；{CURE_ZH}", str(error)) from error
    if not 0 <= at <= LATEST:
        raise Unfit("那时不会有读数: 1970 年至 2286 年", "no reading was ever taken then: from 1970 to 2286")
    return at


Instant = Annotated[
    int,
    BeforeValidator(instant_of),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [EXAMPLE]}),
]
"""An instant of a question: RFC 3339 with an offset, or 16 digits of microseconds."""


def _text(at: object) -> object:
    return instant.text(at) if isinstance(at, int) else at


Said = Annotated[str, BeforeValidator(_text), Field(json_schema_extra={"format": "date-time", "examples": [EXAMPLE]})]
"""An instant of an answer: RFC 3339, UTC, microseconds; it may be given as microseconds."""

Name = Annotated[str, Field(pattern=NAME_PATTERN.replace("\\Z", "$"))]
Community = Annotated[str, Field(pattern=COMMUNITY_PATTERN.replace("\\Z", "$"))]

KindName = Annotated[str, Field(pattern="^[a-z0-9_-]{1,64}$")]
"""A kind of alert, as a question names it."""

Id = Annotated[str, Field(pattern="^[0-9A-Za-z-]{1,64}$")]

Prefix = Annotated[str, Field(pattern="^[0-9]{2}([0-9]{2}([0-9]{2}([0-9]{3}([0-9]{3}([0-9]{3})?)?)?)?)?$")]
"""A division code or the start of one: 2, 4, 6, 9, 12 or 15 digits."""


class Asked(BaseModel):
    """The query of a route: an unknown parameter is refused, because a filter that is ignored shows too much."""

    model_config = ConfigDict(extra="forbid")


LINE = r"^[^\x00-\x1f\x7f]*$"
NO_CONTROLS = r"^[^\x00-\x09\x0b-\x1f\x7f]*$"


def named(name: str) -> str:
    """The name, if one can see whose it is. Raises ``Unfit``."""
    if not any(character.isalnum() for character in name):
        raise Unfit(
            "姓名须含文字或数字: 日志要能看出是谁", "a name has a letter or a digit: who reads the journal must see who it was"
        )
    return name


Person = Annotated[str, Field(min_length=1, max_length=64, pattern=LINE), AfterValidator(named)]


class SignedBy(Asked):
    """Who does it; left out, it is the token's name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"by": "王师傅"}]})

    by: Person | None = None


class WordsView(BaseModel):
    zh: str
    en: str

    @classmethod
    def of(cls, words: Words) -> "WordsView":
        return cls(zh=words.zh, en=words.en)


def said(at: int | None) -> str | None:
    return None if at is None else instant.text(at)
