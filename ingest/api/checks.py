"""What a check of a journal says: the same of alerts, work orders and the access log."""

from pydantic import BaseModel, ConfigDict

from ingest.chain import Checked


class CheckView(BaseModel):
    """`whole` when the journal is what was written. `head` is the digest of its last line: note it elsewhere, and a later check
    shows whether everything up to it is still the same."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"whole": True, "lines": 8120, "head": "9f86d081…", "broken": None}]}
    )

    whole: bool
    lines: int
    head: str
    broken: str | None


def check_view(found: Checked) -> CheckView:
    broken = f"line {found.broken.seq}: {found.broken.reason}" if found.broken else None
    return CheckView(whole=broken is None, lines=found.lines, head=found.head, broken=broken)
