"""What may be said: for each kind of reading its metrics, each with one type and one unit for ever.

Two profiles can therefore never clash on a field of the store. A metric is added here, in its canonical unit;
a profile converts into it.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a reading is about; the measurement of the store."""

    ACCESS = "access"
    CAMERA = "camera"
    PARKING = "parking"
    ENVIRONMENT = "environment"
    ENERGY = "energy"
    SAFETY = "safety"
    GATEWAY = "gateway"


class ValueType(StrEnum):
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    TEXT = "text"


class Metric(NamedTuple):
    type: ValueType
    unit: str
    meaning: str


Value = bool | int | float | str
MAX_TEXT = 256
MAX_INT = (1 << 63) - 1


def _float(unit: str, meaning: str) -> Metric:
    return Metric(ValueType.FLOAT, unit, meaning)


def _int(unit: str, meaning: str) -> Metric:
    return Metric(ValueType.INT, unit, meaning)


def _bool(meaning: str) -> Metric:
    return Metric(ValueType.BOOL, "", meaning)


def _text(meaning: str) -> Metric:
    return Metric(ValueType.TEXT, "", meaning)


LIFE = frozenset({"released", "trapped"})
"""What a device says that protects life, though it is of another kind than safety: a fire panel, a lift that calls for help."""

# What any device may say of itself, whatever its kind.
_COMMON: dict[str, Metric] = {
    "event": _text("what happened, a word of the kind's vocabulary"),
    "online": _bool("the device or its bridge says it is there"),
    "battery": _float("%", "battery charge"),
    "battery_low": _bool("the device asks for a new battery"),
    "supply": _float("V", "supply or battery voltage"),
    "on_battery": _bool("it runs on its battery, or on the one of the supply before it: the mains is gone"),
    "tamper": _bool("the case or the mounting was opened"),
    "fault": _bool("the device reports a fault of its own"),
    "fault_code": _int("", "the device's own fault number"),
    "link_quality": _int("", "radio link quality, 0..255"),
    "rssi": _float("dBm", "radio signal strength"),
    "uptime": _float("s", "time since the device started"),
    "device_temperature": _float("degC", "temperature inside the device"),
}

_ELECTRICAL = {
    f"{name}{phase}": _float(unit, f"{meaning}{f', phase {phase[2:]}' if phase else ''}")
    for name, unit, meaning in (
        ("voltage", "V", "voltage"),
        ("current", "A", "current"),
        ("active_power", "W", "active power"),
        ("apparent_power", "VA", "apparent power"),
        ("reactive_power", "var", "reactive power"),
        ("power_factor", "", "power factor"),
    )
    for phase in ("", "_l1", "_l2", "_l3")
}

