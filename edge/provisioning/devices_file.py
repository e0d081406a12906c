"""``devices.yaml``: read as it stands now, written whole.

The file is the truth: a verb starts from it and not from what an agent read at its start, so that an edit by hand is
never undone. What has been written reads back as the same devices.
"""

from pathlib import Path

import msgspec
import yaml

from device_profiles import read_text
from edge.config import DeviceConfig, Devices
from edge.provisioning import durable_file
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem

HEADER = """\
# The devices of this gateway, kept by `linli device add` and `linli device remove`, which rewrite this file.
# It may be edited by hand (comments in the list are not kept); check: linli edge check --config gateway.yaml
# 本网关的设备,由 `linli device add|remove` 维护;可以手工编辑(列表中的注释不会保留)。
"""


def load(path: Path) -> tuple[DeviceConfig, ...]:
    """The devices in the file, none when there is no file. Raises ``ConfigInvalid``."""
    return read(read_text(path, absent=""), str(path), Devices).devices


def save(path: Path, devices: tuple[DeviceConfig, ...]) -> None:
    """Durable on return. Raises ``ConfigInvalid`` when the file cannot be written."""
    try:
        durable_file.replace(path, render(devices))
    except OSError as error:
        cure = "run it as the owner of the file, or with sudo"
        raise ConfigInvalid([Problem(str(path), "", f"cannot be written: {error.strerror}", cure)]) from error


def render(devices: tuple[DeviceConfig, ...]) -> str:
    plain = msgspec.to_builtins(Devices(devices))
    return HEADER + yaml.dump(plain, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)


class _Dumper(yaml.SafeDumper):
    """Escapes what YAML would fold or lose, such as a line separator inside a name."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)
