"""One message by way of apprise, in a process of its own: what to say is read on standard input, what came of it is written on
standard output.

1. Nothing is connected with but public addresses and what ``on_site`` names: each is looked at when it is connected with, so that
   neither another answer for a name nor a redirect leads elsewhere.
2. No other program is started.
3. What apprise writes, warns of or leaves behind ends with the process.
"""

import contextlib
import sys
from ipaddress import ip_address
from typing import Any

import msgspec

from ingest.address import OnSite, reachable

_CONNECTS = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
"""Which argument of the event is the address."""

_PROGRAMS = frozenset(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"))


class Errand(msgspec.Struct, frozen=True):
    """``url`` is one of apprise's; without a ``body`` it is only asked whether it is."""

    url: str
    body: str = ""
    on_site: tuple[OnSite, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """``known``: apprise knows a way there. ``refused`` are the addresses that were not connected with."""

    known: bool = False
    taken: bool = False
    refused: tuple[str, ...] = ()


class Guard:
    """An audit hook."""

    def __init__(self, on_site: tuple[OnSite, ...]) -> None:
        self._on_site = on_site
        self.refused: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROGRAMS:
            raise PermissionError(f"{event} is not allowed here")
        if event in _CONNECTS and (to := arguments[_CONNECTS[event]]) is not None:
            self._look_at(to)

    def _look_at(self, to: object) -> None:
        match to:
            case (str(host), int(port), *_) if _is_reachable(host, port, self._on_site):
                return
            case (host, port, *_):
                self.refused.append(f"{host} port {port}")
            case _:
                self.refused.append("a socket of this machine")
        raise PermissionError("it may not be connected with")


def _is_reachable(host: str, port: int, on_site: tuple[OnSite, ...]) -> bool:
    """A name is none: who connects with one looks it up again."""
    try:
        return reachable(ip_address(host.partition("%")[0]), port, on_site)
    except ValueError:
        return False


def run(errand: Errand, guard: Guard) -> Outcome:
    import apprise  # takes its time, and may be missing where this is only looked at

    channel = apprise.Apprise(asset=apprise.AppriseAsset(storage_mode="memory"))
    if not channel.add(errand.url):
        return Outcome()
    sys.addaudithook(guard)
    taken = bool(errand.body and channel.notify(body=errand.body))
    return Outcome(True, taken, tuple(dict.fromkeys(guard.refused)))


def main() -> None:
    errand = msgspec.json.decode(sys.stdin.buffer.read(), type=Errand)
    with contextlib.redirect_stdout(sys.stderr):
        outcome = run(errand, Guard(errand.on_site))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