_OWN: dict[Kind, dict[str, Metric]] = {
    Kind.ACCESS: {
        "door_open": _bool("the leaf is open"),
        "locked": _bool("the lock is engaged"),
        "granted": _bool("the credential was accepted"),
        "credential": _text("credential, masked"),
        "credential_ref": _text("credential as a keyed hash"),
        "credential_type": _text("card, code, face, button, remote"),
        "person_ref": _text("holder as a keyed hash"),
        "reason": _text("why access was granted or denied"),
        "direction": _text("in or out"),
        "calling": _bool("somebody rings"),
        "released": _bool("the fire system has opened the door"),
        "opens_by_itself": _bool("the door opens at every call"),
        "temperature": _float("degC", "temperature at the door"),
        "humidity": _float("%RH", "relative humidity at the door"),
    },
    Kind.CAMERA: {
        "object": _text("the camera's own id of one tracked object"),
        "label": _text("class of the object: car, person, ..."),
        "zones": _text("zones the object is in, comma separated, sorted"),
        "score": _float("", "confidence, 0..1"),
        "stationary": _bool("the object has stopped"),
        "posture": _text("standing, sitting or lying"),
        "count": _int("count", "objects of this class in view"),
        "people": _int("count", "people in view"),
        "motion": _bool("motion in view"),
        "blurred": _bool("the picture is out of focus"),
        "too_dark": _bool("the picture is too dark: covered, or no light"),
        "too_bright": _bool("the picture is too bright: dazzled"),
        "scene_changed": _bool("most of the picture is another: turned away, or covered"),
        "signal_lost": _bool("no picture comes"),
        "disposition": _text("the disposition (布控) that was met, as the police name it"),
        "similarity": _float("", "how like what is sought, 0..1"),
        "rule": _text("the camera's own rule that was met"),
        "entered": _int("count", "objects that came in, since the counter began"),
        "left": _int("count", "objects that went out, since the counter began"),
        "plate": _text("plate, masked"),
        "plate_ref": _text("plate as a keyed hash"),
        "plate_score": _float("", "plate confidence, 0..1"),
    },
    Kind.PARKING: {
        "plate": _text("plate, masked"),
        "plate_ref": _text("plate as a keyed hash"),
        "plate_colour": _text("blue, green, yellow, white, black"),
        "plate_score": _float("", "plate confidence, 0..1"),
        "direction": _text("in or out"),
        "late": _bool("recorded while the camera was offline"),
        "fake_plate": _bool("the camera saw a picture of a plate"),
        "barrier_open": _bool("the arm is up"),
        "arm_off": _bool("the arm was struck off its mount"),
        "loop": _bool("a vehicle stands on the loop"),
        "occupied": _bool("the bay is taken"),
        "free": _int("count", "free bays"),
        "present": _int("count", "vehicles inside, as counted by a round or by the bays"),
        "distance": _float("m", "distance to what stands in the bay"),
        "temperature": _float("degC", "temperature at the bay"),
    },
    Kind.ENVIRONMENT: {
        "temperature": _float("degC", "air temperature"),
        "humidity": _float("%RH", "relative humidity"),
        "dew_point": _float("degC", "dew point"),
        "pressure": _float("Pa", "air or pipe pressure"),
        "co": _float("ppm", "carbon monoxide"),
        "co2": _float("ppm", "carbon dioxide"),
        "tvoc": _float("ppm", "volatile organic compounds"),
        "pm25": _float("ug/m3", "particles under 2.5 um"),
        "pm10": _float("ug/m3", "particles under 10 um"),
        "nh3": _float("ppm", "ammonia"),
        "h2s": _float("ppm", "hydrogen sulphide"),
        "air_quality": _int("", "air quality index, as the device counts"),
        "noise": _float("dB", "sound level"),
        "illuminance": _float("lx", "illuminance"),
        "wind_speed": _float("m/s", "wind speed"),
        "wind_direction": _float("deg", "wind direction"),
        "wind_force": _int("", "wind force, Beaufort"),
        "radiation": _float("W/m2", "solar radiation"),
        "rain": _float("m", "accumulated rain"),
        "level": _float("m", "water level above the sensor"),
        "distance": _float("m", "distance"),
        "flow": _float("m3/h", "flow"),
        "volume": _float("m3", "metered volume"),
        "motion": _bool("motion or presence"),
        "activity": _float("", "how much a motion sensor sees, as it counts"),
        "running": _bool("the pump, fan or lift runs"),
        "door_open": _bool("the lift's door is open"),
        "door_zone": _bool("the lift's car stands where its door may open"),
        "trapped": _bool("the lift says that people are trapped in it"),
        "over_travel": _bool("the lift's car went beyond its last stop"),
        "lift_fault": _bool("the lift reports a fault that stops it"),
        "maintenance": _bool("somebody works on it: what it says then is no fault"),
        "speed": _float("rpm", "rotation"),
        "head": _float("m", "pressure head of a pump"),
        "setpoint": _float("%", "what a controller aims at"),
        "mode": _text("how a controller works"),
        "remote": _bool("it takes commands from afar"),
        "active_power": _float("W", "electrical power"),
        "energy_total": _float("kWh", "electrical energy"),
        "operating_time": _float("s", "time in operation"),
        "tilted": _bool("the device hangs askew"),
        "alarm": _bool("the device's own alarm"),
        "brightness": _float("%", "brightness of a light"),
        "white": _float("%", "white channel of a light"),
        "white_brightness": _float("%", "brightness of the white channel"),
        "red": _float("%", "red channel of a light"),
        "bus_load": _float("%", "share of a lighting bus in use"),
        "members": _int("count", "devices on a bus behind this one"),
        **{f"input_{n}": _bool(f"digital input {n}") for n in range(17)},
        **{f"output_{n}": _bool(f"digital output {n}") for n in range(17)},
        **{f"contact_{n}": _bool(f"contact of relay {n}, which may lag its output") for n in range(1, 9)},
        **{f"counter_{n}": _int("count", f"pulses or presses at input {n}") for n in range(17)},
        **{f"analog_{n}": _float("%", f"analogue input {n}, of full scale") for n in range(1, 9)},
        **{f"analog_output_{n}": _float("%", f"analogue output {n}, of full scale") for n in range(1, 9)},
    },
    Kind.ENERGY: {
        **_ELECTRICAL,
        **{f"voltage_{a}": _float("V", f"voltage between the phases {a[1]} and {a[2]}") for a in ("l12", "l23", "l31")},
        "voltage_unbalance": _float("%", "largest deviation of a phase's voltage from the mean of the three, of that mean"),
        "frequency": _float("Hz", "mains frequency"),
        "energy_import": _float("kWh", "energy drawn"),
        "energy_export": _float("kWh", "energy fed in"),
        "energy_total": _float("kWh", "energy, both directions"),
        "reactive_energy_total": _float("kvarh", "reactive energy"),
        "residual_current": _float("A", "residual current"),
        "closed": _bool("the breaker is closed"),
    },
    Kind.SAFETY: {
        "smoke": _bool("smoke"),
        "heat": _bool("heat detector"),
        "test": _bool("the detector is being tested"),
        "gas_alarm": _bool("the detector's own gas alarm"),
        "gas": _float("%LEL", "combustible gas"),
        "co": _float("ppm", "carbon monoxide"),
        "water_leak": _bool("water on the floor"),
        "valve_open": _bool("the valve is open"),
        "sos": _bool("a help button was pressed"),
        "temperature": _float("degC", "temperature"),
        "humidity": _float("%RH", "relative humidity"),
        "alarm": _bool("the device's own alarm"),
        **{f"alarm_{n}": _bool(f"alarm of channel {n}") for n in range(1, 9)},
        "warning": _bool("the device warns before it alarms"),
        "inhibited": _bool("somebody has switched the alarm off"),
        "wire_broken": _bool("a sensor's wire is broken"),
        "residual_current": _float("A", "residual current"),
        "trip_limit": _float("A", "residual current that trips"),
        "warning_limit": _float("A", "residual current that warns"),
        "surges": _int("count", "surges since the counter began"),
        "volume": _float("m3", "metered volume"),
        "life_left": _float("s", "life left of the sensing element"),
        "level_high": _bool("the level is too high"),
        "level_low": _bool("the level is too low"),
        "pressure_low": _bool("the pressure is too low"),
        **{f"pump_{n}_{what}": _bool(f"pump {n}: {what}") for n in (1, 2) for what in ("running", "fault", "alarm")},
        "float_high": _bool("the upper float switch is up"),
        "float_low": _bool("the lower float switch is down"),
        **{f"input_{n}": _bool(f"digital input {n}") for n in range(1, 9)},
        **{f"output_{n}": _bool(f"digital output {n}") for n in range(1, 9)},
        "counter_1": _int("count", "pulses at input 1"),
        **{f"probe_{n}": _bool(f"probe {n} is connected") for n in range(1, 9)},
        **{f"water_leak_{n}": _bool(f"water at probe {n}") for n in range(1, 9)},
    },
    Kind.GATEWAY: {
        "oldest_unsent": _float("s", "age of the oldest reading not yet acknowledged"),
        "unsent": _int("count", "batches not yet acknowledged"),
        "outbox": _int("B", "bytes of the outbox file"),
        "accepted": _int("count", "readings committed since the start"),
        "outbox_failing": _bool("the disk takes nothing: readings wait in memory"),
        "outbox_lost": _int("count", "readings thinned, given up or refused for want of room since the start"),
        "outbox_salvaged": _int("count", "times a damaged outbox was salvaged since the start"),
        "acks_refused": _int("count", "acknowledgements not believed since the start: forged, or for more than was sealed"),
        "batches_rejected": _int("count", "batches that the centre set aside as poison since the start"),
        "connections_taken": _int("count", "connections to the centre that ended at once since the start: another has our name"),
        "poll_lateness": _float("s", "largest lateness of a poll since the last reading"),
        "poll_lateness_p99": _float("s", "lateness that 99 of 100 polls since the last reading kept under"),
        "polls": _int("count", "polls since the start"),
        "polls_missed": _int("count", "polls left out since the start"),
        "timeouts": _int("count", "device time-outs since the start"),
        "damaged": _int("count", "of the time-outs those where something came that was no whole answer"),
        "refused": _int("count", "Modbus exceptions since the start"),
        "undecodable": _int("count", "MQTT payloads that could not be decoded since the start"),
        "thinned": _int("count", "measurements over MQTT since the start that a later one replaced in a storm"),
        "memory": _int("B", "resident memory"),
        "written": _int("B", "bytes given to storage since the start"),
        "written_per_reading": _float("B", "bytes given to storage for each reading committed since the last report"),
        "wire_bus": _text("the bus that was used most since the last reading"),
        "wire_use": _float("%", "share of the time that this bus was used, waiting for answers included"),
        "undervoltage": _bool("the board's supply is too weak"),
        "clock_synchronised": _bool("a time service holds the clock"),
        "of_device": _text("the unit that the rates beside are of"),
        "timeout_rate": _float("%", "share of its requests that it did not answer"),
        "damaged_rate": _float("%", "share of its requests that it answered with damage"),
        "clock_offset": _float("s", "centre's clock minus ours, at the last acknowledgement"),
        "safety_devices": _int("count", "devices behind it that protect life, said while the centre misses it"),
        "late_share": _float("%", "share of its readings of the last hour that came more than 15 minutes late, by the centre"),
        "dead_letters": _int("count", "messages and readings of it that the centre set aside within the last minute"),
        "notify_late": _int("count", "red alerts of it that nobody could be told of within a minute"),
        "notify_failed": _int("count", "notifications of its alerts that were given up within the last hour"),
        "alerts_10min": _int("count", "alerts of its whole community that were raised within the last ten minutes"),
        "loss_device": _text("loss certificate: device"),
        "loss_from": _int("", "loss certificate: first instant lost, UTC microseconds"),
        "loss_to": _int("", "loss certificate: last instant lost, UTC microseconds"),
        "loss_count": _int("count", "loss certificate: readings lost"),
        "loss_reason": _text("loss certificate: why"),
    },
}

