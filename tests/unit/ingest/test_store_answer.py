"""What servers answer, and what that means for the lines sent. The bodies are those of real servers."""

import pytest

from ingest.store.answer import MAX_WAIT_S, Meaning, Named, verdict

CONFLICT = b'{"error":"partial write: field type conflict: input field \\"rain\\" on measurement \\"environment\\" is type float, already exists as type string dropped=1"}'  # noqa: E501


CONFLICT_2X = b'{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \\"rain\\" on measurement \\"environment\\" is type float, already exists as type string dropped=3"}'  # noqa: E501


@pytest.mark.parametrize(
    ("status", "body", "meaning", "reason"),
    [
        (204, b"", Meaning.STORED, ""),
        (200, b'{"results":[{"statement_id":0}]}', Meaning.STORED, ""),
        (201, b"", Meaning.STORED, ""),
        (400, CONFLICT, Meaning.BAD, "field type conflict"),
        (400, b'{"error":"unable to parse \'x\': missing fields"}', Meaning.BAD, "unable to parse"),
        (400, b'{"code":"invalid","message":"unable to parse \'x\': missing fields"}', Meaning.BAD, "unable to parse"),
        (422, CONFLICT_2X, Meaning.BAD, "field type conflict"),
        (422, b'{"error":"unprocessable"}', Meaning.BAD, "unprocessable"),
        (500, CONFLICT, Meaning.BAD, "field type conflict"),
        (500, b'{"error":"max series per database exceeded: linli"}', Meaning.BAD, "max series"),
        (400, b'{"error":"partial write: max-series-per-database limit exceeded: (10) dropped=1"}', Meaning.BAD, "limit"),
        (503, b'{"error":"points beyond retention policy"}', Meaning.BAD, "retention"),
        (413, b'{"error":"Request Entity Too Large"}', Meaning.LARGE, "Too Large"),
        (413, b"", Meaning.LARGE, "too large"),
        (500, b'{"error":"timeout"}', Meaning.FAULT, "timeout"),
        (501, b"", Meaning.FAULT, "501"),
        (502, b"\xff<html>", Meaning.LATER, "<html>"),
        (503, b"", Meaning.LATER, "503"),
        (504, b"", Meaning.LATER, "504"),
        (429, b"slow down", Meaning.LATER, "slow down"),
        (302, b"", Meaning.LATER, "302"),
        (404, b'{"error":"database not found: \\"linli\\""}', Meaning.ABSENT, "database not found"),
        (404, b'{"code":"not found","message":"bucket \\"linli\\" not found"}', Meaning.ABSENT, "bucket"),
        (401, b'{"error":"authorization failed"}', Meaning.DENIED, "refuses our credentials: authorization failed"),
        (403, b"", Meaning.DENIED, "refuses our credentials: status 403"),
    ],
)
def test_an_answer_has_one_meaning(status: int, body: bytes, meaning: Meaning, reason: str) -> None:
    found = verdict(status, body)
    assert found.meaning is meaning
    assert reason in found.reason


LIMIT = b'{"error":"partial write: max-series-per-database limit exceeded: (5) dropped=21"}'
"""1.6.7, of seven new series with three lines each: it takes five of them when they come one by one."""


@pytest.mark.parametrize(("body", "dropped"), [(CONFLICT, 1), (CONFLICT_2X, 3), (LIMIT, 0), (b'{"error":"unable to parse"}', 0)])
def test_the_number_of_lines_that_will_never_be_taken_is_read(body: bytes, dropped: int) -> None:
    assert verdict(400, body).dropped == dropped


def test_the_lines_that_influxdb_3_names_are_read() -> None:
    listed = b'{"error":"partial write of line protocol occurred","data":[{"original_line":"m v=hi 1","line_number":2,"error_message":"wrong type"}]}'  # noqa: E501
    single = (
        b'{"error":"parsing failed for write_lp endpoint","data":{"original_line":"m v=","line_number":1,"error_message":"x"}}'
    )
    assert verdict(400, listed).named == (Named(2, "m v=hi 1", "wrong type"),)
    assert verdict(400, single).named == (Named(1, "m v=", "x"),)
    assert verdict(400, b'{"error":"no such thing","data":null}').named == ()
    assert verdict(400, b'{"error":"no such thing","data":"text"}').named == ()


NOON = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "86400"}, MAX_WAIT_S),
        ({"Retry-After": "-1"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:30 GMT", "Date": NOON}, 30),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:30 GMT"}, 0),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT", "Date": NOON}, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_rest_that_a_server_asks_for_is_bounded(status: int, headers: dict[str, str], wait_s: float) -> None:
    assert verdict(status, b"", headers).wait_s == wait_s


def test_a_long_answer_is_cut() -> None:
    assert len(verdict(400, b"x" * 100_000).reason) == 256
