"""Digests of what was over before anybody knew, in words, Chinese first: kinds, colours and numbers, for groups as for persons.
Pure."""

from collections.abc import Iterator

from ingest.alerts import Colour
from ingest.notify.digest import Digest
from ingest.notify.phrases import DRILL, both, local
from ingest.notify.privacy import masked

COLOURS = {Colour.RED: "红", Colour.ORANGE: "橙", Colour.YELLOW: "黄", Colour.BLUE: "蓝"}
MOST = 20
"""Kinds and colours named; the rest is counted."""


def sentence(digest: Digest) -> str:
    drill = DRILL if digest.drill else ""
    span = f"{local(digest.first_at)} – {local(digest.last_at)}"
    head = f"{drill}【历史告警汇总 Past alerts】{digest.community} {span}"
    why = f"数据迟到后补记，均已结束，共 {digest.total} 条 / known late, all over: {digest.total}"
    return "\n".join((f"{head} {why}", *_lines(digest), digest.href))


def headline(digest: Digest) -> str:
    """For a subject."""
    return f"[历史告警汇总] {digest.community} {digest.total} 条 / {digest.total} past alerts"


def _lines(digest: Digest) -> Iterator[str]:
    for one in digest.counts[:MOST]:
        yield f"{COLOURS[one.colour]} {one.colour} · {masked(both(one.title)) or one.kind} × {one.alerts}"
    if rest := sum(one.alerts for one in digest.counts[MOST:]):
        yield f"其余 {rest} 条 / and {rest} more"
