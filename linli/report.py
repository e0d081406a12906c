"""How the command line speaks of failures, and how programs log."""

import logging
import os
import sys
from typing import TextIO

import click
import structlog

from telemetry.errors import ConfigInvalid, LinliError


def failure(error: LinliError) -> int:
    """Says what went wrong on standard error; the exit status to end with."""
    if isinstance(error, ConfigInvalid):
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return 2
    click.echo(f"error: {error}", err=True)
    return 1


def log_to(stream: TextIO = sys.stderr) -> None:
    """One logfmt line an event on ``stream``; the level comes from LINLI_LOG (default info)."""
    level = logging.getLevelNamesMapping().get(os.environ.get("LINLI_LOG", "info").upper(), logging.INFO)
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
