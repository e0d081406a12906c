"""Topics, names, scopes: building and parsing are inverse, and nothing malformed passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import IdentityInvalid, TopicInvalid
from telemetry.identity import GatewayRef, Scope, gateway_ref, slot
from telemetry.topic import DEFAULT_ROOT, Leaf, build, everyone, is_root, parse

REF = gateway_ref("411202002001", "gw-jianye-1")
refs = st.builds(
    GatewayRef, st.from_regex(r"[0-9]{12}([0-9]{3})?", fullmatch=True), st.from_regex(r"[a-z0-9-]{3,64}", fullmatch=True)
)


@given(refs, st.sampled_from(Leaf), st.sampled_from(["linli/v1", "a", "city/three/levels"]))
def test_parse_is_the_inverse_of_build(ref: GatewayRef, leaf: Leaf, root: str) -> None:
    assert parse(root, build(root, ref, leaf)) == (ref, leaf)


@pytest.mark.parametrize(
    "topic",
    [
        "linli/v2/1/411202002001/gw-jianye-1/up",
        "linli/v1/411202002001/gw-jianye-1/up",
        f"linli/v1/{slot(REF.community) + 1}/411202002001/gw-jianye-1/up",
        f"linli/v1/0{slot(REF.community)}/411202002001/gw-jianye-1/up",
        f"linli/v1/{slot(REF.community)}/411202002001/GW/up",
        f"linli/v1/{slot(REF.community)}/411202002001/gw-jianye-1/down",
        f"linli/v1/{slot(REF.community)}/41120200200/gw-jianye-1/up",
        f"linli/v1/{slot(REF.community)}/411202002001/gw-jianye-1\n/up",
        "",
    ],
)
def test_what_is_not_ours_is_refused(topic: str) -> None:
    with pytest.raises(TopicInvalid):
        parse(DEFAULT_ROOT, topic)


def test_the_filter_of_a_leaf_matches_every_gateway() -> None:
    assert everyone("linli/v1", Leaf.UP) == "linli/v1/+/+/+/up"


@pytest.mark.parametrize("root", ["", "a//b", "a/+/b", "#", "$SYS/x", "/a", "a/", "x" * 129])
def test_a_root_with_wildcards_or_empty_levels_is_refused(root: str) -> None:
    assert not is_root(root)


def test_the_slot_of_a_community_never_changes() -> None:
    assert [slot(code) for code in ("411202002001", "411224001003", "411281001002")] == [196, 65, 184]


def test_a_scope_covers_what_starts_with_one_of_its_prefixes() -> None:
    scope = Scope(["411202", "411224001"])
    assert scope.covers("411202002001")
    assert scope.covers("411224001003")
    assert not scope.covers("411224100001")
    assert not Scope([]).covers("411202002001")


@pytest.mark.parametrize("prefix", ["4", "411", "41120200200", "4112o2", "", "４１"])
def test_a_prefix_of_another_length_is_refused(prefix: str) -> None:
    with pytest.raises(IdentityInvalid):
        Scope([prefix])
