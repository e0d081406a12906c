"""The registered gateways and their keys.

1. What an unregistered gateway sends is not taken, and nothing is acknowledged to it: without its key no acknowledgement
   can be signed.
2. All gateways of a community share its privacy key (``site_key``), or one plate would have two references.
3. A registered key is never changed by accident: only ``replace`` does it.
4. The file is of mode 0600; keys stand in no repr and in no log.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import yaml

from ingest.secret_file import Watched, changing, read_secret, write_secret
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import COMMUNITY_PATTERN, GatewayRef
from telemetry.reading import Name

WHAT = "the gateways file"
HexKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class GatewayEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One gateway of the file; the keys are 64 hex characters."""

    community: Annotated[str, msgspec.Meta(pattern=COMMUNITY_PATTERN)]
    id: Name
    key: HexKey
    site_key: HexKey

    @property
    def ref(self) -> GatewayRef:
        return GatewayRef(self.community, self.id)

    def __repr__(self) -> str:
        return f"GatewayEntry({self.ref})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gateways: tuple[GatewayEntry, ...] = ()


class _Keys(NamedTuple):
    gateways: Mapping[GatewayRef, bytes]
    sites: Mapping[str, bytes]


class Gateways:
    """The keys of a gateways file, as it is now."""

    def __init__(self, file: Path, look_s: float = 0.0) -> None:
        """Changes are seen within ``look_s``: to look at a file costs as much as a small message.

        Raises ``ConfigInvalid`` when the file is bad; a file that is not there yet holds no gateway."""
        self._file = Watched(file, _load_keys, _Keys({}, {}), look_s)

    def key(self, ref: GatewayRef) -> bytes | None:
        """The key that signs this gateway's acknowledgements; ``None`` when it is not registered."""
        return self._file.value().gateways.get(ref)

    def site_keys(self) -> Mapping[str, bytes]:
        """Each community's privacy key."""
        return self._file.value().sites


def load_entries(file: Path) -> tuple[GatewayEntry, ...]:
    """The entries of a gateways file. Raises ``ConfigInvalid`` with every problem."""
    entries = read(read_secret(file, WHAT), str(file), _File).gateways
    problems = list(_problems(entries, str(file)))
    if problems:
        raise ConfigInvalid(problems)
    return entries


def add(file: Path, entry: GatewayEntry, *, replace: bool = False) -> bool:
    """Whether the file changed: the same entry again changes nothing.

    Raises ``ConfigInvalid`` when the gateway stands there with other keys and ``replace`` is not given, or when the
    community's privacy key is another one.
    """
    with changing(file):
        present = load_entries(file) if file.exists() else ()
        former = next((known for known in present if known.ref == entry.ref), None)
        if former == entry:
            return False
        if former is not None and not replace:
            raise ConfigInvalid([Problem(str(file), str(entry.ref), "is registered with other keys", "--replace changes them")])
        kept = tuple(known for known in present if known.ref != entry.ref)
        _write(file, (*kept, entry))
    return True


def remove(file: Path, ref: GatewayRef) -> bool:
    """Whether it was registered; nothing is taken from it from now on. Raises ``ConfigInvalid``."""
    with changing(file):
        present = load_entries(file) if file.exists() else ()
        kept = tuple(known for known in present if known.ref != ref)
        if len(kept) < len(present):
            _write(file, kept)
    return len(kept) < len(present)


def _load_keys(file: Path) -> _Keys:
    entries = load_entries(file)
    return _Keys(
        {entry.ref: bytes.fromhex(entry.key) for entry in entries},
        {entry.community: bytes.fromhex(entry.site_key) for entry in entries},
    )


def _write(file: Path, entries: tuple[GatewayEntry, ...]) -> None:
    written = yaml.safe_dump(msgspec.to_builtins(_File(entries)), sort_keys=False)
    problems = list(_problems(read(written, str(file), _File).gateways, str(file)))
    if problems:
        raise ConfigInvalid(problems)
    write_secret(file, written)


def _problems(entries: Sequence[GatewayEntry], file: str) -> Iterator[Problem]:
    former: set[GatewayRef] = set()
    sites: dict[str, GatewayEntry] = {}
    for number, entry in enumerate(entries):
        if entry.ref in former:
            yield Problem(file, f"gateways[{number}].id", f"{entry.ref} stands twice", "each gateway stands once")
        former.add(entry.ref)
        first = sites.setdefault(entry.community, entry)
        if first.site_key != entry.site_key:
            reason = f"is not that of {first.id}, in the same community"
            yield Problem(file, f"gateways[{number}].site_key", reason, "all gateways of a community share its privacy key")
