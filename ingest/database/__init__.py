"""The centre's database, and what rooms declare their tables with."""

from ingest.database import tenure
from ingest.database.database import Database
from ingest.database.place import Place, Server, place_of
from ingest.database.portable import add_up, insert, insert_new, metadata, upsert

__all__ = ["Database", "Place", "Server", "add_up", "insert", "insert_new", "metadata", "place_of", "tenure", "upsert"]
