"""What is written into devices.yaml reads back as the same devices."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Address, DeviceConfig, Devices
from edge.provisioning import devices_file
from telemetry.document import read
from telemetry.errors import ConfigInvalid
from telemetry.presence import Words

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
addresses = st.one_of(
    st.builds(Address, bus=st.just("line"), unit_id=st.integers(0, 255)),
    st.builds(Address, broker=st.just("local"), topic=st.dictionaries(st.sampled_from(["name", "on", "2"]), text, max_size=3)),
)
devices = st.builds(
    DeviceConfig,
    id=st.from_regex(r"[a-z0-9-]{3,20}", fullmatch=True),
    profile=text,
    address=addresses,
    place=st.builds(Words, zh=text, en=text),
    zone=text,
    unit=st.one_of(text, st.sampled_from(["007", "1e3", "yes", "null", "2024-01-01", "0x1f", "~", "on"])),
    interval_s=st.one_of(st.none(), st.floats(0.1, 86_400)),
)


@given(st.lists(devices, max_size=4).map(tuple))
def test_rendering_and_reading_are_inverse(many: tuple[DeviceConfig, ...]) -> None:
    assert read(devices_file.render(many), "devices.yaml", Devices).devices == many


def test_a_file_that_is_not_there_has_no_devices(tmp_path: Path) -> None:
    assert devices_file.load(tmp_path / "devices.yaml") == ()


def test_saved_devices_are_loaded_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "devices.yaml"
    many = tuple(
        DeviceConfig(id=id_, profile="p", address=Address(bus="line", unit_id=number))
        for number, id_ in enumerate(["zzz", "aaa"])
    )
    devices_file.save(file, many)
    assert devices_file.load(file) == many
    assert file.read_text().startswith("# The devices of this gateway")


def test_a_file_that_cannot_be_read_is_a_problem_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid) as caught:
        devices_file.load(tmp_path / "devices.yaml")
    assert caught.value.problems[0].file.endswith("devices.yaml")


def test_a_file_that_cannot_be_written_says_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"cannot be written.*sudo"):
        devices_file.save(tmp_path / "gone" / "devices.yaml", ())
