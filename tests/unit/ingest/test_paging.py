"""Pages of a large table: the right rows, by the right index."""

import random
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import pytest
import sqlalchemy as sa

from ingest import paging
from ingest.alerts.alerts import LISTING as ALERTS
from ingest.cases.work_orders import LISTING as WORK_ORDERS
from ingest.paging import Cursor, Listing, Span, inside, narrowed, newest, widest
from telemetry.identity import Scope

COMMUNITIES = ("411202001001", "411202001002", "411202002001", "411203001001", "420102001001")
CITY = Scope(["4112"])
SCOPES = (CITY, Scope(["41", "42"]), Scope(["411202001", "411202"]), Scope(["411203001001"]), Scope(["50"]), Scope([]))
VALUES: dict[str, tuple[Any, ...]] = {"state": ("open", "closed"), "colour": ("red", "blue"), "kind": ("smoke", "leak", "door")}
things = sa.Table(
    "thing",
    sa.MetaData(),
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("community", sa.String(15)),
    sa.Column("at", sa.BigInteger),
    *(sa.Column(name, sa.String(8)) for name in VALUES),
)
LISTING = Listing(things, "at", ("kind",), {name: VALUES[name] for name in ("state", "colour")})


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    chance = random.Random(5)
    return [
        {"id": f"{number:04}", "community": chance.choice(COMMUNITIES), "at": chance.randrange(60)}
        | {name: chance.choice(values) for name, values in VALUES.items()}
        for number in range(300)
    ]


@pytest.fixture(scope="module")
def connection(rows: list[dict[str, Any]]) -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        things.create(connection)
        connection.execute(things.insert(), rows)
        yield connection
    engine.dispose()


def questions() -> Iterator[dict[str, tuple[Any, ...]]]:
    for size in range(len(VALUES) + 1):
        for names in combinations(VALUES, size):
            yield {name: VALUES[name][:1] for name in names}
    yield {"kind": ("leak", "door"), "colour": ("red",)}


@pytest.mark.parametrize(
    ("few", "many", "walks"), [(0, 0, 0), (0, 1000, 40), (0, 0, 40), (100, 80, 2), (1000, 0, 0), (1000, 0, 40)]
)
@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_a_page_holds_the_newest_that_fit_whichever_way_they_are_found(
    connection: sa.Connection,
    rows: list[dict[str, Any]],
    scope: Scope,
    few: int,
    many: int,
    walks: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("FEW", few), ("MANY", many), ("WALKS", walks)):
        monkeypatch.setattr(paging, name, value)
    spans = (Span(), Span(10, 40), Span(until=30))
    for equal, span, after in product(questions(), spans, (None, Cursor(25, "0150"))):
        fitting = [
            (row["at"], row["id"])
            for row in rows
            if scope.covers(row["community"])
            and all(row[name] in values for name, values in equal.items())
            and (span.since is None or row["at"] >= span.since)
            and (span.until is None or row["at"] < span.until)
            and (after is None or (row["at"], row["id"]) < after)
        ]
        expected = [id_ for _, id_ in sorted(fitting, reverse=True)[:7]]
        assert newest(connection, LISTING, scope, equal, span, after, 7) == expected


def test_a_prefix_that_another_covers_adds_nothing() -> None:
    assert widest(Scope(["411202", "4112", "42", "420102"])) == ("4112", "42")
    assert widest(Scope([])) == ()


def test_a_region_narrows_a_scope_and_never_widens_it() -> None:
    scope = Scope(["411202", "411203001"])
    assert narrowed(scope, "411202001001").prefixes == ("411202001001",)
    assert narrowed(scope, "4112").prefixes == scope.prefixes
    assert narrowed(scope, "411203").prefixes == ("411203001",)
    assert narrowed(scope, "42").prefixes == ()


def test_inside_is_what_a_scope_covers(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    for scope in SCOPES:
        found = connection.scalars(sa.select(things.c.id).where(inside(things.c.community, scope.prefixes)))
        assert set(found) == {row["id"] for row in rows if scope.covers(row["community"])}


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    engine = sa.create_engine("sqlite://")
    ALERTS.table.metadata.create_all(engine, [ALERTS.table, WORK_ORDERS.table])
    yield engine
    engine.dispose()


def plans(
    engine: sa.Engine, listing: Listing, scope: Scope, equal: dict[str, tuple[Any, ...]], span: Span, after: Cursor | None
) -> set[str]:
    """The steps that SQLite takes at the table, of a database without statistics."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    with engine.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", note)
        newest(connection, listing, scope, equal, span, after, 51)
        sa.event.remove(connection, "before_cursor_execute", note)
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[-1][0]}", asked[-1][1]).all()
    return {step.detail.partition(" (")[0] for step in steps if listing.table.name in step.detail.split()}


FIRST: dict[str, tuple[Any, ...]] = {
    "device": ("d",),
    "kind": ("k",),
    "family": ("access",),
    "state": ("open",),
    "colour": ("red",),
    "unit": ("u",),
    "supervision": (1, 2, 3),
    "stage": ("closed",),
    "ended": (False,),
}


@pytest.mark.parametrize("listing", [ALERTS, WORK_ORDERS], ids=["alerts", "work orders"])
@pytest.mark.parametrize("scope", [CITY, Scope([f"41120{n}" for n in range(10)])], ids=["one prefix", "ten"])
@pytest.mark.parametrize("after", [None, Cursor(9, "x")], ids=["first page", "later"])
def test_every_filter_walks_an_index_that_holds_all_it_asks_for(
    engine: sa.Engine, listing: Listing, scope: Scope, after: Cursor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "fit_in", lambda *_: False)
    monkeypatch.setattr(paging, "WALKS", -1)
    name = listing.table.name
    columns = (*listing.leads, *listing.spread)
    for size in range(len(columns) + 1):
        for names in combinations(columns, size):
            lead = next((column for column in names if column in listing.leads), "")
            index = lead or (next(iter(listing.spread)) if names else "time")
            index = "colour" if index == "ended" else index
            found = plans(engine, listing, scope, {column: FIRST[column] for column in names}, Span(1, 10), after)
            assert found == {f"SEARCH {name} USING COVERING INDEX {name}_by_{index}"}, names


@pytest.mark.parametrize("listing", [ALERTS, WORK_ORDERS], ids=["alerts", "work orders"])
@pytest.mark.parametrize("communities", [None, ["411202001001", "411202001002"]], ids=["a range", "one by one"])
def test_a_small_scope_is_read_by_its_communities(
    engine: sa.Engine, listing: Listing, communities: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_communities", lambda *_: communities)
    name = listing.table.name
    equal = {column: FIRST[column] for column in (*listing.leads, *listing.spread)}
    found = plans(engine, listing, CITY, equal, Span(1, 10), Cursor(9, "x"))
    assert found == {f"SEARCH {name} USING COVERING INDEX {name}_by_community"}
