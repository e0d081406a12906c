"""How commands ask the running centre: through its API, with a token. One process opens its files, and that is the centre."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable

if TYPE_CHECKING:
    import httpx

ANSWER_S = 120.0
"""An audit of a year counts for a while."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def centre_options(command: _Command) -> _Command:
    """``--api`` and ``--token-file``, as every command that asks the centre takes them."""
    api = click.option("--api", default="http://127.0.0.1:8080", show_default=True, help="The centre's API. 中心端接口地址。")
    file = click.Path(dir_okay=False, path_type=Path)
    token = click.option("--token-file", type=file, required=True, help="A file with a token. 令牌文件。")
    return api(token(command))


def centre_if_asked(command: _Command) -> _Command:
    """The same for a command that can do without the centre, and asks it when it is given a token."""
    api = click.option("--api", default="http://127.0.0.1:8080", show_default=True, help="The centre's API. 中心端接口地址。")
    file = click.Path(dir_okay=False, path_type=Path)
    token = click.option("--token-file", type=file, help="A file with a token: ask the centre too. 令牌文件,用于同时询问中心端。")
    return api(token(command))


class Centre:
    """The API of a centre. Raises ``StoreUnavailable`` when it does not answer, ``ClickException`` when it refuses."""

    def __init__(self, http: "httpx.Client") -> None:
        self._http = http

    def get(self, path: str, **asked: str | None) -> Any:
        return self._ask("GET", path, params={name.rstrip("_"): value for name, value in asked.items() if value is not None})

    def post(self, path: str, body: dict[str, str] | None = None) -> Any:
        return self._ask("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        import httpx

        try:
            answer = self._http.request(method, path, **what)
            said: Any = answer.json() if answer.content else None
        except (httpx.HTTPError, ValueError) as error:
            raise StoreUnavailable(f"the centre at {self._http.base_url} does not answer: {error}") from error
        if not answer.is_success:
            faults = "".join(f"; {fault['where']}: {fault['reason']}" for fault in said.get("errors", []))
            raise click.ClickException(f"{said['detail']}{faults}")
        return said


@contextmanager
def centre(api: str, token_file: Path) -> Iterator[Centre]:
    """The centre at ``api``, asked with the token in the file."""
    import httpx  # of the centre's extra; who only reads an instant here does without

    headers = {"Authorization": f"Bearer {read_token(token_file)}"}
    with httpx.Client(base_url=api, headers=headers, timeout=ANSWER_S) as http:
        yield Centre(http)


def read_token(path: Path) -> str:
    """Raises ``ConfigInvalid``."""
    try:
        return path.read_text().strip()
    except OSError as error:
        cure = "make a token with 'linli ingest token add'"
        raise ConfigInvalid([Problem(str(path), "", f"the token cannot be read: {error.strerror}", cure)]) from error


def instant(text: str, option: str) -> int:
    """UTC microseconds of an ISO 8601 instant; without an offset it is of this machine's clock."""
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1e6)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an instant such as 2026-11-23T08:00:00+08:00", param_hint=option) from None


def wall(said: str) -> str:
    """An instant of the API as the clock on the wall shows it, with its offset."""
    return datetime.fromisoformat(said).astimezone().isoformat(sep=" ", timespec="seconds")
