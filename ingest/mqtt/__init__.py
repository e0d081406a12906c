"""The centre's way to its broker: packets without IO, and a connection that reads no more than can be taken."""

from ingest.mqtt.link import Address, Link, connected

__all__ = ["Address", "Link", "connected"]
