"""Where the files that ship with Linli are: in the source tree, or inside the wheel."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def config_dir() -> Path:
    """The folder ``config/``: beside the packages in a source tree, inside ``linli`` in a wheel."""
    packed = _HERE / "config"
    return packed if packed.is_dir() else _HERE.parent / "config"
