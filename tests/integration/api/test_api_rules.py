"""``/api/v1/rules`` and explanations: rules tried on stored readings, and why an alert was raised or was not."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running
from click.testing import CliRunner, Result

from ingest import tokens
from ingest.arrival import Arrival
from ingest.tokens import Role
from linli.commands.rules import rules as command
from telemetry.errors import ConfigInvalid
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory, Words
from telemetry.reading import Micros, Reading

MINUTE = 60_000_000
SUMP = """{id: sump_high, kind: sump_high, family: environment, colour: yellow, title: {zh: 高水位, en: High water},
  text: {zh: "水位 {value} m。", en: "Level {value} m."}, applies_to: {kinds: [environment]},
  when: {type: threshold, metric: level, unit: m, raise_at: %s, clear_at: 1.0, for_s: 90,
         dated: [{raise_at: %s, clear_at: 1.0, clause: "GB 50015-2019 4.8", valid_from: 2020-01-01}]}}"""
RULES = f"rules: [{SUMP % (1.2, 1.2)}]"
SPAN = {"from": str(NOW - 60 * MINUTE), "to": str(NOW)}
LEVELS = (0.5, 0.9, 1.3, 1.4, 1.5, 1.1, 0.8, 0.7, 1.25, 0.6)
"""One a minute from an hour ago on: past 1.2 for three minutes, and once for less than one."""


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Centre]:
    async with running(tmp_path, rules_text=RULES) as centre:
        centre.made["supervisor"] = tokens.add(centre.tokens_file, "boss", [HERE], Role.SUPERVISOR)
        sump = Device(id="b3-pump-level", kind=Kind.ENVIRONMENT, profile="level", place=Words("泵房", "pump room"))
        for community in (HERE, ELSEWHERE):
            centre.parts.registry.take_inventory(GatewayRef(community, "gw-1"), Inventory(at=NOW, hash="", devices=[sump]))
            readings = [
                Reading(device="b3-pump-level", kind=Kind.ENVIRONMENT, at=NOW + (place - 60) * MINUTE, values={"level": level})
                for place, level in enumerate(LEVELS)
            ]
            arrival = Arrival(Stream(community, "gw-1", "0" * 16, "bulk"), 1, readings, Micros(NOW))
            await centre.rooms.engine.take([arrival], NOW)
            await centre.parts.store.write([arrival])
        yield centre


async def fired(centre: Centre, whose: str = "viewer") -> dict[str, Any]:
    [one] = (await centre.get("/api/v1/alerts", whose)).json()["items"]
    found: dict[str, Any] = one
    return found


async def test_a_rule_in_force_is_replayed_beside_what_it_raised(told: Centre) -> None:
    alert = await fired(told)
    found = (await told.get("/api/v1/rules/sump_high/replay", "supervisor", **SPAN)).json()
    assert (found["readings"], found["alerts"], found["fired"], found["both"], found["missed"]) == (len(LEVELS), 1, 1, 1, [])
    [one] = found["items"]
    assert one["fired"] == alert["id"]
    assert (one["opened_at"], one["cleared_at"]) == (alert["opened_at"], alert["cleared_at"])
    assert found["per_day"] == 24.0
    assert found["top"] == [["gw-1/b3-pump-level", 1]]


async def test_a_draft_shows_what_it_would_add_and_what_it_would_miss(told: Centre) -> None:
    client = told.client("supervisor")
    quick = SUMP.replace("for_s: 90", "for_s: 0") % (1.2, 1.2)
    more = (await client.post("/api/v1/rules/replay", json={**SPAN, "rules": f"rules: [{quick}]"})).json()
    assert (more["alerts"], more["both"], more["only_replayed"], more["missed"]) == (2, 1, 1, [])
    high = await client.post("/api/v1/rules/replay", json={**SPAN, "rules": f"rules: [{SUMP % (2.0, 2.0)}]"})
    assert (high.json()["alerts"], high.json()["missed"]) == (0, [(await fired(told))["id"]])


async def test_a_replay_comes_a_page_at_a_time_and_its_figures_are_of_the_whole(told: Centre) -> None:
    client = told.client("supervisor")
    low = (SUMP % (0.55, 0.55)).replace("clear_at: 1.0", "clear_at: 0.5").replace("for_s: 90", "for_s: 0")
    high = (SUMP % (2.0, 2.0)).replace("id: sump_high", "id: sump_low")
    quick = SUMP.replace("for_s: 90", "for_s: 0") % (1.2, 1.2)
    drafts = f"rules: [{quick}, {low.replace('sump_high,', 'low_one,', 1)}, {high}]"
    asked = {**SPAN, "rules": drafts}
    whole = (await client.post("/api/v1/rules/replay", json=asked)).json()
    assert (len(whole["items"]), whole["more"], whole["next"]) == (3, 0, None)
    found, cursor = [], None
    while cursor is not None or not found:
        page = (await client.post("/api/v1/rules/replay", json={**asked, "limit": 1, "cursor": cursor})).json()
        assert [page[name] for name in ("alerts", "per_day", "flood_minutes", "days", "top")] == [
            whole[name] for name in ("alerts", "per_day", "flood_minutes", "days", "top")
        ]
        found += page["items"]
        assert page["more"] == 3 - len(found)
        cursor = page["next"]
    assert found == whole["items"]
    forged = await client.post("/api/v1/rules/replay", json={**asked, "cursor": "forged"})
    assert [one["where"] for one in assert_problem(forged, 400)["errors"]] == ["body.cursor"]


async def test_a_draft_may_name_no_file_of_this_machine(told: Centre) -> None:
    text = f"rules: [{SUMP % (1.2, 1.2)}]\nlists: [{{id: mine, file: /etc/passwd}}]"
    answer = await told.client("supervisor").post("/api/v1/rules/replay", json={**SPAN, "rules": text})
    assert "root:" not in answer.text
    assert_problem(answer, 400)


async def test_what_is_wrong_with_a_draft_is_said_whole(told: Centre) -> None:
    text = "rules: [" + (SUMP % (1.2, 1.2)).replace("unit: m,", "unit: bar,").replace("metric: level", "metric: pressure_") + "]"
    body = assert_problem(await told.client("supervisor").post("/api/v1/rules/replay", json={**SPAN, "rules": text}), 400)
    assert any("metric" in one["where"] for one in body["errors"])


async def test_only_supervisors_replay_and_only_within_their_scope(told: Centre) -> None:
    assert_problem(await told.get("/api/v1/rules/sump_high/replay", "viewer", **SPAN), 403)
    assert_problem(await told.get("/api/v1/rules/sump_high/replay", "supervisor", community=ELSEWHERE, **SPAN), 404)
    assert_problem(await told.get("/api/v1/rules/no_such_rule/replay", "supervisor", **SPAN), 404)
    far = {"from": str(NOW - 40 * 24 * 60 * MINUTE), "to": str(NOW)}
    assert_problem(await told.get("/api/v1/rules/sump_high/replay", "supervisor", **far), 400)
    both = (await told.get("/api/v1/rules/sump_high/replay", "wuhan-admin", **SPAN)).json()
    assert [one["community"] for one in both["items"]] == [ELSEWHERE]


async def test_an_alert_is_explained_by_its_limit_and_the_readings_that_decided(told: Centre) -> None:
    alert = await fired(told)
    found = (await told.get(f"/api/v1/alerts/{alert['id']}/explanation")).json()
    assert found["limit"] == {"value": 1.2, "clause": "GB 50015-2019 4.8", "valid_from": "2020-01-01", "valid_to": None}
    assert found["rule_version"] == found["rule_version_now"]
    assert found["rule"]["id"] == "sump_high"
    phases = [(one["values"].get("level"), one["phase"], one["change"]) for one in found["trace"] if one["device"]]
    assert phases[:4] == [(0.5, "clear", ""), (0.9, "clear", ""), (1.3, "pending", ""), (1.4, "pending", "")]
    assert phases[4] == (1.5, "firing", "raise")
    assert "sump_high" in found["sentence"]["zh"]
    assert "level=1.5" in found["sentence"]["en"]
    assert [line["transition"] for line in found["journal"]] == ["opened", "cleared"]
    assert found["health"]["gateway_online"] is False


async def test_what_lies_outside_the_scope_is_not_explained(told: Centre) -> None:
    other = await fired(told, "wuhan")
    assert_problem(await told.get(f"/api/v1/alerts/{other['id']}/explanation", "viewer"), 404)
    at = str(NOW)
    asked = {"device": "b3-pump-level", "at": at, "community": ELSEWHERE}
    assert_problem(await told.get("/api/v1/rules/sump_high/explanation", "viewer", **asked), 404)


@pytest.mark.parametrize(
    ("minute", "phase", "words"),
    [
        (1, "clear", "the condition did not hold"),
        (2, "pending", "not for long enough"),
        (4, "firing", "the alert stood"),
        (8, "pending", "not for long enough"),
        (-10, "clear", "no reading told level before"),
    ],
)
async def test_why_a_rule_was_silent_at_an_instant(told: Centre, minute: int, phase: str, words: str) -> None:
    asked = {"device": "b3-pump-level", "at": str(NOW + (minute - 60) * MINUTE + 1)}
    found = (await told.get("/api/v1/rules/sump_high/explanation", **asked)).json()
    assert found["phase"] == phase
    assert words in found["reasons"][0]["en"]


async def test_the_commands_say_the_same_for_people(told: Centre, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(told.made["supervisor"])
    where = ["--api", f"http://127.0.0.1:{told.port}", "--token-file", str(token)]
    span = ["--from", "2026-11-23T06:00:00+08:00", "--to", "2026-11-23T20:00:00+08:00"]
    alert = await fired(told)

    async def run(*words: str) -> str:
        answer = await asyncio.to_thread(CliRunner().invoke, command, [*words, *where])
        assert answer.exit_code == 0, answer.output
        return answer.output

    said = json.loads(await run("replay", "--rule", "sump_high", *span, "--json"))
    assert (said["alerts"], len(said["items"]), said["missed"]) == (1, 1, [])
    assert "b3-pump-level x1" in await run("replay", "--rule", "sump_high", *span)
    file = tmp_path / "draft.yaml"
    file.write_text(f"rules: [{SUMP.replace('for_s: 90', 'for_s: 0') % (1.2, 1.2)}]", encoding="utf-8")
    assert "NEW 新增" in await run("replay", "--rules", str(file), *span)
    file.write_text(f"rules: [{SUMP % (2.0, 2.0)}]", encoding="utf-8")
    none = json.loads(await run("replay", "--rules", str(file), *span, "--json"))
    assert (none["alerts"], none["items"], none["missed"]) == (0, [], [alert["id"]])
    assert "level=1.5 -> firing raise" in await run("explain", alert["id"])
    silent = await run("explain", "--rule", "sump_high", "--device", "b3-pump-level", "--at", "2026-11-23T15:01:30+08:00")
    assert "条件不满足" in silent


async def test_check_asks_the_centre_whether_what_rules_name_is_there(told: Centre, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(told.made["viewer"])
    (tmp_path / "good.yaml").write_text(RULES.replace("kinds: [environment]", "kinds: [environment], devices: [b3-pump-level]"))
    (tmp_path / "bad.yaml").write_text(RULES.replace("kinds: [environment]", "kinds: [environment], devices: [b3-sump-level]"))

    async def check(name: str, *more: str) -> Result:
        words = ["check", str(tmp_path / name), *more]
        return await asyncio.to_thread(CliRunner().invoke, command, words)

    asking = ("--api", f"http://127.0.0.1:{told.port}", "--token-file", str(tmp_path / "token"))
    assert "good" in (await check("good.yaml", *asking)).stdout
    assert "good" in (await check("bad.yaml")).stdout
    refused = (await check("bad.yaml", *asking)).exception
    assert isinstance(refused, ConfigInvalid)
    assert "bad.yaml: rules[0].applies_to.devices[0]: there is no device 'b3-sump-level'" in str(refused)