METRICS: Mapping[Kind, Mapping[str, Metric]] = {kind: {**_COMMON, **own} for kind, own in _OWN.items()}


def _is_finite(number: float) -> bool:
    """Also for integers that no float can hold."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def fault_of(kind: Kind, name: str, value: Value) -> str | None:
    """Why this value may not be said of this metric, or ``None``. Numbers are finite; text is bounded."""
    metric = METRICS[kind].get(name)
    if metric is None:
        return f"{kind} has no metric {name!r}"
    match metric.type:
        case ValueType.BOOL if not isinstance(value, bool):
            return f"{kind}.{name} is a bool, not {value!r}"
        case ValueType.TEXT if not isinstance(value, str):
            return f"{kind}.{name} is text, not {value!r}"
        case ValueType.TEXT if isinstance(value, str) and len(value) > MAX_TEXT:
            return f"{kind}.{name} is longer than {MAX_TEXT} characters"
        case ValueType.INT if isinstance(value, bool) or not isinstance(value, int):
            return f"{kind}.{name} is an integer, not {value!r}"
        case ValueType.INT if isinstance(value, int) and not -MAX_INT - 1 <= value <= MAX_INT:
            return f"{kind}.{name} does not fit 64 bits"
        case ValueType.FLOAT if isinstance(value, bool | str) or not _is_finite(value):
            return f"{kind}.{name} is a finite number, not {value!r}"
    return None
