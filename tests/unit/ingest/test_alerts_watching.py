"""Which rules watch a device is what each of them says of it, however many devices like it were asked for before."""

from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.alerts import Rules, load_rules
from telemetry.metric import Kind
from telemetry.presence import Device

RULE = """
  - id: rule_{number}
    kind: hot
    family: environment
    colour: yellow
    title: {{zh: 热, en: Hot}}
    text: {{zh: 热, en: Hot}}
    applies_to: {{kinds: [environment], {where}}}
    subject: {subject}
    when: {{type: threshold, metric: temperature, unit: degC, raise_at: 40}}"""
WHERES = (
    "profiles: [maker/air]",
    "devices: [air-1]",
    "zones: [garage]",
    "communities: ['4112']",
    "communities: ['411202']",
    "metrics: [temperature]",
    "without_metrics: [humidity]",
)
OVERRIDES = """
overrides:
  - {rule: rule_5, communities: ['411202002001'], set: {raise_at: 41}}
  - {rule: rule_5, zones: [lobby], set: {raise_at: 42}}
  - {rule: rule_5, devices: [air-2], set: {raise_at: 43}}
"""


def text() -> Iterator[str]:
    yield "rules:"
    for number, where in enumerate(WHERES):
        yield RULE.format(number=number, where=where, subject="device" if number % 2 else "zone")
    yield OVERRIDES


def rules_in(folder: Path) -> Rules:
    (folder / "rules.yaml").write_text("\n".join(text()), encoding="utf-8")
    return load_rules([folder / "rules.yaml"])


devices = st.builds(
    Device,
    id=st.sampled_from(("air-1", "air-2", "air-3")),
    kind=st.just(Kind.ENVIRONMENT),
    profile=st.sampled_from(("maker/air", "maker/other")),
    metrics=st.dictionaries(st.sampled_from(("temperature", "humidity", "co")), st.just("")),
    zone=st.sampled_from(("garage", "lobby", "roof", "")),
)


def test_the_rules_of_a_device_are_those_that_apply_to_it_with_its_numbers(tmp_path: Path) -> None:
    rules = rules_in(tmp_path)
    asked = set()

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(devices, st.booleans(), st.sampled_from(("411202002001", "411202002002", "411203002001", "310101001001")))
    def holds(device: Device, known: bool, community: str) -> None:
        said = device if known else None
        found = rules.watching(Kind.ENVIRONMENT, community, device.id, said, device.zone)
        wanted = [one for one in rules.watchers.values() if one.applies(community, device.id, said, device.zone)]
        assert [id(one) for one in found] == [id(one.variant(community, device.id, device.zone)) for one in wanted]
        asked.add(tuple(one.rule.id for one in found))

    holds()
    assert len(asked) > 5
