from pathlib import Path

import pytest

from ingest import tokens
from ingest.secret_file import write_secret
from ingest.tokens import Role, Tokens
from telemetry.errors import ConfigInvalid

NOW = 1_795_420_800_000_000
SHA = "ab" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.yaml"


def test_a_token_is_kept_by_its_hash_alone_and_opens_what_was_given(file: Path) -> None:
    token = tokens.add(file, "wuye", ["411202002001", "4113"], Role.HANDLER)
    assert token.startswith("linli_")
    assert len(token) >= 6 + 43
    assert token not in file.read_text()
    grant = Tokens(file).find(token, NOW)
    assert grant is not None
    assert (grant.name, grant.role, grant.scope.prefixes) == ("wuye", Role.HANDLER, ("411202002001", "4113"))
    assert token not in repr(grant)


@pytest.mark.parametrize("presented", ["", "linli_", "linli_" + "A" * 43, "京A12345", SHA])
def test_anything_else_opens_nothing(file: Path, presented: str) -> None:
    tokens.add(file, "wuye", ["41"])
    write_secret(file, f"tokens: [{{name: known, sha256: {SHA}, scope: ['41']}}]")
    assert Tokens(file).find(presented, NOW) is None


def test_every_token_of_the_file_is_found(file: Path) -> None:
    made = {name: tokens.add(file, name, ["41"]) for name in ("first", "second", "third")}
    known = Tokens(file)
    assert {name: grant.name for name, token in made.items() if (grant := known.find(token, NOW))} == {n: n for n in made}


def test_a_token_ends_at_its_expiry(file: Path) -> None:
    token = tokens.add(file, "visitor", ["41"], expires="2026-11-23T16:00:00+08:00")
    known = Tokens(file)
    assert known.find(token, NOW - 1) is not None
    assert known.find(token, NOW) is None


def test_adding_and_removing_take_effect_without_a_restart(file: Path) -> None:
    known = Tokens(file)
    token = tokens.add(file, "wuye", ["41"])
    assert known.find(token, NOW) is not None
    assert tokens.remove(file, "wuye")
    assert known.find(token, NOW) is None
    assert not tokens.remove(file, "wuye")


def test_a_token_of_the_command_line_sees_everything_and_needs_no_file() -> None:
    known = Tokens(None, extra=["demo"])
    grant = known.find("demo", NOW)
    assert grant is not None
    assert grant.role is Role.ADMIN
    assert grant.scope.covers("411202002001")
    assert known.find("demo ", NOW) is None


def test_a_name_is_given_once(file: Path) -> None:
    tokens.add(file, "wuye", ["41"])
    with pytest.raises(ConfigInvalid, match="'wuye' stands twice"):
        tokens.add(file, "wuye", ["42"])
    assert len(tokens.load_entries(file)) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": "", "scope": ["41"]}, "name"),
        ({"name": "a\nb", "scope": ["41"]}, "name"),
        ({"name": "a", "scope": []}, "scope"),
        ({"name": "a", "scope": ["411"]}, "scope prefix '411'"),
        ({"name": "a", "scope": ["41%"]}, "scope prefix '41%'"),
        ({"name": "a", "scope": ["41"], "expires": "2027-01-01"}, "is not an instant"),
    ],
)
def test_a_token_that_the_file_could_not_hold_is_not_made(file: Path, arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigInvalid, match=reason):
        tokens.add(file, **arguments)  # type: ignore[arg-type]
    assert not file.exists()


def test_everything_wrong_with_the_file_is_said_at_once(file: Path) -> None:
    entry = f"{{name: a, sha256: {SHA}, scope: ['4']}}"
    write_secret(file, f"tokens: [{entry}, {entry}]")
    with pytest.raises(ConfigInvalid) as caught:
        Tokens(file)
    assert [problem.path for problem in caught.value.problems] == [
        "tokens[0].scope",
        "tokens[1].name",
        "tokens[1].sha256",
        "tokens[1].scope",
    ]
