"""The live table always fits its screen, and what to try next is always on it."""

import io
from typing import Any

import pytest
from rich.console import Console

from linli import live

HINTS = ["try next:", "  curl " + "-H words " * 10 + "http://127.0.0.1", "  linli tap", "Ctrl-C ends it"]


def alert(number: int) -> dict[str, Any]:
    words = {"zh": "集水坑高水位" * 3, "en": "High water in the sump " * 3}
    return {
        "colour": "yellow",
        "state": "cleared",
        "title": words,
        "place": words,
        "opened_at": f"2026-11-23T10:00:{number:02}.000000Z",
    }


def screen(lines: int, alerts: int) -> list[str]:
    now = live.Snapshot(10.0, {"access": 20.0}, {("red", "open"): 8.0}, 3.0, tuple(alert(number) for number in range(alerts)))
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(live.table(now, now._replace(at=0.0, readings={"access": 0.0}), HINTS, lines))
    return capture.get().splitlines()


@pytest.mark.parametrize("lines", [23, 30, 49])
def test_it_is_no_longer_than_the_screen(lines: int) -> None:
    shown = screen(lines, 8)
    assert len(shown) <= lines
    assert "Ctrl-C ends it" in shown[-1]
    alerts = [line for line in shown if line.startswith("yellow 黄  cleared  ")]
    assert len(alerts) == min(8, lines - 16), "room that is there is used"
    assert all(":00:0" in line and "集水坑" in line for line in alerts)


def test_rates_and_counts_are_shown() -> None:
    first = next(line for line in screen(49, 0) if line.startswith("access"))
    assert first.split() == ["access", "门禁", "2.0", "20"]


def test_before_the_centre_answers_the_hints_are_there_already() -> None:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(live.table(None, None, HINTS))
    assert "starting" in capture.get()
    assert "linli tap" in capture.get()
