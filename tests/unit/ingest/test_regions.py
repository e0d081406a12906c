"""Division codes: names for a time, and who lies under whom."""

from pathlib import Path

import pytest

from ingest.regions import Level, Regions, level_of, load_regions
from linli.paths import config_dir
from telemetry.errors import ConfigInvalid

SHIPPED = config_dir() / "regions" / "sanmenxia.yaml"
MIDNIGHT_OF_2016 = 1_451_577_600_000_000
"""Of Beijing."""


@pytest.fixture(scope="module")
def regions() -> Regions:
    return load_regions([SHIPPED])


def test_a_code_is_what_it_was_at_the_time(regions: Regions) -> None:
    before, after = regions.find("411222", MIDNIGHT_OF_2016 - 1), regions.find("411203", MIDNIGHT_OF_2016)
    assert before is not None and before.name.zh == "陕县"
    assert after is not None and after.name.zh == "陕州区"
    assert regions.find("411222", MIDNIGHT_OF_2016) is None
    assert regions.find("411203", MIDNIGHT_OF_2016 - 1) is None


def test_what_has_no_entry_rolls_up_to_the_nearest_ancestor_that_has(regions: Regions) -> None:
    assert regions.nearest("411202002001", MIDNIGHT_OF_2016) == "411202002"
    assert regions.nearest("411202099001", MIDNIGHT_OF_2016) == "411202"
    assert regions.nearest("411203001001", MIDNIGHT_OF_2016 - 1) == "4112"
    assert regions.nearest("420102001001", MIDNIGHT_OF_2016) == "420102001001"
    parent = regions.parent("411202002001", MIDNIGHT_OF_2016)
    assert parent is not None and parent.code == "411202002"
    assert regions.parent("41", MIDNIGHT_OF_2016) is None


def test_under_a_prefix_is_what_there_is_then_by_code(regions: Regions) -> None:
    assert [region.code for region in regions.under(("411203", "411222"), MIDNIGHT_OF_2016 - 1)] == ["411222"]
    assert [region.code for region in regions.under(("4112021", "411202007"), MIDNIGHT_OF_2016)] == ["411202007"]


def test_a_level_is_the_length_of_its_codes() -> None:
    assert [level.digits for level in Level] == [2, 4, 6, 9, 12, 15]
    assert level_of("411202002") is Level.STREET


def test_the_tables_of_the_whole_country_are_read_as_they_are_published(tmp_path: Path) -> None:
    file = tmp_path / "streets.csv"
    file.write_text("code,name,areaCode,cityCode,provinceCode\n110101001,东华门街道,110101,1101,11\n", encoding="utf-8")
    found = load_regions([file]).find("110101001", 0)
    assert found is not None and found.name.zh == "东华门街道"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.csv", "id,name\n1,x\n", "has no columns 'code' and 'name'"),
        ("x.csv", "code,name,from\n41,x,2016\n", "line 2"),
        ("x.csv", "code,name\n411,x\n", "'411' is not 2, 4, 6"),
        ("x.yaml", 'regions: [{code: "41120a", zh: x}]', "'41120a' is not 2"),
        ("x.yaml", 'regions: [{code: "41", zh: x, from: 2017-01-01, until: 2017-01-01}]', "ends before it begins"),
        ("x.yaml", "regions: [{code: 41, zh: x}]", "Expected `str`"),
    ],
)
def test_what_is_no_list_of_regions_is_refused_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=name) as refused:
        load_regions([tmp_path / name])
    assert said in str(refused.value)
