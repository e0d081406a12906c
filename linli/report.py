"""How the command line speaks of failures and what it ends with, and how programs log."""

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click
import structlog

from telemetry.errors import ConfigInvalid, LinliError, StoreDiverged

FAILED, BAD_CONFIGURATION, DIVERGED = 1, 2, 3
"""What a command ends with. Starting it again may help after the first, never after the second, and is the cure of the third."""


def failure(*errors: LinliError) -> int:
    """Says what went wrong on standard error, each thing once; the exit status to end with."""
    for said in dict.fromkeys(line for error in errors for line in _lines(error)):
        click.echo(f"error: {said}", err=True)
    if any(isinstance(error, StoreDiverged) for error in errors):
        return DIVERGED
    return BAD_CONFIGURATION if any(isinstance(error, ConfigInvalid) for error in errors) else FAILED


def failures(group: BaseExceptionGroup[Any]) -> Iterator[Any]:
    """The errors of a group, and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from failures(error)
        else:
            yield error


def _lines(error: LinliError) -> list[str]:
    return [str(problem) for problem in error.problems] if isinstance(error, ConfigInvalid) else [str(error)]


def log_to(stream: TextIO = sys.stderr, usual: str = "info") -> None:
    """One logfmt line an event on ``stream``; the level comes from LINLI_LOG, or is the ``usual`` one."""
    level = logging.getLevelNamesMapping().get(os.environ.get("LINLI_LOG", usual).upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=stream, level=logging.WARNING, format="%(asctime)s level=%(levelname)s logger=%(name)s event=%(message)r"
    )
