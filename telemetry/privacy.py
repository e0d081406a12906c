"""Personal identifiers: normalised once, matched by keyed hash, shown masked.

The key belongs to the community; without it a reference cannot be turned back by trying every plate.
"""

import hashlib
import hmac
import unicodedata

from telemetry.metric import Value

_SEPARATORS = str.maketrans("", "", " ·・•.-_\t")


_IDENTIFIERS = frozenset({"plate", "credential"})


def normalise(identifier: str) -> str:
    """One spelling for one plate or card: NFKC, upper case, no separators."""
    return unicodedata.normalize("NFKC", identifier).upper().translate(_SEPARATORS)


def reference(identifier: str, key: bytes) -> str:
    """The keyed hash under which an identifier is matched: 20 hex characters of HMAC-SHA256."""
    return hmac.new(key, normalise(identifier).encode(), hashlib.sha256).hexdigest()[:20]


def mask(identifier: str) -> str:
    """What a person is shown: ``京A·****5`` of 京A12345, ``a1****d4`` of a card."""
    text = normalise(identifier)
    if len(text) <= 4:
        return "*" * len(text)
    if not text[0].isascii():
        return f"{text[:2]}·{'*' * (len(text) - 3)}{text[-1]}"
    return f"{text[:2]}{'*' * (len(text) - 4)}{text[-2:]}"


def unnamed(metric: str | None, value: Value | None) -> Value | None:
    """A value of a metric without what tells who: identifiers are masked (twice is as once), their hashes left out."""
    if metric is None or not isinstance(value, str):
        return value
    if metric.endswith("_ref"):
        return None
    return mask(value) if metric in _IDENTIFIERS else value
