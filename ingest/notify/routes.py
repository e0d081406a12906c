"""Which targets hear of a change. Pure: the time that a route asks for is when the change became known."""

from collections.abc import Mapping

from ingest.alerts import AlertState, Changed
from ingest.alerts.quiet import RELEASES
from ingest.notify.hours import is_open
from ingest.notify.privacy import is_personal
from ingest.notify.targets import DingTalk, Feishu, Notify, Route, Target, WeCom


def targets_of(notify: Notify, changed: Changed) -> list[str]:
    """The names of the targets, each once. Alerts about persons go to no group, whatever a route says."""
    named = dict.fromkeys(name for route in notify.routes if leads(route, changed) for name in route.to)
    return [name for name in named if not (is_personal(changed.alert.kind) and is_group(notify.targets, name))]


def leads(route: Route, changed: Changed) -> bool:
    alert = changed.alert
    return (
        (not route.colours or alert.colour in route.colours)
        and (not route.families or alert.family in route.families)
        and (not route.kinds or alert.kind in route.kinds)
        and alert.kind not in route.not_kinds
        and (not route.regions or alert.community.startswith(route.regions))
        and (not route.changes or _is_asked_for(route, changed))
        and (route.hours is None or is_open(route.hours, changed.known_at))
    )


def _is_asked_for(route: Route, changed: Changed) -> bool:
    """Whoever asks for what opens hears of it when it is no longer held back, as if it opened then."""
    late = changed.transition in RELEASES and changed.alert.state is AlertState.OPEN and "opened" in route.changes
    return late or changed.transition in route.changes


def is_group(targets: Mapping[str, Target], name: str) -> bool:
    return isinstance(targets.get(name), DingTalk | Feishu | WeCom)
