"""Everything wrong with the examples of a profile document before they are run."""

from device_profiles.faults import Faults
from device_profiles.format import ProfileDocument
from device_profiles.format_examples import Vector
from device_profiles.message_checks import parameters, values
from device_profiles.registers import width
from telemetry.document import nearest


def check_examples(document: ProfileDocument, faults: Faults) -> None:
    """Examples name points and parameters that exist, with as many words as the point has."""
    examples = document.examples
    if not (examples.frames or examples.vectors or examples.messages or examples.uplinks):
        faults.add("examples", "there is none", "give at least one, with real bytes and what they mean")
    for number, frame in enumerate(examples.frames):
        for name in {**frame.gives, **frame.given}:
            if name not in document.points:
                faults.add(f"examples.frames[{number}].gives.{name}", f"no point {name!r}", nearest(name, document.points))
    for number, vector in enumerate(examples.vectors):
        _check_vector(document, vector, f"examples.vectors[{number}]", faults)
    if examples.uplinks and not any(message.carrier for message in (document.mqtt.messages if document.mqtt else ())):
        faults.add("examples.uplinks", "no message has a carrier", "give messages, or carrier: lorawan")
    known = parameters(document)
    wanted = known - values(document) - (document.mqtt.defaults.keys() if document.mqtt else set())
    for number, message in enumerate(examples.messages):
        if not wanted <= message.parameters.keys() <= known:
            faults.add(f"examples.messages[{number}].parameters", "do not fill the topics", f"give {', '.join(sorted(wanted))}")


def _check_vector(document: ProfileDocument, vector: Vector, here: str, faults: Faults) -> None:
    point = document.points.get(vector.point)
    words = 0 if point is None or point.modbus is None else width(point.modbus)
    if point is None or not (words or point.formula):
        faults.add(f"{here}.point", f"no point {vector.point!r} in registers", nearest(vector.point, document.points))
    elif len(vector.words) != words:
        faults.add(f"{here}.words", f"{vector.point} has {words} words")
    for name in vector.parameters.keys() - document.parameters.keys():
        faults.add(f"{here}.parameters.{name}", f"no parameter {name!r}", nearest(name, document.parameters))
