"""What is said of an alert: all of it to a platform, a sentence to persons, place and kind to a group."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.alerts import AlertState, Changed, Colour
from ingest.notify.envelope import cloud_event
from ingest.notify.privacy import masked
from ingest.notify.words import Line, for_group, for_persons, subject, together
from telemetry.metric import Value
from telemetry.presence import Words
from tests.notices import AT, changed, notice, numbered

SECRETS = (
    "京A12345",
    "豫M·88Q21",
    "沪AD12345",
    "粤Z1234港",
    "京A·****5",
    "04A3F2917C",
    "13912345678",
    "139 1234 5678",
    "411202199001011234",
    "41120219900101123X",
    "6222-0212-3456-7890",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_plates_cards_and_numbers_of_persons_are_masked_in_whatever_words_they_stand(secret: str) -> None:
    words = f"3号楼 {secret} 东门{secret}。"
    assert secret not in masked(words)
    assert masked(words).startswith("3号楼 ")


@pytest.mark.parametrize(
    "place", ["3号楼2单元东门", "B1层 12-3 泵房", "Building 12, room 301", "gw-jianye-1", "门头沟 A 区 120 号"]
)
def test_places_stay_as_they_are(place: str) -> None:
    assert masked(place) == place


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("field", ["value", "limit", "note", "acked_by", "text", "place", "title"])
def test_a_group_reads_no_plate_card_or_name_from_any_field_of_an_alert(field: str, secret: str) -> None:
    words = field in ("text", "place", "title")
    fields: dict[str, object] = {field: Words(f"在 {secret}", f"at {secret}") if words else secret}
    said = for_group(changed(**fields))
    assert secret not in said
    assert "王师傅" not in for_group(changed(acked_by="王师傅", note="王师傅", text=Words("王师傅", "王师傅")))


@pytest.mark.parametrize(("value", "said"), [(1.62, "1.62 m"), (3, "3 m"), (True, ""), ("晋A12345", ""), (None, "")])
def test_a_group_reads_a_number_and_its_unit_at_most(value: Value | None, said: str) -> None:
    assert for_group(changed(value=value, unit="m")).endswith(f"3号楼东门 {said}".rstrip())


def test_a_group_reads_colour_change_time_kind_and_place() -> None:
    assert for_group(changed()) == "【红色告警·发生】11-23 16:00:00 强行开门 Door forced 3号楼东门"
    assert for_group(changed("cleared", place=Words())).endswith("Door forced b3-east")


def test_persons_read_the_sentence_of_the_alert() -> None:
    assert "请立即到场查看" in for_persons(changed())


def test_words_that_would_break_out_of_a_line_do_not() -> None:
    evil = Words("门\r\nBcc: all@example.org", "door\r\nBcc: all@example.org")
    assert "\n" not in subject([changed(title=evil)])
    assert for_group(changed(title=evil, place=evil)).count("\n") == 0


def test_many_are_told_in_one_text_with_the_worst_colour_first_named() -> None:
    several = [numbered(1), numbered(2, Colour.RED), numbered(3, Colour.BLUE)]
    assert subject(several) == "[红色告警] 3 条告警 / 3 alerts"
    assert together(several, for_group, 4096).splitlines()[0] == "3 条告警 / 3 alerts"
    assert len(together(several, for_group, 4096).splitlines()) == 4


@given(st.integers(1, 100), st.integers(150, 5000))
def test_a_text_keeps_to_its_bytes_and_says_how_many_it_leaves_out(count: int, most: int) -> None:
    text = together([numbered(seq) for seq in range(count)], for_group, most)
    assert len(text.encode()) <= most
    lines = text.splitlines()
    told = sum(line.startswith("【") for line in lines)
    if told < count:
        assert f"另有 {count - told} 条" in lines[-1]


def event(one: Changed, *, full: bool = False) -> dict[str, object]:
    found: dict[str, object] = json.loads(cloud_event(notice(one), "/linli/test", full=full))
    return found


def test_an_event_is_a_cloud_event_with_both_times_sequence_and_severity() -> None:
    said = event(changed("raised again", known_at=AT + 5_000_000))
    data = said.pop("data")
    assert said == {
        "specversion": "1.0",
        "id": "5f1c9b2e7a3d4c6b8e90.7",
        "source": "/linli/test",
        "type": "linli.alert.raised_again",
        "subject": "5f1c9b2e7a3d4c6b8e90",
        "time": "2026-11-23T08:00:00.000000Z",
        "recordedtime": "2026-11-23T08:00:05.000000Z",
        "sequence": "0000000000000000007",
        "severitytext": "red",
        "severitynumber": 21,
        "drill": False,
        "datacontenttype": "application/json",
    }
    assert data == {
        "id": "5f1c9b2e7a3d4c6b8e90",
        "seq": 7,
        "kind": "door_forced",
        "family": "access",
        "colour": "red",
        "state": "open",
        "community": "411202002001",
        "gateway": "gw-1",
        "device": "b3-east",
        "zone": "b3-lobby",
        "opened_at": "2026-11-23T08:00:00.000000Z",
        "drill": False,
        "href": "/api/v1/alerts/5f1c9b2e7a3d4c6b8e90",
    }


def test_a_full_event_says_the_alert_and_stays_below_what_must_be_forwarded() -> None:
    long = Words("长" * 256, "l" * 256)
    one = changed(title=long, text=long, place=long, value="v" * 256, limit="l" * 256, note="n" * 500)
    data = event(one, full=True)["data"]
    assert isinstance(data, dict)
    assert data["text"] == {"zh": "长" * 256, "en": "l" * 256}
    assert data["opened_at"] == "2026-11-23T08:00:00.000000Z"
    assert len(cloud_event(notice(one), "/linli", full=True)) < 64 << 10


def test_later_changes_have_greater_sequences_as_text_too() -> None:
    assert str(event(numbered(9))["sequence"]) < str(event(numbered(10))["sequence"])


def test_what_became_known_late_says_so_and_what_is_past_says_that() -> None:
    late = changed()._replace(known_at=changed().event_at + 150_000_000)
    assert "迟到 2 分钟 (2 min late)" in for_group(late)
    assert "迟到" not in for_group(late._replace(known_at=late.event_at + 59_000_000))
    assert "迟到" not in for_group(late._replace(transition="cleared"))
    past = late._replace(alert=msgspec.structs.replace(late.alert, origin="backfill"))
    assert "历史，2 分钟前 (past, 2 min ago)" in for_group(past)


@pytest.mark.parametrize("line", [for_group, for_persons])
def test_whoever_reads_of_a_drill_reads_that_first(line: Line) -> None:
    assert line(changed(drill=True)).startswith("【演练 DRILL】")
    assert not line(changed()).startswith("【演练")
    drill, real = changed(drill=True), changed()
    assert subject([drill]).startswith("【演练 DRILL】")
    assert not subject([drill, real]).startswith("【演练"), "a real one among them is not hidden"
    assert event(drill)["drill"] is True


@pytest.mark.parametrize(("state", "said"), [(AlertState.OPEN, "抑制结束，仍在持续"), (AlertState.CLEARED, "抑制结束，已恢复")])
def test_the_end_of_what_held_an_alert_back_says_whether_it_still_stands(state: AlertState, said: str) -> None:
    assert said in for_group(changed("unsuppressed", state=state))
