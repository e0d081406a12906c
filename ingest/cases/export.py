"""Work orders with the field names of 数字城管, as its systems exchange cases: CSV and JSON, page by page.

Times are of Beijing, as ``2026-11-23 16:00:00``. What nobody here knows (coordinates, part codes) is left out, and what 数字城管
has no name for begins with ``linli_``; ``linli_personal`` says that a row may tell of somebody. 核实 and 立案 are one act, so
``verify_time`` is ``inst_time``.
"""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from ingest.alerts import Colour
from ingest.alerts.persons import is_personal
from ingest.cases.case import Case, CloseKind, Source, Stage, Times
from ingest.cases.clock import deadline, used
from ingest.cases.docket import CHINA
from ingest.cases.hours import AroundTheClock
from ingest.cases.terms import Terms
from telemetry.presence import Words

SOURCES = {
    Source.SENSOR: "传感器",
    Source.PATROL: "巡查",
    Source.PUBLIC: "公众举报",
    Source.HOTLINE: "热线",
    Source.VIDEO: "视频",
    Source.INTERNET: "网络",
    Source.MEDIA: "媒体",
    Source.ASSIGNED: "领导交办",
}
LEVELS = {
    Colour.RED: (1, "红色告警"),
    Colour.ORANGE: (2, "橙色告警"),
    Colour.YELLOW: (3, "黄色告警"),
    Colour.BLUE: (4, "蓝色告警"),
}
STAGES = {
    Stage.REPORTED: "待受理",
    Stage.ACCEPTED: "已受理",
    Stage.FILED: "已立案",
    Stage.DISPATCHED: "已派遣",
    Stage.SIGNED: "已签收",
    Stage.IN_PROGRESS: "处置中",
    Stage.SUSPENDED: "挂账",
    Stage.VERIFYING: "待核查",
    Stage.REWORK: "返工",
    Stage.CLOSED: "已结案",
    Stage.REJECTED: "不予受理",
    Stage.MERGED: "已合并",
    Stage.CANCELLED: "已作废",
}
CLOSED = {
    CloseKind.NORMAL: "正常结案",
    CloseKind.OVERDUE: "超时结案",
    CloseKind.MISTAKEN: "差错结案",
    CloseKind.SPECIAL: "特殊结案",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def row(case: Case, now: int, terms: Terms) -> dict[str, Any]:
    """One case; names and order of the fields are always the same."""
    return {**_what(case), **_where(case), **_when(case, terms), **_how(case, now, terms)}


def _what(case: Case) -> dict[str, Any]:
    level, level_name = LEVELS[case.colour]
    return {
        "rec_id": case.id,
        "task_num": case.no,
        "linli_stage": STAGES[case.stage],
        "event_src_id": case.source.value,
        "event_src_name": SOURCES[case.source],
        "event_type": "事件",
        "event_type_code": case.kind,
        "sub_type": case.title.zh or case.title.en,
        "event_desc": case.description,
        "event_level_id": level,
        "event_level_name": level_name,
        "new_inst_cond": case.file_when.zh or case.file_when.en,
        "archive_cond": case.close_when.zh or case.close_when.en,
    }


def _where(case: Case) -> dict[str, Any]:
    code = case.community
    return {
        "district_id": code[:6],
        "street_id": code[:9],
        "community_id": code[:12],
        "cell_id": code if len(code) == 15 else "",
        "address": case.place.zh or case.place.en,
    }


def _when(case: Case, terms: Terms) -> dict[str, Any]:
    times, lead = case.times, case.lead
    return {
        "linli_opened_time": local(case.opened_at),
        "create_time": local(times.reported),
        "operate_time": local(times.accepted),
        "verify_time": local(times.filed),
        "inst_time": local(times.filed),
        "dispatch_time": local(times.dispatched),
        "second_dispatch_time": local(times.redispatched),
        "dispose_begin_time": local(times.started),
        "dispose_end_time": local(times.handed_in),
        "dispose_deadline": local(deadline(lead.clock, terms.hours(case.colour)) if lead else None),
        "check_time": local(times.closed),
        "archive_time": local(times.closed),
        "cancel_time": local(times.cancelled),
    }


def _how(case: Case, now: int, terms: Terms) -> dict[str, Any]:
    lead, counts = case.lead, case.counts
    spent = used(lead.clock, now, terms.hours(case.colour)) if lead else 0
    late = lead is not None and spent > lead.clock.limit
    return {
        "dispose_unit": lead.unit if lead else "",
        "linli_assistants": ",".join(dict.fromkeys(part.unit for part in case.parts if not part.lead)),
        "dispose_limit": round(lead.clock.limit / 60_000_000, 1) if lead else None,
        "dispose_used": round(spent / 60_000_000, 1) if lead else None,
        "overtime_ratio": round(spent / lead.clock.limit, 3) if lead and lead.clock.limit else None,
        "intime_dispose": int(lead is not None and case.times.handed_in is not None and not late),
        "overtime_dispose": int(late),
        "rework_num": counts.rework,
        "hang_num": counts.hang,
        "postpone_num": counts.postpone,
        "shuffle_num": counts.shuffle,
        "wrong_dispatch_num": counts.wrong_dispatch,
        "linli_urged_num": counts.urged,
        "linli_supervision": case.supervision,
        "linli_result": case.result,
        "linli_close_kind": CLOSED[case.close_kind] if case.close_kind else "",
        "need_reply": int(case.source in (Source.PUBLIC, Source.HOTLINE)),
        "visit_num": int(case.score is not None),
        "satisfaction_score": case.score,
        "linli_drill": int(case.drill),
        "linli_personal": int(_is_personal(case)),
    }


def _is_personal(case: Case) -> bool:
    """It is about a person, names a masked plate or card, or is what a person wrote."""
    return is_personal(case.kind) or "**" in case.description or case.source is not Source.SENSOR or bool(case.result)


def local(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at // 1_000_000, UTC).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


_BLANK = Case(id="", no="", community="", source=Source.SENSOR, colour=Colour.BLUE, title=Words(), opened_at=0, times=Times(0))
NAMES = tuple(row(_BLANK, 0, Terms(AroundTheClock())))


async def csv_of(pages: AsyncIterator[list[Case]], now: int, terms: Terms) -> AsyncIterator[str]:
    """With a byte order mark, which spreadsheets need to read Chinese. No cell is a formula."""
    yield "\ufeff"
    first = True
    async for cases in pages:
        rows = [row(case, now, terms) for case in cases]
        yield _lines(rows, with_names=first)
        first = False


async def json_of(pages: AsyncIterator[list[Case]], now: int, terms: Terms) -> AsyncIterator[str]:
    between = "["
    async for cases in pages:
        for case in cases:
            yield between + json.dumps(row(case, now, terms), ensure_ascii=False)
            between = ",\n"
    yield "[]" if between == "[" else "]"


def _lines(rows: list[dict[str, Any]], *, with_names: bool) -> str:
    text = io.StringIO()
    sheet = csv.writer(text)
    if with_names:
        sheet.writerow(NAMES)
    sheet.writerows([_cell(value) for value in one.values()] for one in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
