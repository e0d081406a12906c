"""Alerts: rules judge readings, and what they raise becomes episodes that people acknowledge.

``load_rules`` reads the YAML, ``AlertEngine`` runs the rules over what arrives, ``Alerts`` is what people read and do.
The rule machines (``hold``, ``sequence``, ``occurrence``, ``absence``) are pure: event time is their only time.
"""

from ingest.alerts.alerts import AlertFilter, Alerts
from ingest.alerts.engine import AlertEngine
from ingest.alerts.episode import Alert, AlertState
from ingest.alerts.loading import load_rules
from ingest.alerts.outcome import Directory
from ingest.alerts.rule import Family
from ingest.alerts.rules import Rules
from ingest.alerts.severity import Colour
from ingest.alerts.tables import Changed, Told

__all__ = [
    "Alert",
    "AlertEngine",
    "AlertFilter",
    "AlertState",
    "Alerts",
    "Changed",
    "Colour",
    "Directory",
    "Family",
    "Rules",
    "Told",
    "load_rules",
]
