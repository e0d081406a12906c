"""Does a verb where it belongs: in the running agent when there is one, else here, with the agent kept from starting."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from device_profiles import Library, load_library
from edge.config import GatewayConfig, load, profile_dirs
from edge.control import NoAgent, ask
from edge.provisioning.scan import Progress
from edge.provisioning.site import AgentBusy, offline
from edge.provisioning.verbs import Result, Verb, perform
from telemetry.errors import ConfigInvalid, Problem

TRIES = 15
BETWEEN_S = 0.3
"""An agent that has just taken its lock listens within a few seconds."""


def open_gateway(file: Path) -> tuple[GatewayConfig, Library]:
    """A gateway's configuration and the profiles it may name. Raises ``ConfigInvalid``."""
    library = load_library(profile_dirs(file))
    return load(file, library), library


async def carry_out(
    config: GatewayConfig, library: Library, verb: Verb, progress: Progress, note: Callable[[bool], None] = lambda asked: None
) -> Result:
    """Raises what the verb raises, or ``AgentBusy``. ``note`` hears whether an agent does it."""
    checked = _checked(verb)
    for left in reversed(range(TRIES)):
        try:
            return await ask(config.control_socket, checked, progress)
        except NoAgent:
            try:
                async with offline(config, library) as site:
                    return await perform(site, checked, progress)
            except AgentBusy:
                if not left:
                    raise
        await asyncio.sleep(BETWEEN_S)
    raise AssertionError("TRIES is at least 1")


def _checked(verb: Verb) -> Verb:
    """The verb as an agent would read it: a command line is held to the same bounds. Raises ``ConfigInvalid``."""
    try:
        return msgspec.json.decode(msgspec.json.encode(verb), type=type(verb))
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise ConfigInvalid([Problem("the command line", "", str(error))]) from error
