"""History thinned and deleted by age: what is stale, who computes it, how long what is kept."""

from ingest.history.history import History
from ingest.history.retention import Part, Retention, retention_problems

__all__ = ["History", "Part", "Retention", "retention_problems"]
