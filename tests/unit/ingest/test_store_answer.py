"""What servers answer, and what that means for the lines sent. The bodies are those of real servers."""

import pytest

from ingest.store.answer import Meaning, verdict

CONFLICT = b'{"error":"partial write: field type conflict: input field \\"rain\\" on measurement \\"environment\\" is type float, already exists as type string dropped=1"}'  # noqa: E501


@pytest.mark.parametrize(
    ("status", "body", "meaning", "reason"),
    [
        (204, b"", Meaning.STORED, ""),
        (200, b'{"results":[{"statement_id":0}]}', Meaning.STORED, ""),
        (400, CONFLICT, Meaning.SPLIT, "field type conflict"),
        (400, b'{"error":"unable to parse \'x\': missing fields"}', Meaning.SPLIT, "unable to parse"),
        (422, b'{"error":"unprocessable"}', Meaning.SPLIT, "unprocessable"),
        (413, b"", Meaning.SPLIT, "status 413"),
        (500, CONFLICT, Meaning.SPLIT, "field type conflict"),
        (500, b'{"error":"timeout"}', Meaning.LATER, "timeout"),
        (503, b"", Meaning.LATER, "503"),
        (429, b"slow down", Meaning.LATER, "slow down"),
        (404, b'{"error":"database not found: \\"linli\\""}', Meaning.LATER, "database not found"),
        (401, b'{"error":"authorization failed"}', Meaning.LATER, "refuses our credentials"),
        (403, b"", Meaning.LATER, "refuses our credentials"),
        (400, b'{"error":"partial write: max-series-per-database limit exceeded: (10) dropped=1"}', Meaning.LATER, "limit"),
        (502, b"\xff<html>", Meaning.LATER, "<html>"),
        (302, b"", Meaning.LATER, "302"),
    ],
)
def test_an_answer_says_stored_or_halve_or_later(status: int, body: bytes, meaning: Meaning, reason: str) -> None:
    found = verdict(status, body)
    assert found.meaning is meaning
    assert reason in found.reason


def test_a_long_answer_is_cut() -> None:
    assert len(verdict(400, b"x" * 100_000).reason) == 256
