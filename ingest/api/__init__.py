"""The HTTP API of the centre: alerts, readings, devices and gateways for property managers; health and metrics for whoever
runs it. ``create_app`` makes it of its parts; ``listen`` and ``serve`` put it on a socket."""

from ingest.api.app import create_app
from ingest.api.feed import Feed
from ingest.api.limits import Limits
from ingest.api.listen import ListenRefused, listen, serve
from ingest.api.parts import Parts

__all__ = ["Feed", "Limits", "ListenRefused", "Parts", "create_app", "listen", "serve"]
