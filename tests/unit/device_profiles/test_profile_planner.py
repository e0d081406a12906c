"""The planner: all that is due in few requests that the model bears, and never a word it refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles import Profile, Request, Table, load_library, plan
from device_profiles.format import Binding, Hole, ModbusMap, PointDocument, ProfileDocument, RawType
from device_profiles.format_examples import Examples as Examples_
from device_profiles.format_examples import Origin, Vector
from device_profiles.library import SHIPPED, load_text
from device_profiles.resolve import resolve
from telemetry.metric import Kind
from telemetry.presence import Words

LIBRARY = load_library()
BITS = (Table.COIL, Table.DISCRETE)
TYPES = [RawType.UINT16, RawType.FLOAT32, RawType.FLOAT64]


def profile(model: ModbusMap, *bindings: Binding) -> Profile:
    points = {f"p{number}": PointDocument(helper=True, modbus=binding) for number, binding in enumerate(bindings)}
    anchor = PointDocument(
        metric="temperature", unit="degC", valid_when=dict.fromkeys(points, (0,)), modbus=Binding(Table.INPUT, 60_000)
    )
    document = ProfileDocument(
        id="any",
        kind=Kind.ENVIRONMENT,
        vendor="V",
        model="M",
        name=Words(),
        confidence="single",
        sources=("a",),
        modbus=model,
        points={**points, "temperature": anchor},
        examples=Examples_(vectors=(Vector(origin=Origin.COMPUTED, point="temperature", words=(0,), gives=None),)),
    )
    return resolve(document)


@st.composite
def models(draw: st.DrawFn) -> ModbusMap:
    align = draw(st.sampled_from([1, 2, 4]))
    holes = draw(st.lists(st.tuples(st.sampled_from(Table), st.integers(0, 60), st.integers(0, 3)), max_size=3))
    return ModbusMap(
        max_registers=4 * draw(st.integers(2, 8)),
        max_bits=draw(st.integers(1, 40)),
        max_gap=draw(st.integers(0, 12)),
        align=align,
        one_point_per_request=draw(st.booleans()),
        holes=tuple(Hole(table, first, first + more) for table, first, more in holes),
    )


@st.composite
def bindings(draw: st.DrawFn) -> list[Binding]:
    """Points side by side or with gaps, never overlapping."""
    found: list[Binding] = []
    for table in Table:
        address = 0
        for _ in range(draw(st.integers(0, 6))):
            address += draw(st.integers(0, 9))
            type_ = RawType.BIT if table in BITS else draw(st.sampled_from(TYPES))
            found.append(Binding(table, address, type_))
            address += 1 if table in BITS else {RawType.UINT16: 1, RawType.FLOAT32: 2, RawType.FLOAT64: 4}[type_]
    return found


def touched(request: Request) -> range:
    return range(request.address, request.address + request.count)


@settings(max_examples=300)
@given(models(), bindings(), st.sets(st.tuples(st.sampled_from(Table), st.integers(0, 60)), max_size=5), st.data())
def test_every_due_point_is_read_once_within_what_the_model_bears(
    model: ModbusMap, bound: list[Binding], refused: set[tuple[Table, int]], data: st.DataObject
) -> None:
    found = profile(model, *bound)
    due = set(data.draw(st.lists(st.sampled_from(sorted(found.points)), unique=True)))
    requests = plan(found, due, refused)
    blocked = refused | {(hole.table, place) for hole in model.holes for place in range(hole.first, hole.last + 1)}
    names = [name for request in requests for name in request.points]
    assert len(names) == len(set(names))
    for request in requests:
        bits = request.table in BITS
        assert 1 <= request.count <= (model.max_bits if bits else model.max_registers)
        assert blocked.isdisjoint((request.table, place) for place in touched(request))
        assert bits or request.address % model.align == request.count % model.align == 0
        assert not (model.one_point_per_request and len(request.points) > 1)
        for name in request.points:
            register = found.points[name].register
            assert register is not None and register.table is request.table
            assert set(range(register.address, register.address + register.count)) <= set(touched(request))
    for name in due - set(names):
        register = found.points[name].register
        assert register is not None
        step = 1 if register.table in BITS else model.align
        near = range(register.address - register.address % step, -(-(register.address + register.count) // step) * step)
        assert not blocked.isdisjoint((register.table, place) for place in near), f"{name} could have been read"


def test_adjacent_points_share_a_request() -> None:
    level = LIBRARY.profiles["level-qdy30a"]
    assert plan(level) == (Request(Table.HOLDING, 2, 3, ("unit_code", "decimals", "level")),)


def test_a_helper_is_read_with_the_point_that_needs_it() -> None:
    assert plan(LIBRARY.profiles["level-qdy30a"], ["level"])[0].points == ("unit_code", "decimals", "level")


def test_a_helper_that_nobody_needs_is_read_only_when_asked_for() -> None:
    text = (SHIPPED / "xy-md02.yaml").read_text()
    text = text.replace("points:\n", "points:\n  serial: {helper: true, modbus: {table: holding, address: 9}}\n")
    found = load_text(text, "xy-md02.yaml")
    assert [request.table for request in plan(found)] == [Table.INPUT]
    assert plan(found, ["serial"]) == (Request(Table.HOLDING, 9, 1, ("serial",)),)
    assert plan(found, []) == ()


def test_unused_registers_are_read_only_as_far_as_the_model_allows() -> None:
    two = Binding(Table.INPUT, 0), Binding(Table.INPUT, 4)
    assert len(plan(profile(ModbusMap(max_gap=3), *two), ["p0", "p1"])) == 1
    assert len(plan(profile(ModbusMap(max_gap=2), *two), ["p0", "p1"])) == 2


def test_a_refused_address_splits_a_request() -> None:
    found = profile(ModbusMap(max_gap=5), Binding(Table.INPUT, 0), Binding(Table.INPUT, 4))
    assert [request.count for request in plan(found, ["p0", "p1"], {(Table.INPUT, 2)})] == [1, 1]
    assert [request.points for request in plan(found, ["p0", "p1"], {(Table.INPUT, 4)})] == [("p0",)]
    assert [request.count for request in plan(found, ["p0", "p1"], {(Table.HOLDING, 2)})] == [5]


def test_a_meter_that_wants_even_blocks_gets_them() -> None:
    requests = plan(LIBRARY.profiles["eastron-sdm630"])
    assert all(request.address % 2 == 0 and request.count % 2 == 0 and request.count <= 60 for request in requests)
    assert len(requests) == 3
    assert sum(len(request.points) for request in requests) == 17


def test_the_plan_of_a_device_without_registers_is_empty() -> None:
    assert plan(LIBRARY.profiles["frigate"]) == ()


def test_a_plan_is_made_once() -> None:
    meter = LIBRARY.profiles["eastron-sdm630"]
    assert plan(meter, ["frequency"]) is plan(meter, {"frequency"})


def test_an_unknown_point_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        plan(LIBRARY.profiles["xy-md02"], ["pressure"])
