"""Personal identifiers: normalised once, matched by keyed hash, shown masked.

The key belongs to the community; without it a reference cannot be turned back by trying every plate.
"""

import hashlib
import hmac
import unicodedata

_SEPARATORS = str.maketrans("", "", " ·・•.-_\t")


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
