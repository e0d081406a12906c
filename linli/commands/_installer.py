"""What the installers' commands share: which gateway is meant, doing a verb with its progress shown, printing."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from device_profiles import Library
from edge.config import GatewayConfig
from edge.provisioning.reach import carry_out, open_gateway
from edge.provisioning.scan import Progress, Step
from edge.provisioning.verbs import Result, Verb
from linli.report import log_to
from telemetry.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLACES = (Path("gateway.yaml"), Path("/etc/linli/gateway.yaml"))
WIDE = 160

_Result = TypeVar("_Result")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def config_option(command: _Command) -> _Command:
    return click.option(
        "--config",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="gateway.yaml; else $LINLI_CONFIG, ./gateway.yaml, /etc/linli/gateway.yaml. 网关配置文件。",
    )(command)


def json_option(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="JSON on standard output. 以 JSON 输出。")(command)


def pairs(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` options as a mapping."""
    split = [pair.partition("=") for pair in given]
    for name, equals, value in split:
        if not (name and equals and value):
            raise click.BadParameter(f"{name + equals + value!r} is not name=value")
    return {name: value for name, _, value in split}


def opened(file: Path | None) -> tuple[GatewayConfig, Library]:
    """The gateway that is meant. Raises ``ConfigInvalid``."""
    log_to(usual="error")  # what goes wrong is said once, as the command's own error
    return open_gateway(file or _usual_file())


def carried_out(gateway: tuple[GatewayConfig, Library], verb: Verb, answer: type[_Result], progress: Progress) -> _Result:
    """Does the verb, in the agent when it runs. Raises what the verb raises."""
    result: Result = asyncio.run(carry_out(*gateway, verb, progress))
    assert isinstance(result, answer)
    return result


def with_bar(work: Callable[[Progress], _Result], words: str, *, shown: bool) -> _Result:
    """Runs ``work`` with a progress bar on a terminal; on standard error, so that output stays clean."""
    if not (shown and sys.stderr.isatty()):
        return work(lambda step: None)
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(words, total=None)

        def show(step: Step) -> None:
            bars.update(task, completed=step.done, total=step.total, description=f"{words}: {step.words}")

        return work(show)


def print_json(result: msgspec.Struct | list[Any]) -> None:
    click.echo(json.dumps(msgspec.to_builtins(result), ensure_ascii=False, indent=2))


def console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE)


def table(title: str, *columns: str) -> "Table":
    from rich.table import Table

    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def safe(text: object) -> str:
    """Text of a device or a file, with what a terminal would obey or rich would read as markup taken out."""
    from rich.markup import escape

    return escape("".join(character if character.isprintable() else "\ufffd" for character in str(text)))


def _usual_file() -> Path:
    given = os.environ.get("LINLI_CONFIG")
    if given:
        return Path(given)
    for place in PLACES:
        if place.exists():
            return place
    looked = ", ".join(str(place) for place in PLACES)
    cure = "give --config FILE, or make a gateway with 'linli gateway init'"
    raise ConfigInvalid([Problem("gateway.yaml", "", f"is not there (looked at $LINLI_CONFIG, {looked})", cure)])
