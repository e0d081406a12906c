"""Documents: every problem in one pass, each with its path and cure; nothing slips through."""

import enum
from typing import Annotated

import msgspec
import pytest

from telemetry.document import parse, read
from telemetry.errors import ConfigInvalid


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="wheel", tag_field="type"):
    radius: float


class Skid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="skid", tag_field="type"):
    length: int


class Cart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    colour: Colour = Colour.RED
    feet: tuple[Wheel | Skid, ...] = ()
    notes: dict[str, str] = {}
    axle: Wheel | None = None


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        read(text, "cart.yaml", Cart)
    return [str(problem) for problem in caught.value.problems]


def test_a_sound_document_becomes_its_value() -> None:
    cart = read("name: a\ncolour: blue\nfeet: [{type: wheel, radius: 1}, {type: skid, length: 2}]\nnotes: {a: b}\n", "f", Cart)
    assert cart == Cart("a", Colour.BLUE, (Wheel(1.0), Skid(2)), {"a": "b"})


def test_every_problem_is_said_in_one_pass_with_path_and_cure() -> None:
    found = problems("nam: a\ncolour: bleu\nfeet: [{type: wheel, radius: x}, {type: skid, lenght: 2}]\nnotes: {a: 1}\n")
    assert [line.split(": ")[1] for line in found] == [
        "nam",
        "colour",
        "feet[0].radius",
        "feet[1].lenght",
        "feet[1].length",
        "notes.a",
        "name",
    ]
    assert "did you mean 'name'?" in found[0]
    assert "one of red, blue" in found[1]
    assert "did you mean 'length'?" in found[3]


def test_an_unknown_tag_is_said() -> None:
    assert "feet[0]" in problems("name: a\nfeet: [{type: wing}]\n")[0]


def test_a_problem_inside_an_optional_part_has_its_path() -> None:
    assert problems("name: a\naxle: {type: wheel}\n")[0].startswith("cart.yaml: axle.radius: is missing")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: a\nname: b\n", "line 2, column 1: the key 'name' stands twice"),
        ("name: &x a\nother: *x\n", "aliases are not used here"),
        ("name: !!python/object:os.system a\n", "could not determine a constructor"),
        ("name:\n\t- a\n", "indent with spaces"),
        ("a: [1, 2\n", "line"),
        ("{[1]: 2}", "line 1"),
        ("name: a\ncolour：blue\nnotes: {}\n", "if '：' in line 2 is meant as YAML's ':', type it half-width"),
        ("name: a\nnotes: {a: b，c: d}\n", "if '，' in line 2 is meant as YAML's ','"),
        ("name: a\n   colour: red\n", "keys of one thing begin in the same column"),
        ("name: " + "[" * 41, "nested deeper than 40"),
    ],
)
def test_yaml_that_is_not_plain_is_refused_with_its_line(text: str, reason: str) -> None:
    assert reason in problems(text)[0]


def test_only_true_and_false_are_truth_values_and_dates_stay_text() -> None:
    assert parse("a: on\nb: yes\nc: true\nd: 2026-11-23\n", "f") == {"a": "on", "b": "yes", "c": True, "d": "2026-11-23"}


def test_what_is_no_decimal_number_stays_as_it_was_written() -> None:
    written = {"a": "010", "b": "22:00", "c": "1_000", "d": "1:30.5"}
    assert parse("\n".join(f"{key}: {text}" for key, text in written.items()), "f") == written
    assert parse("[10, -3, 0x1F, 1.5, -2.5e+3, 0]", "f") == [10, -3, 31, 1.5, -2500.0, 0]


class Bus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    baud: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] = 9600
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    unit: Annotated[str, msgspec.Meta(max_length=8)] = ""
    unit_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    place: Cart | None = None
    id: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="small letters")] = "a"


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("baud: 96OO", "give a whole number from 300 to 1000000"),
        ("timeout_s: 0", "give a number, above 0"),
        ("unit: 20240117", 'put it in quotes: "20240117"'),
        ("unit: true", 'put it in quotes: "true"'),
        ("unit: a-long-serial", "give text of at most 8 characters"),
        ("unit_id: ２", "give the number as 2: no quotes, no leading 0, half-width digits"),
        ("unit_id: '07'", "give the number as 7:"),
        ("unit_id: -1", "give a whole number, 0 or more"),
        ("place: 3号楼", "keys with their values: name, colour, feet, notes, axle"),
        ("id: B3", "small letters"),
        ("timeout_s: nan", "give a number, above 0"),
    ],
)
def test_a_wrong_value_is_told_what_to_write_in_its_place(text: str, cure: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(text, "bus.yaml", Bus)
    (problem,) = caught.value.problems
    assert cure in problem.cure


def test_entries_without_their_dashes_are_told_how_a_list_is_written() -> None:
    assert "begins with '- '" in problems("name: a\nfeet: {type: wheel, radius: 1}\n")[0]


def test_an_anchor_bomb_and_a_deep_document_are_refused_quickly() -> None:
    bomb = "a: &a [x,x]\nb: &b [*a,*a]\n"
    assert problems(bomb)
    assert problems("[" * 5_000)


def test_an_unknown_tag_and_a_missing_one_are_said_with_their_place_and_cure() -> None:
    assert problems("name: a\nfeet: [{type: weel, radius: 1}, {length: 2}]\nextra: 1\n") == [
        "cart.yaml: feet[0].type: unknown type 'weel' (did you mean 'wheel'?)",
        "cart.yaml: feet[1].type: is missing (known: skid, wheel)",
        "cart.yaml: extra: unknown key 'extra' (known: axle, colour, feet, name, notes)",
    ]


@pytest.mark.parametrize(
    "text", ['name: "a\\0b"', 'name: "\\ud800"', "name: a\nfeet: [{type: wheel, radius: .inf}]", "name: .nan"]
)
def test_what_no_file_name_no_screen_and_no_sum_can_hold_is_refused(text: str) -> None:
    assert len(problems(text)) == 1
