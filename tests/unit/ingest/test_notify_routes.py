"""Who hears of a change: by kind, colour, family, region, change and the hour, and never a group of what is personal."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.alerts import AlertState, Changed, Colour, Family
from ingest.notify.hours import Hours, is_open
from ingest.notify.routes import targets_of
from tests.notices import AT, changed, notify_of

TARGETS = """
targets:
  platform: {type: webhook, url: "https://example.org/", secrets_file: s}
  guards: {type: dingtalk, url_file: d}
  lark: {type: feishu, url_file: f}
  work: {type: wecom, url_file: w}
  office: {type: mail, host: mail.example.org, from: a@example.org, to: [b@example.org]}
"""


def told(routes: str, one: Changed) -> list[str]:
    return targets_of(notify_of(f"{TARGETS}routes: {routes}\n"), one)


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ("colours: [red]", changed(colour=Colour.YELLOW)),
        ("families: [access]", changed(family=Family.PARKING)),
        ("kinds: [door_forced]", changed(kind="tamper")),
        ("not_kinds: [tamper]", changed(kind="tamper")),
        ("regions: ['4112', '42']", changed(community="411302002001")),
        ("changes: [opened]", changed("cleared")),
        ("hours: {from: '15:00', to: '17:00'}", changed(known_at=AT + 3_600_000_000)),
    ],
)
def test_a_route_takes_what_satisfies_its_condition_and_nothing_else(condition: str, other: Changed) -> None:
    routes = f"[{{to: [platform], {condition}}}]"
    assert told(routes, changed()) == ["platform"]
    assert told(routes, other) == []


def test_conditions_hold_together_and_routes_each_for_itself() -> None:
    routes = "[{to: [platform], colours: [red], changes: [cleared]}, {to: [office, platform], colours: [red]}, {to: [office]}]"
    assert told(routes, changed()) == ["office", "platform"]
    assert told("[]", changed()) == []


def test_a_gateway_message_goes_nowhere_without_a_route() -> None:
    assert targets_of(notify_of("{}"), changed()) == []


@pytest.mark.parametrize("kind", ["duress", "elder_not_seen", "elder_water_low", "elder_night_exit", "watchlist_hit"])
def test_what_is_about_a_person_reaches_no_group_whatever_a_route_says(kind: str) -> None:
    assert told("[{to: [platform, guards, lark, work, office]}]", changed(kind=kind)) == ["platform", "office"]
    assert told("[{to: [platform, guards, lark, work, office]}]", changed(kind="door_forced"))[1:4] == ["guards", "lark", "work"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("when", "open_"),
    [
        ("2026-11-23T21:59:59+08:00", False),
        ("2026-11-23T22:00:00+08:00", True),
        ("2026-11-24T05:59:59+08:00", True),
        ("2026-11-24T06:00:00+08:00", False),
        ("2026-11-24T23:00:00+08:00", False),
        ("2026-11-23T03:00:00+08:00", False),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(when: str, open_: bool) -> None:
    """Monday night alone."""
    assert is_open(Hours("22:00", "06:00", ("mon",)), at(when)) is open_


def test_hours_are_of_their_own_time_zone() -> None:
    morning = at("2026-11-23T08:30:00+08:00")
    assert is_open(Hours("08:00", "09:00"), morning)
    assert not is_open(Hours("08:00", "09:00", zone="UTC"), morning)


@given(st.integers(AT, AT + 10 * 86_400_000_000), st.integers(0, 23), st.integers(0, 23))
def test_a_time_and_its_opposite_make_a_whole_day(instant: int, since: int, until: int) -> None:
    there, back = Hours(f"{since:02}:00", f"{until:02}:00"), Hours(f"{until:02}:00", f"{since:02}:00")
    if since == until:
        assert is_open(there, instant)
    else:
        assert is_open(there, instant) != is_open(back, instant)


@pytest.mark.parametrize("release", ["unsuppressed", "unshelved", "unfolded", "steady", "drill over"])
def test_who_asks_for_what_opens_hears_of_what_was_held_back_until_now(release: str) -> None:
    routes = "[{to: [platform], changes: [opened]}, {to: [office], changes: [cleared]}]"
    assert told(routes, changed(release)) == ["platform"]
    assert told(routes, changed(release, state=AlertState.CLEARED)) == []
