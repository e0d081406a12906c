"""The centre's database, and what rooms declare their tables with."""

from ingest.database import tenure
from ingest.database.care import copy, revision, take_back
from ingest.database.database import Database
from ingest.database.place import Place, Server, place_of
from ingest.database.portable import add_up, insert, insert_new, metadata, upsert

__all__ = [
    "Database",
    "Place",
    "Server",
    "add_up",
    "copy",
    "insert",
    "insert_new",
    "metadata",
    "place_of",
    "revision",
    "take_back",
    "tenure",
    "upsert",
]
