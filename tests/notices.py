"""Changes of alerts for tests of notifications."""

from pathlib import Path
from typing import Any

import msgspec

from ingest.alerts import Alert, Changed, Colour, Family
from ingest.cases import Case, CaseChange, Moved, Source, Stage, Step
from ingest.cases.case import Times
from ingest.notify import Notify
from ingest.notify.news import News, name_of
from ingest.notify.outbox import Notice
from telemetry.document import read
from telemetry.presence import Words

COMMUNITY = "411202002001"
GATEWAY = "gw-1"
AT = 1_795_420_800_000_000
"""2026-11-23 16:00 in China, a Monday."""

DOOR = Alert(
    id="5f1c9b2e7a3d4c6b8e90",
    seq=7,
    rule="door_forced",
    kind="door_forced",
    family=Family.ACCESS,
    colour=Colour.RED,
    title=Words("强行开门", "Door forced"),
    text=Words("3号楼东门被打开，请立即到场查看。", "Building 3 east door opened with no grant."),
    device="b3-east",
    gateway=GATEWAY,
    community=COMMUNITY,
    place=Words("3号楼东门", "Building 3 east door"),
    zone="b3-lobby",
    opened_at=AT,
)


def changed(transition: str = "opened", known_at: int = AT, **fields: Any) -> Changed:
    return Changed(msgspec.structs.replace(DOOR, **fields), transition, AT, known_at)


def numbered(seq: int, colour: Colour = Colour.YELLOW, known_at: int = AT) -> Changed:
    """Another alert each."""
    return changed(known_at=known_at, id=f"{seq:020x}", seq=seq, colour=colour)


def reminder() -> Moved:
    """Of a work order that a unit is late with."""
    case = Case(
        id="1c9b2e7a3d4c6b8e905f",
        no=f"{COMMUNITY}-20261123-0001",
        community=COMMUNITY,
        source=Source.SENSOR,
        colour=Colour.RED,
        title=DOOR.title,
        place=DOOR.place,
        kind=DOOR.kind,
        rule=DOOR.rule,
        alerts=(DOOR.id,),
        opened_at=AT,
        stage=Stage.IN_PROGRESS,
        times=Times(AT),
        supervision=1,
    )
    return Moved(case, CaseChange.URGED, Step.HANDLE, ("wuye-jianye",), AT, AT, AT)


def notice(news: News | None = None, tries: int = 0) -> Notice:
    news = news or changed()
    return Notice(7, name_of(news), news, tries)


def notify_of(text: str) -> Notify:
    return read(text, "notify", Notify)


def secret(folder: Path, name: str, text: str) -> str:
    """The name of a new file of mode 0600."""
    (folder / name).touch(0o600)
    (folder / name).write_text(text)
    return name
