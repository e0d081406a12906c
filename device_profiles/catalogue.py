"""The list of supported devices as a page for people, made of the profiles themselves.

``linli profile list --markdown > docs/devices.md`` writes it; a test fails when the page is stale.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from device_profiles.format_examples import Origin
from device_profiles.profile import Profile
from telemetry.document import read
from telemetry.metric import Kind

OUTSIDE = Path(__file__).resolve().parent / "outside.yaml"

_HEAD = """# Supported devices

Made by `linli profile list --markdown > docs/devices.md`; a test fails when this page is stale. A model that is not here
needs one YAML file: [writing a profile](profiles.md).

**Confidence** says how well the facts are founded: *confirmed* by two or more independent sources, a *single* source, or
*uncertain* where sources disagree. Nothing here was tried on the hardware. **Examples** are tests that run on every change:
*from the maker* are figures of a manual, *recorded* were taken from a device, *computed* were worked out by us.
"""
_KINDS = {
    Kind.ACCESS: "Access control",
    Kind.CAMERA: "Cameras and counting",
    Kind.PARKING: "Parking",
    Kind.ENVIRONMENT: "Environment, water, lighting and inputs",
    Kind.ENERGY: "Energy",
    Kind.SAFETY: "Safety",
}
_ORIGINS = {Origin.MANUAL: "from the maker", Origin.RECORDED: "recorded", Origin.COMPUTED: "computed"}


class Outside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that has no profile, and why."""

    name: str
    speaks: str
    reason: str


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    devices: tuple[Outside, ...]


def outside() -> tuple[Outside, ...]:
    """The devices that were looked at and left out."""
    return read(OUTSIDE.read_text(encoding="utf-8"), str(OUTSIDE), _Page).devices


def markdown(profiles: Iterable[Profile], left_out: Iterable[Outside]) -> str:
    """The whole page."""
    profiles = sorted(profiles, key=lambda profile: profile.id)
    lines = [_HEAD]
    for kind, heading in _KINDS.items():
        of_kind = [profile for profile in profiles if profile.kind is kind]
        if of_kind:
            lines += [f"## {heading}\n", *_table(of_kind), "", *_caveats(of_kind)]
    lines += ["## Outside\n", "Looked at and left out, with the reason.\n", "| device | speaks | why |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.speaks} | {one.reason} |" for one in left_out]
    return "\n".join(lines) + "\n"


def speaks(profile: Profile) -> str:
    """Modbus with its factory settings, MQTT or LoRaWAN."""
    if profile.modbus is not None:
        link = profile.modbus.link
        serial = f"{link.baud} {link.parity or '?'}{link.stop_bits or '?'}" if link.baud else "settings not stated"
        return f"Modbus, {serial}, unit {'?' if link.unit_id is None else link.unit_id}"
    return "LoRaWAN" if profile.mqtt is not None and "device" in profile.mqtt.parameters else "MQTT"


def _table(profiles: Iterable[Profile]) -> Iterator[str]:
    yield "| profile | device | speaks | tells | confidence | examples |"
    yield "|---|---|---|---|---|---|"
    for profile in profiles:
        cells = (
            f"`{profile.id}`",
            f"{profile.vendor} {profile.model}<br>{profile.name.zh}",
            speaks(profile),
            ", ".join(_ranges(profile.metrics)),
            profile.confidence,
            _examples(profile),
        )
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _caveats(profiles: Iterable[Profile]) -> Iterator[str]:
    for profile in profiles:
        needed = [f"{name}: {parameter.meaning}" for name, parameter in profile.parameters.items() if parameter.default is None]
        notes = (*profile.notes, *(f"Each device must say its {one}." for one in needed))
        if notes:
            yield f"**{profile.id}**\n"
            yield from (f"- {note}" for note in notes)
            yield ""


def _ranges(metrics: Iterable[str]) -> Iterator[str]:
    """``input_1, input_2, input_3`` as ``input_1..3``; what stands alone as it is."""
    runs: dict[str, list[int]] = {}
    for metric in metrics:
        stem, _, number = metric.rpartition("_")
        if stem and number.isdecimal():
            runs.setdefault(stem, []).append(int(number))
        else:
            yield metric
    for stem, numbers in runs.items():
        first, last = min(numbers), max(numbers)
        yield f"{stem}_{first}" if first == last else f"{stem}_{first}..{last}"


def _examples(profile: Profile) -> str:
    examples = profile.examples
    origins = [one.origin for one in examples.frames] + [one.origin for one in examples.vectors]
    origins += [one.origin for one in examples.messages] + [one.origin for one in examples.uplinks]
    return ", ".join(f"{origins.count(origin)} {word}" for origin, word in _ORIGINS.items() if origin in origins)
