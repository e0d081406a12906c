"""Which targets hear of something. Pure: the time that a route asks for is when it became known."""

from collections.abc import Mapping

from ingest.alerts import AlertState, Changed
from ingest.alerts.persons import is_personal
from ingest.alerts.quiet import RELEASES
from ingest.cases import Moved
from ingest.notify.hours import is_open
from ingest.notify.news import change_of, matter
from ingest.notify.targets import Group, Notify, Route, Target


def targets_of(notify: Notify, news: Changed | Moved) -> list[str]:
    """The names of the targets, each once. What is about persons goes to no group, whatever a route says."""
    named = dict.fromkeys(name for route in notify.routes if leads(route, news) for name in route.to)
    return [name for name in named if not (is_personal(matter(news).kind) and is_group(notify.targets, name))]


def leads(route: Route, news: Changed | Moved) -> bool:
    about = matter(news)
    return (
        (not route.colours or about.colour in route.colours)
        and (not route.kinds or about.kind in route.kinds)
        and about.kind not in route.not_kinds
        and (not route.regions or about.community.startswith(route.regions))
        and (_of_alert(route, news) if isinstance(news, Changed) else _of_work_order(route, news))
        and (route.hours is None or is_open(route.hours, news.known_at))
    )


def _of_alert(route: Route, changed: Changed) -> bool:
    return (
        route.about == "alerts"
        and (not route.families or changed.alert.family in route.families)
        and (not route.changes or _is_asked_for(route, changed))
    )


def _of_work_order(route: Route, moved: Moved) -> bool:
    return (
        route.about == "work_orders"
        and (not route.changes or change_of(moved) in route.changes)
        and (not route.units or not set(route.units).isdisjoint(moved.units))
        and (not route.courts or moved.court in route.courts)
        and (not route.grades or moved.case.supervision in route.grades)
    )


def _is_asked_for(route: Route, changed: Changed) -> bool:
    """Whoever asks for what opens hears of it when it is no longer held back, as if it opened then."""
    late = changed.transition in RELEASES and changed.alert.state is AlertState.OPEN and "opened" in route.changes
    return late or changed.transition in route.changes


def is_group(targets: Mapping[str, Target], name: str) -> bool:
    return isinstance(targets.get(name), Group)
