"""Formulas: a small language, right on what it takes, and closed to everything else."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.formula import MAX_DEPTH, MAX_LENGTH, formula
from device_profiles.registers import Unfit

KNOWN = {"a": 6, "b": 1.5, "on": True, "text": "x", "zero": 0, "far": 1e308}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", 6),
        ("a + b * 2", 9.0),
        ("(a + b) * 2", 15.0),
        ("a - b - 1", 3.5),
        ("a / 4 / 3", 0.5),
        ("-a + 10", 4),
        ("- -a", 6),
        ("2.5e2 - a", 244.0),
        ("min(a, b, 3)", 1.5),
        ("max(a, 3)", 6),
        ("abs(b - a)", 4.5),
        ("round(b)", 2),
        ("round(a / 7, 2)", 0.86),
        ("a > 5", True),
        ("a <= b + 4", False),
        ("a == 6", True),
        ("a != 6", False),
        ("a < 6", False),
        ("a >= 6", True),
        ("on + on", 2),
        ("(a > b) + 1", 2),
    ],
)
def test_a_formula_gives_what_it_says(text: str, value: float) -> None:
    found = formula(text).value(KNOWN)
    assert found == value and isinstance(found, bool) is isinstance(value, bool)


def test_a_formula_says_what_it_needs() -> None:
    assert formula("max(a, b) - a * 3").names == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'the end' at 1: a number, a name or ( is missing"),
        ("a +", "'the end' at 4: a number"),
        ("a b", "'b' at 3 is one too many"),
        ("a < b < 3", "'<' at 7 is one too many"),
        ("(a", "'the end' at 3: ) is missing"),
        ("a ** 2", "'*' at 4: a number"),
        ("a.b", "'.' at 2 cannot stand"),
        ("__import__", "'_' at 1 cannot stand"),
        ("a[0]", "'[' at 2 cannot stand"),
        ("'a'", "cannot stand"),
        ("eval(a)", "no function 'eval'; there are abs, max, min, round"),
        ("abs(a, b)", "abs of 2 values; 1 to 1 are taken"),
        ("abs()", "a number, a name or ( is missing"),
        ("1 if a", "'if' at 3 is one too many"),
        ("a" * (MAX_LENGTH + 1), "201 characters"),
        ("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, "nested more than 16 deep"),
        ("-" * 150 + "a", "nested more than 16 deep"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        formula(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a / zero", "divides by zero"),
        ("a + missing", "missing is not known"),
        ("a + text", "text is not a number"),
        ("far * far", "is not a number"),
        ("round(far * far)", "is too large"),
        ("far * far - far * far", "is not a number"),
    ],
)
def test_what_cannot_be_worked_out_has_a_reason(text: str, said: str) -> None:
    with pytest.raises(Unfit) as caught:
        formula(text).value(KNOWN)
    assert said in str(caught.value)


def test_sixteen_deep_is_taken() -> None:
    assert formula("(" * (MAX_DEPTH - 1) + "a" + ")" * (MAX_DEPTH - 1)).value(KNOWN) == 6


@given(st.text(alphabet="ab01.+-*/()<>=!, emaxinrodus_[]'", max_size=60))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        found = formula(text)
    except ValueError:
        return
    try:
        value = found.value({**dict.fromkeys(found.names, 2), **KNOWN})
    except Unfit:
        return
    assert isinstance(value, bool) or math.isfinite(value)


_LEAF = st.sampled_from(["a", "b", "3", "0.5"])
_TEXTS = st.recursive(_LEAF, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner), max_leaves=8)


@given(_TEXTS)
def test_a_formula_agrees_with_arithmetic(text: str) -> None:
    try:
        found = formula(text)
    except ValueError as error:
        assert "deep" in str(error) or "characters" in str(error)
        return
    assert found.value(KNOWN) == eval(text, {}, KNOWN)
