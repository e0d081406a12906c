"""News in words for people, Chinese first: alerts here, work orders in ``case_words``, digests in ``digest_words``. Pure.

``for_group`` is all that a group may read; ``for_persons`` is for those whom an operator named one by one.
"""

from collections.abc import Callable, Sequence

from ingest.alerts import AlertState, Changed, Colour
from ingest.alerts.quiet import RELEASES
from ingest.cases import Moved
from ingest.notify import case_words, digest_words
from ingest.notify.digest import Digest
from ingest.notify.news import News, matter
from ingest.notify.phrases import DRILL, both, either, flat, local
from ingest.notify.privacy import masked, number

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
BEGUN = ("opened", "raised again")
LATE_MIN = 1
"""Minutes past which people are told that word of an alert came late."""

Line = Callable[[News], str]


def for_group(news: News) -> str:
    """Kind and place, a number at most."""
    if isinstance(news, Digest):
        return digest_words.sentence(news)
    if isinstance(news, Moved):
        return case_words.for_group(news)
    alert = news.alert
    where = masked(either(alert.place)) or alert.device
    value = number(alert.value)
    said = f" {value} {alert.unit}".rstrip() if value else ""
    return f"{_head(news)} {masked(both(alert.title))} {where}{said}"


def for_persons(news: News) -> str:
    """With the alert's own sentence."""
    if isinstance(news, Digest):
        return digest_words.sentence(news)
    if isinstance(news, Moved):
        return case_words.for_persons(news)
    alert = news.alert
    return f"{_head(news)} {both(alert.title)}\n{flat(alert.text.zh)}\n{flat(alert.text.en)}".rstrip()


def subject(news: Sequence[News]) -> str:
    """One line that says what it is about: the worst colour, and how many."""
    if len(news) > 1:
        worst = min((matter(one).colour for one in news), key=list(Colour).index)
        return f"{_drill(news)}[{COLOURS[worst]}] {_count(news)}"
    (one,) = news
    if isinstance(one, Digest):
        return f"{_drill(news)}{digest_words.headline(one)}"
    if isinstance(one, Moved):
        return f"{_drill(news)}{case_words.headline(one)}"
    return f"{_drill(news)}[{COLOURS[one.alert.colour]}] {both(one.alert.title)} {_change(one)}"


def together(news: Sequence[News], line: Line, most_bytes: int) -> str:
    """All of them in one text of at most ``most_bytes``; how many are left out is said."""
    lines = [line(one) for one in news]
    if len(lines) > 1:
        lines.insert(0, _count(news))
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
    return f"{_drill([changed])}【{COLOURS[changed.alert.colour]}·{_change(changed)}】{local(changed.event_at)}{_late(changed)}"


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


def _drill(news: Sequence[News]) -> str:
    """A text is of a drill when everything in it is."""
    return DRILL if all(matter(one).drill for one in news) else ""


def _count(news: Sequence[News]) -> str:
    if all(isinstance(one, Changed) for one in news):
        return f"{len(news)} 条告警 / {len(news)} alerts"
    return f"{len(news)} 条消息 / {len(news)} messages"
