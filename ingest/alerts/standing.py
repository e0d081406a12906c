"""What people do about where an alert stands, and what they look up of it: one door to all of it."""

from dataclasses import dataclass

from ingest.alerts.chronicle import Chronicle
from ingest.alerts.deeds import Deeds
from ingest.alerts.plans import Plans
from ingest.alerts.tables import Told, untold
from ingest.database import Database


@dataclass(frozen=True)
class Standing:
    deeds: Deeds
    plans: Plans
    chronicle: Chronicle


def standing_of(database: Database, told: Told = untold) -> Standing:
    return Standing(Deeds(database, told), Plans(database), Chronicle(database))
