"""The centre's telemetry store: one protocol, an embedded file or a server of line protocol behind it."""

from ingest.store.embedded import EmbeddedStore
from ingest.store.influx import InfluxStore
from ingest.store.profile import Address, Profile
from ingest.store.protocol import HOUR_US, MAX_ROWS, WHOLE, Aside, Hour, Limits, PointStore, Query, Refusal, Row, nowhere
from ingest.store.spec import Compression, check_spec, open_store
from ingest.store.summary import Level, Summary
from ingest.store.tls import Tls

__all__ = [
    "HOUR_US",
    "MAX_ROWS",
    "WHOLE",
    "Address",
    "Aside",
    "Compression",
    "EmbeddedStore",
    "Hour",
    "InfluxStore",
    "Level",
    "Limits",
    "PointStore",
    "Profile",
    "Query",
    "Refusal",
    "Row",
    "Summary",
    "Tls",
    "check_spec",
    "nowhere",
    "open_store",
]
