"""What numbers a metric can take at all, by its unit: wide enough for every sensor, so that a limit outside is a slip."""

_LIKE_SHARE = (0.0, 100.0)

_BY_UNIT = {
    "%": _LIKE_SHARE,
    "%RH": _LIKE_SHARE,
    "%LEL": _LIKE_SHARE,
    "degC": (-90.0, 2000.0),
    "dB": (0.0, 200.0),
    "dBm": (-200.0, 60.0),
    "ppm": (0.0, 1e6),
    "ug/m3": (0.0, 1e6),
    "lx": (0.0, 2e5),
    "deg": (0.0, 360.0),
    "rpm": (0.0, 1e6),
    "m/s": (0.0, 200.0),
    "W/m2": (0.0, 2000.0),
    "Hz": (0.0, 1000.0),
    "V": (0.0, 1e6),
    "A": (-1e5, 1e5),
    "m": (-1000.0, 1e5),
    "m3": (0.0, 1e12),
    "m3/h": (-1e6, 1e6),
    "Pa": (-1e6, 1e9),
    "B": (0.0, 1e18),
    "count": (0.0, 1e15),
}

_BY_NAME = {
    "score": (0.0, 1.0),
    "plate_score": (0.0, 1.0),
    "similarity": (0.0, 1.0),
    "power_factor": (-1.0, 1.0),
    "power_factor_l1": (-1.0, 1.0),
    "power_factor_l2": (-1.0, 1.0),
    "power_factor_l3": (-1.0, 1.0),
    "link_quality": (0.0, 255.0),
    "wind_force": (0.0, 18.0),
    "oldest_unsent": (0.0, 1e9),
    "uptime": (0.0, 1e10),
    "poll_lateness": (0.0, 1e9),
    "temperature": (-90.0, 1000.0),
}


def range_of(name: str, unit: str) -> tuple[float, float] | None:
    """Lowest and highest; ``None`` where nothing can be said."""
    return _BY_NAME.get(name) or _BY_UNIT.get(unit)
