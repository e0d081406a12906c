"""Units of measurement: the symbols a profile may name, and exact conversion inside a dimension."""

from typing import NamedTuple


class Unit(NamedTuple):
    """``base = value * factor + offset``; ``dimension`` is the base unit's symbol."""

    dimension: str
    factor: float = 1.0
    offset: float = 0.0


UNITS: dict[str, Unit] = {
    "": Unit(""),
    "%": Unit("%"),
    "%RH": Unit("%RH"),
    "%LEL": Unit("%LEL"),
    "degC": Unit("degC"),
    "degF": Unit("degC", 5 / 9, -160 / 9),
    "K": Unit("degC", 1.0, -273.15),
    "deg": Unit("deg"),
    "V": Unit("V"),
    "mV": Unit("V", 0.001),
    "kV": Unit("V", 1000.0),
    "A": Unit("A"),
    "mA": Unit("A", 0.001),
    "W": Unit("W"),
    "kW": Unit("W", 1000.0),
    "VA": Unit("VA"),
    "kVA": Unit("VA", 1000.0),
    "var": Unit("var"),
    "kvar": Unit("var", 1000.0),
    "kWh": Unit("kWh"),
    "Wh": Unit("kWh", 0.001),
    "kvarh": Unit("kvarh"),
    "Hz": Unit("Hz"),
    "m": Unit("m"),
    "cm": Unit("m", 0.01),
    "mm": Unit("m", 0.001),
    "ft": Unit("m", 0.3048),
    "Pa": Unit("Pa"),
    "hPa": Unit("Pa", 100.0),
    "kPa": Unit("Pa", 1000.0),
    "MPa": Unit("Pa", 1_000_000.0),
    "bar": Unit("Pa", 100_000.0),
    "mbar": Unit("Pa", 100.0),
    "ppm": Unit("ppm"),
    "ppb": Unit("ppm", 0.001),
    "ug/m3": Unit("ug/m3"),
    "mg/m3": Unit("ug/m3", 1000.0),
    "dB": Unit("dB"),
    "dBm": Unit("dBm"),
    "lx": Unit("lx"),
    "m3": Unit("m3"),
    "L": Unit("m3", 0.001),
    "m3/h": Unit("m3/h"),
    "L/min": Unit("m3/h", 0.06),
    "m/s": Unit("m/s"),
    "mm/h": Unit("mm/h"),
    "km/h": Unit("m/s", 1 / 3.6),
    "s": Unit("s"),
    "ms": Unit("s", 0.001),
    "min": Unit("s", 60.0),
    "h": Unit("s", 3600.0),
    "count": Unit("count"),
    "B": Unit("B"),
    "rpm": Unit("rpm"),
    "W/m2": Unit("W/m2"),
}


def convertible(source: str, target: str) -> bool:
    return source in UNITS and target in UNITS and UNITS[source].dimension == UNITS[target].dimension


def conversion(source: str, target: str) -> tuple[float, float]:
    """``(factor, offset)`` so that ``target = source * factor + offset``. Raises ``ValueError`` across dimensions."""
    if not convertible(source, target):
        raise ValueError(f"cannot convert {source!r} to {target!r}")
    if source == target:
        return 1.0, 0.0
    a, b = UNITS[source], UNITS[target]
    return a.factor / b.factor, (a.offset - b.offset) / b.factor
