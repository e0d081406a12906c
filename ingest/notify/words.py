"""Alerts in words for people, Chinese first. Pure.

``for_group`` is all that a group may read; ``for_persons`` is for those whom an operator named one by one.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone

from ingest.alerts import AlertState, Changed, Colour
from ingest.alerts.quiet import RELEASES
from ingest.notify.privacy import masked, number
from telemetry.presence import Words

COLOURS = {Colour.RED: "红色告警", Colour.ORANGE: "橙色告警", Colour.YELLOW: "黄色告警", Colour.BLUE: "蓝色告警"}
CHANGES = {
    "opened": "发生",
    "raised again": "再次发生",
    "graded": "级别变化",
    "cleared": "已恢复",
    "acknowledged": "已确认",
    "assigned": "已指派",
    "commented": "有新备注",
    "flapping": "频繁反复",
    "steady": "不再反复",
    "unsuppressed": "抑制结束",
    "unshelved": "搁置结束",
    "unfolded": "告警风暴结束",
    "drill over": "演练结束",
    "amended": "已更正",
    "withdrawn": "已撤回",
}
DRILL = "【演练 DRILL】"
"""Stands first in everything that people read of an alert raised in a drill."""

BEGUN = ("opened", "raised again")
LATE_MIN = 1
"""Minutes past which people are told that word of an alert came late."""

_CHINA = timezone(timedelta(hours=8))
_START = datetime(1970, 1, 1, tzinfo=UTC)

Line = Callable[[Changed], str]


def for_group(changed: Changed) -> str:
    """Kind and place, a number at most."""
    alert = changed.alert
    where = masked(_either(alert.place)) or alert.device
    value = number(alert.value)
    said = f" {value} {alert.unit}".rstrip() if value else ""
    return f"{_head(changed)} {masked(_both(alert.title))} {where}{said}"


def for_persons(changed: Changed) -> str:
    """With the alert's own sentence."""
    alert = changed.alert
    return f"{_head(changed)} {_both(alert.title)}\n{_flat(alert.text.zh)}\n{_flat(alert.text.en)}".rstrip()


def subject(changed: Sequence[Changed]) -> str:
    """One line that says what it is about: the worst colour, and how many."""
    worst = min((one.alert.colour for one in changed), key=list(Colour).index)
    if len(changed) == 1:
        return f"{_drill(changed)}[{COLOURS[worst]}] {_both(changed[0].alert.title)} {_change(changed[0])}"
    return f"{_drill(changed)}[{COLOURS[worst]}] {len(changed)} 条告警 / {len(changed)} alerts"


def together(changed: Sequence[Changed], line: Line, most_bytes: int) -> str:
    """All of them in one text of at most ``most_bytes``; how many are left out is said."""
    lines = [line(one) for one in changed]
    if len(lines) > 1:
        lines.insert(0, f"{len(changed)} 条告警 / {len(changed)} alerts")
    kept: list[str] = []
    size = 0
    for number_, one in enumerate(lines):
        rest = f"另有 {len(lines) - number_} 条 / and {len(lines) - number_} more"
        size += len(one.encode()) + 1
        if size + len(rest.encode()) > most_bytes and number_:
            kept.append(rest)
            break
        kept.append(one)
    return "\n".join(kept).encode()[:most_bytes].decode(errors="ignore")


def _head(changed: Changed) -> str:
    return f"{_drill([changed])}【{COLOURS[changed.alert.colour]}·{_change(changed)}】{_local(changed.event_at)}{_late(changed)}"


def _change(changed: Changed) -> str:
    said = CHANGES.get(changed.transition, changed.transition)
    if changed.transition not in RELEASES:
        return said
    return f"{said}，仍在持续" if changed.alert.state is AlertState.OPEN else f"{said}，已恢复"


def _late(changed: Changed) -> str:
    """How long a beginning took to become known, where that is long; one that is past is history."""
    minutes = (changed.known_at - changed.event_at) // 60_000_000
    if changed.transition not in BEGUN or minutes < LATE_MIN:
        return ""
    if changed.alert.origin:
        return f" 历史，{minutes} 分钟前 (past, {minutes} min ago)"
    return f" 迟到 {minutes} 分钟 ({minutes} min late)"


def _drill(changed: Sequence[Changed]) -> str:
    """A text is of a drill when everything in it is."""
    return DRILL if all(one.alert.drill for one in changed) else ""


def _local(at: int) -> str:
    return (_START + timedelta(microseconds=at)).astimezone(_CHINA).strftime("%m-%d %H:%M:%S")


def _either(words: Words) -> str:
    return _flat(words.zh or words.en)


def _both(words: Words) -> str:
    return " ".join(_flat(text) for text in (words.zh, words.en) if text)


def _flat(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
