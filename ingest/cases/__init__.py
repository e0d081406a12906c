"""Work orders (案卷): from 受理 over 派单, 联处 and 反馈 to 督办, with clocks, guards and a journal that nobody can rewrite.

``WorkOrders`` is what people and the API use. ``lifecycle`` decides and is pure, as are ``clock``, ``hours``, ``supervision``
and ``following``; ``docket`` writes.
"""

from ingest.cases import export
from ingest.cases.case import Case, CloseKind, Court, Part, PartState, Person, Source, Stage, court
from ingest.cases.clock import Clock, Step, deadline, used
from ingest.cases.hours import Hours
from ingest.cases.journal import Line
from ingest.cases.move import Move
from ingest.cases.opening import Practice, catalogue_of, from_report
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.spec import WorkOrdersSpec, terms_of, work_order_problems
from ingest.cases.tables import case_then
from ingest.cases.telling import CaseChange, Moved
from ingest.cases.terms import Terms
from ingest.cases.work_orders import Answer, CaseFilter, Changed, NotThere, WorkOrders

__all__ = [
    "Answer",
    "Case",
    "CaseChange",
    "CaseFilter",
    "Changed",
    "Clock",
    "CloseKind",
    "Court",
    "Hours",
    "Line",
    "Move",
    "MoveRefused",
    "Moved",
    "NotThere",
    "Part",
    "PartState",
    "Person",
    "Practice",
    "Source",
    "Stage",
    "Step",
    "Terms",
    "Why",
    "WorkOrders",
    "WorkOrdersSpec",
    "case_then",
    "catalogue_of",
    "court",
    "deadline",
    "export",
    "from_report",
    "terms_of",
    "used",
    "work_order_problems",
]
