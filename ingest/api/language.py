"""Which of our two languages a request would rather read."""

import re

_RANGE = re.compile(r"\s*([a-zA-Z]{1,8}|\*)(?:-[a-zA-Z0-9-]{1,32})?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?\Z")
MAX_RANGES = 32


def prefers_chinese(accept_language: str) -> bool:
    """Of an ``Accept-Language``; what cannot be read is English, as is a draw."""
    weights = {"zh": 0.0, "en": 0.0}
    for text in accept_language.split(",")[:MAX_RANGES]:
        if found := _RANGE.match(text):
            language = found[1].lower()
            if language in weights:
                weights[language] = max(weights[language], float(found[2] or 1))
    return weights["zh"] > weights["en"]
