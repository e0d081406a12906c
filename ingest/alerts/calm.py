"""Readings that leave a machine as it began: nearly all of them, so they are told by the cheapest test there is.

1. A test that says *calm* of a reading's values is right whatever the instant: a machine in its initial state would judge every
   later reading as if that one had never been. So nothing need be remembered of it but how new it was.
2. What is not known to be calm is judged: a sense that is not named here always is.
3. ``began`` says of a state that it may be forgotten for the same reason.

Tests are made for one shape of readings: the metrics that they carry.
"""

from typing import Any

from ingest.alerts.calm_tests import Between, Calm, Isnt, Under, always, every, never
from ingest.alerts.condition import Condition
from ingest.alerts.count import Count
from ingest.alerts.hold import Hold
from ingest.alerts.joined import Guarded, Join
from ingest.alerts.level import Level, Met
from ingest.alerts.machine import Machine
from ingest.alerts.mean import Mean
from ingest.alerts.memory import Averaged, Graded, Held, Joined, Phase, Verdict
from ingest.alerts.occurrence import Occurrence
from ingest.alerts.sense import Sense
from ingest.alerts.sequence import Succession
from ingest.alerts.staged import Staged
from ingest.alerts.together import Together
from ingest.alerts.when import Test

Shape = frozenset[str]


def calm_of(machine: Machine[Any], shape: Shape) -> Calm:
    """Whether readings that carry ``shape`` leave ``machine`` as it began, by their values."""
    match machine:
        case _ if machine.metrics.isdisjoint(shape):
            return always
        case Hold(sense=sense):
            return _of_sense(sense, shape)
        case Occurrence(condition=condition):
            return _unmet(condition, shape)
        case Succession(happens=happens, without=excuses):
            said = not happens.metrics.isdisjoint(shape)
            return never if said else every([_unmet(excuse, shape) for excuse in excuses])
        case Staged(machine=inner, stages=stages):
            holds = [stage.condition for stage in stages if stage.condition is not None]
            return every([calm_of(inner, shape), *(calm_of(hold, shape) for hold in holds)])
        case _:
            return never


def began(machine: Machine[Any], state: object) -> bool:
    """Whether a state remembers nothing that the machine's initial one does not, but how new its newest reading was."""
    match state:
        case Held(phase=Phase.CLEAR, memory=None):
            return True
        case Held(phase=Phase.CLEAR, memory=Verdict(holds=holds, recent=recent)):
            return not holds and not any(recent)
        case Held(phase=Phase.CLEAR, memory=Averaged(value=value, excused=excused)):
            return value is None and not excused
        case Held(phase=Phase.CLEAR, memory=Joined(of=parts, excused=False)) if (join := _join(machine)) is not None:
            return all(began(hold, part) for hold, part in zip(join.of, parts, strict=True))
        case Graded(inner=inner, raised_at=0, stages=stages) if isinstance(machine, Staged):
            return began(machine.machine, inner) and all(began(machine, one) for one in stages)
        case _:
            return False


def takes_any_order(machine: Machine[Any]) -> bool:
    """Whether a reading older than others of its device says as much as it would have in its turn."""
    match machine:
        case Occurrence() | Succession():
            return True
        case Hold(sense=Count() | Guarded(sense=Count())):
            return True
        case Hold(sense=Together(parts=parts) | Guarded(sense=Together(parts=parts))):
            return all(part.is_event for part in parts)
        case Staged(machine=inner):
            return takes_any_order(inner)
        case _:
            return False


def hears_many(machine: Machine[Any]) -> bool:
    """Whether readings of several devices may come to it out of the order of their instants."""
    match machine:
        case Hold(sense=sense):
            return sense.many
        case Staged(machine=inner):
            return hears_many(inner)
        case _:
            return True


def _of_sense(sense: Sense[Any], shape: Shape) -> Calm:
    match sense:
        case Guarded(sense=inner):
            return _of_sense(inner, shape)
        case Level():
            return _good(sense)
        case Mean(unless=unless) if sense.metric not in shape:
            return every(_excused(unless, shape))
        case Mean(since_past=True, unless=unless):
            return every([_good(sense), *_excused(unless, shape)])
        case Met(condition=condition) | Count(condition=condition):
            return _unmet(condition, shape)
        case Together(parts=parts):
            return every([_unmet(part, shape) for part in parts])
        case Join(of=holds, unless=unless):
            return every([*(calm_of(hold, shape) for hold in holds), *_excused(unless, shape)])
        case _:
            return never


def _join(machine: Machine[Any]) -> Join | None:
    sense = machine.sense if isinstance(machine, Hold) else None
    sense = sense.sense if isinstance(sense, Guarded) else sense
    return sense if isinstance(sense, Join) else None


def _good(level: Level | Mean) -> Calm:
    """On the good side of every limit that is, was or will be in force."""
    bounds = [limit.raise_at for limit in level.limits]
    return Between(level.metric, below=min(bounds)) if level.direction == "above" else Between(level.metric, above=max(bounds))


def _excused(unless: Condition, shape: Shape) -> list[Calm]:
    """That nothing is said which a condition that forbids an alert would be remembered for."""
    return [_unmet(unless, shape)] if unless.where else []


def _unmet(condition: Condition, shape: Shape) -> Calm:
    """That a condition is not met, or not said: it is never met by what leaves one of its metrics out."""
    if not condition.metrics <= shape:
        return always
    if len(condition.where) == 1:
        ((metric, wanted),) = condition.where.items()
        if isinstance(wanted, bool):
            return Isnt(metric, wanted)
        if isinstance(wanted, Test) and wanted == Test(at_least=wanted.at_least) and wanted.at_least is not None:
            return Under(metric, wanted.at_least)
    return lambda values: condition.holds(values) is not True
