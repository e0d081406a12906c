"""Every error of ours, as one tree; a name says what the caller can do.

    LinliError
    ├── ConfigInvalid      tell the person: every problem at once, each with its cure
    ├── IdentityInvalid    refuse the id
    ├── TopicInvalid       not ours: count it, go on
    ├── BatchInvalid       poison: dead-letter it, go on
    ├── AckInvalid         forged or foreign: audit it, delete nothing
    ├── CommandInvalid     forged or foreign: follow nothing
    ├── DeviceTimeout      the device said nothing: try at the next poll
    ├── DeviceRefused      the device answered with an exception code: other points may still work
    ├── BusUnavailable     port or host cannot be opened: back off, try again
    ├── BrokerUnavailable  no connection to a broker: back off, try again
    ├── StoreUnavailable   the store did not take it now: keep it, try again
    ├── StoreDiverged      what is stored may not be what we remember: end, and start again from it
    └── TooMuch            more would have to be read than may be: ask for less

Errors of libraries are translated into these where they enter.
"""

from collections.abc import Iterable
from typing import NamedTuple


class LinliError(Exception):
    """Root of every error that Linli raises on purpose."""


class Problem(NamedTuple):
    """One thing wrong with one place of one file, and what to do about it."""

    file: str
    path: str
    reason: str
    cure: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.path}" if self.path else self.file
        return f"{place}: {self.reason}" + (f" ({self.cure})" if self.cure else "")


class ConfigInvalid(LinliError):
    """A configuration is refused; ``problems`` names everything wrong with it, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class IdentityInvalid(LinliError):
    """A community code, gateway id or device id is malformed."""


class TopicInvalid(LinliError):
    """A topic is not one of ours."""


class BatchInvalid(LinliError):
    """A batch cannot be decoded; the message says why."""


class AckInvalid(LinliError):
    """An acknowledgement is malformed, forged or for somebody else."""


class CommandInvalid(LinliError):
    """A command or a reply is malformed, forged or for somebody else."""


class DeviceTimeout(LinliError):
    """A device did not answer in time; ``damaged``: something came, but no whole answer."""

    def __init__(self, message: str, *, damaged: bool = False) -> None:
        self.damaged = damaged
        super().__init__(message)


class DeviceRefused(LinliError):
    """A device answered with a Modbus exception; ``code`` is its number."""

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


class BusUnavailable(LinliError):
    """A serial port cannot be opened or a Modbus host cannot be reached."""


class BrokerUnavailable(LinliError):
    """No connection to a broker, or the broker refused us."""


class StoreUnavailable(LinliError):
    """The store did not confirm; the same write may succeed later."""


class StoreDiverged(LinliError):
    """The store may hold other than its writer remembers: only who starts from what it holds goes on rightly."""


class TooMuch(LinliError):
    """A question would read more than it may: ask for fewer devices or a shorter time."""
