"""What the centre has stored, read through its API page by page."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import msgspec

from simulators.verify import Stored
from telemetry.errors import StoreUnavailable
from telemetry.metric import Value

PAGE = 2_000
TIMEOUT_S = 30.0


class _Row(msgspec.Struct):
    device: str
    metric: str
    at: datetime
    value: Value | None
    event_id: str | None = None


class _Page(msgspec.Struct):
    items: list[_Row]
    next: str | None = None


_decoder = msgspec.json.Decoder(_Page)


class Readings:
    """The readings of the centre at ``url`` that ``token`` may see."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S)

    def close(self) -> None:
        self._client.close()

    def of(self, device: str, start: int, end: int) -> Iterator[Stored]:
        """Of one device in [start, end), UTC microseconds, newest first. Raises ``StoreUnavailable``."""
        until: str | None = str(end)
        while until is not None:
            page = self._page({"device": device, "from": str(start), "to": until, "limit": str(PAGE)})
            yield from (Stored(row.device, row.metric, _micros(row.at), row.value, row.event_id) for row in page.items)
            until = page.next

    def _page(self, asked: dict[str, Any]) -> _Page:
        try:
            answer = self._client.get("/api/v1/readings", params=asked)
            answer.raise_for_status()
            return _decoder.decode(answer.content)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise StoreUnavailable(f"{self._client.base_url}: {error}") from error


def _micros(instant: datetime) -> int:
    """Exact, unlike ``timestamp()``, which is a float."""
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond
