"""The property manager's page says what the API does."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from api_centre import Centre

PAGE = (Path(__file__).parents[3] / "docs" / "manager.md").read_text(encoding="utf-8")
OPERATORS_PAGE = (Path(__file__).parents[3] / "docs" / "operator.md").read_text(encoding="utf-8")
OF_OPERATORS = (
    "/api/v1/audit",
    "/api/v1/replays",
    "/api/v1/deadletters",
    "/api/v1/work-orders/check",
    "/api/v1/alerts/check",
    "/api/v1/notifications",
    "/api/v1/rules",
    "/api/v1/access-log",
    "/api/v1/tokens",
)
ADDRESSES = re.findall(r'"\$URL(/[^"]+)"', PAGE)


async def test_every_address_of_the_page_is_answered(centre: Centre) -> None:
    assert len(ADDRESSES) >= 8
    for address in ADDRESSES:
        if "$" in address or address.endswith(("stream", "bulk")):  # what the reader fills in, and what never ends
            continue
        answer = await centre.client().get(address)
        assert answer.status_code == 200, address


async def test_the_page_names_every_route_and_every_filter_of_alerts(centre: Centre) -> None:
    described = (await centre.get("/openapi.json")).json()
    told = {re.sub(r"\$([A-Z]+)", lambda name: f"{{{name[1].lower()}}}", urlsplit(address).path) for address in ADDRESSES}
    operators = {path for path in described["paths"] if path.startswith(OF_OPERATORS)}
    assert {path for path in described["paths"] if path.startswith("/api/")} - told - operators == {"/api/v1/alerts/{id}"}
    assert all(path in OPERATORS_PAGE for path in operators)
    for parameter in described["paths"]["/api/v1/alerts"]["get"]["parameters"]:
        assert f"`{parameter['name']}`" in PAGE


async def test_the_acknowledgement_of_the_page_is_taken(centre: Centre) -> None:
    alert = await centre.raise_alert()
    body = re.search(r"-d '([^']+)'", PAGE)
    assert body is not None
    path = f"/api/v1/alerts/{alert.id}/ack"
    answer = await centre.client("handler").post(path, content=body[1].encode(), headers={"Content-Type": "application/json"})
    assert answer.json()["acked_by"] == "王师傅"
