"""The centre's telemetry store: one protocol, an embedded file or an InfluxDB server behind it."""

from ingest.store.embedded import EmbeddedStore
from ingest.store.protocol import WHOLE, Limits, PointStore, Query, Refusal, Row

__all__ = ["WHOLE", "EmbeddedStore", "Limits", "PointStore", "Query", "Refusal", "Row"]
