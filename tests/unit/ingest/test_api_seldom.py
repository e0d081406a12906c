"""Whoever reaches the port must not be able to fill the journal with warnings."""

import logging

from ingest.api.seldom import EVERY_S, MESSAGES, Seldom


def record(message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", level, "", 0, message, None, None)


def test_equal_warnings_are_said_once_a_minute_with_their_number() -> None:
    now = [100.0]
    seldom = Seldom(lambda: now[0])
    assert seldom.filter(record("Invalid HTTP request received."))
    assert not seldom.filter(record("Invalid HTTP request received."))
    now[0] += EVERY_S - 1
    assert not seldom.filter(record("Invalid HTTP request received."))
    assert seldom.filter(record("Exceeded concurrency limit."))
    now[0] += 1
    again = record("Invalid HTTP request received.")
    assert seldom.filter(again)
    assert again.getMessage() == "Invalid HTTP request received. (2 more before)"


def test_an_error_is_always_said() -> None:
    seldom = Seldom(lambda: 0.0)
    assert all(seldom.filter(record("Exception in ASGI application", logging.ERROR)) for _ in range(3))


def test_what_is_remembered_is_bounded() -> None:
    seldom = Seldom(lambda: 0.0)
    for number in range(3 * MESSAGES):
        seldom.filter(record(f"warning {number}"))
    assert len(seldom._said) <= MESSAGES
