"""The application: its routes, what stands before them, and how it describes itself."""

import threading
from typing import Any

from fastapi import FastAPI

from ingest.api import (
    access,
    alerts,
    audit,
    deadletters,
    deeds,
    detail,
    notifications,
    planned,
    presence,
    problems,
    readings,
    replays,
    rules,
    standing,
    statistics,
    status,
    work_orders,
)
from ingest.api.description import with_examples
from ingest.api.parts import Parts
from ingest.api.recorder import Recorder
from ingest.api.shield import Shield
from telemetry import __version__

DESCRIPTION = """Alerts, readings and devices of residential communities. 小区的告警、读数与设备。

Every request carries a token: Authorization: Bearer linli_... It sees its own communities and nothing else; what lies outside
is "not found". Instants are RFC 3339 in UTC with microseconds. Errors are application/problem+json (RFC 9457).
An unknown parameter is refused, never ignored."""


class _Api(FastAPI):
    """Its description takes most of a second to make: it is made once, and by whoever asks beside the loop."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._one_maker = threading.Lock()
        self._described: dict[str, Any] | None = None

    def openapi(self) -> dict[str, Any]:
        with self._one_maker:
            if self._described is None:
                self._described = with_examples(super().openapi())
            return self._described


def create_app(parts: Parts) -> FastAPI:
    """The API over ``parts``; it holds nothing else and starts nothing."""
    app = _Api(
        title="Linli 邻里",
        description=DESCRIPTION,
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.add_middleware(Recorder, access_log=parts.access_log)
    app.add_middleware(Shield)
    problems.install(app)
    for room in (
        standing,
        alerts,
        deeds,
        planned,
        readings,
        presence,
        detail,
        audit,
        replays,
        rules,
        deadletters,
        notifications,
        work_orders,
        statistics,
        access,
        status,
    ):
        app.include_router(room.router)
    return app
