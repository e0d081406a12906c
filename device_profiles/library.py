"""The profiles that ship with Linli, and those a site adds.

A shipped profile is parsed when it is first asked for: a gateway pays for the models it has, not for all there are
(the tests parse every one). A site's own files are parsed and checked at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_profiles import checks
from device_profiles.format import ProfileDocument
from device_profiles.profile import Profile
from device_profiles.resolve import resolve
from device_profiles.text_file import read_text
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem

SHIPPED = Path(__file__).resolve().parent / "library"


class _Shelf(Mapping[str, Profile]):
    """Profiles by id, shipped ones loaded on first use."""

    def __init__(self, files: Mapping[str, Path], own: Mapping[str, Profile]) -> None:
        self._files = files
        self._loaded = dict(own)

    def __getitem__(self, id_: str) -> Profile:
        if id_ not in self._loaded:
            self._loaded[id_] = load_file(self._files[id_])
        return self._loaded[id_]

    def __contains__(self, id_: object) -> bool:
        return id_ in self._loaded or id_ in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._files.keys() | self._loaded.keys()))

    def __len__(self) -> int:
        return len(self._files.keys() | self._loaded.keys())


@dataclass(frozen=True)
class Library:
    """Every profile there is, by id."""

    profiles: Mapping[str, Profile]


def load_library(extra: Iterable[Path] = ()) -> Library:
    """The shipped profiles and those in ``extra`` (files, or folders of ``*.yaml``).

    Raises ``ConfigInvalid`` with every problem of the extra files; a shipped file raises when it is first used.
    """
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}
    own: dict[str, Profile] = {}
    problems: list[Problem] = []
    for file in _files(extra, problems):
        try:
            profile = load_file(file)
        except ConfigInvalid as error:
            problems += error.problems
            continue
        if profile.id in shipped or profile.id in own:
            problems.append(Problem(str(file), "id", f"profile {profile.id!r} is there already", "choose another id"))
        own[profile.id] = profile
    if problems:
        raise ConfigInvalid(problems)
    return Library(_Shelf(shipped, own))


def load_file(file: Path) -> Profile:
    """The profile in a file, whose name is its id. Raises ``ConfigInvalid`` with every problem."""
    profile = load_text(read_text(file), str(file))
    if file.stem != profile.id:
        raise ConfigInvalid([Problem(str(file), "id", f"is {profile.id!r}", f"name the file {profile.id}.yaml")])
    return profile


def load_text(text: str, file: str) -> Profile:
    """The profile that a YAML text says. Raises ``ConfigInvalid`` with every problem."""
    document = read(text, file, ProfileDocument)
    problems = checks.problems(document, file)
    if problems:
        raise ConfigInvalid(problems)
    return resolve(document)


def _files(extra: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    for place in extra:
        if place.is_dir():
            yield from sorted(place.glob("*.yaml"))
        elif place.is_file():
            yield place
        else:
            problems.append(Problem(str(place), "", "no such file or folder", "profiles names files or folders of *.yaml"))
