"""What the two READMEs say is true, and the two keep step."""

import re
from pathlib import Path

import pytest

from device_profiles import load_library
from linli.cli import VERBS

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh.md")
PAGES = [*READMES, *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    here = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (here / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_verb_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`linli ([a-z]+)", text)) | set(re.findall(r"^(?:\$ )?linli ([a-z]+)", text, re.MULTILINE))
    assert named <= VERBS.keys()


def test_the_number_of_models_is_the_librarys() -> None:
    count = len(load_library().profiles)
    for name in READMES:
        assert f" {count} " in (ROOT / name).read_text(encoding="utf-8"), name


def test_both_languages_have_the_same_sections_and_commands() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in READMES)
    assert english.count("\n## ") == chinese.count("\n## ")
    commands = [re.findall(r"^make [^#\n]+", text, re.MULTILINE) for text in (english, chinese)]
    assert [command.strip() for command in commands[0]] == [command.strip() for command in commands[1]]
    assert english.count("\n- ") == chinese.count("\n- ")
