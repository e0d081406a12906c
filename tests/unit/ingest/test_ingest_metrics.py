from ingest.alerts import AlertState, Colour
from ingest.metrics import Family, Sample, Stats, families, render
from ingest.registry import GatewaySeen
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Micros

GATEWAY = GatewaySeen(
    GatewayRef("411202002001", "gw-jianye-1"), True, Micros(1), "0.1.0", None, 10, {"oldest_unsent": 2.5, "clock_offset": -0.25}
)


def test_a_family_is_prometheus_text_with_its_labels_escaped() -> None:
    family = Family("linli_x", "gauge", "two\nlines \\", [Sample({"a": 'q"uote', "b": "back\\slash\nline"}, 1.5), Sample({}, 3)])
    assert render([family]) == (
        '# HELP linli_x two\\nlines \\\\\n# TYPE linli_x gauge\nlinli_x{a="q\\"uote",b="back\\\\slash\\nline"} 1.5\nlinli_x 3\n'
    )


def test_numbers_lose_no_digit_and_gain_none() -> None:
    for value, written in ((9_007_199_254_740_993, "9007199254740993"), (6.421419, "6.421419"), (1e-7, "1e-07")):
        assert render([Family("n", "counter", "", [Sample({}, value)])]).endswith(f"n {written}\n")


def test_everything_counted_is_said() -> None:
    stats = Stats(batches=7, duplicates=1, dead_letters=2, out_of_order=3, overflowed=5, store_errors=4)
    stats.readings[Kind.ACCESS] = 5
    lines = render(families(stats, {(Colour.RED, AlertState.OPEN): 1}, [GATEWAY])).splitlines()
    where = '{community="411202002001",gateway="gw-jianye-1"}'
    for line in (
        "linli_batches_total 7",
        "linli_duplicates_total 1",
        "linli_dead_letters_total 2",
        "linli_out_of_order_total 3",
        "linli_overflowed_total 5",
        "linli_store_errors_total 4",
        'linli_readings_total{kind="access"} 5',
        'linli_readings_total{kind="energy"} 0',
        'linli_alerts{colour="red",state="open"} 1',
        'linli_alerts{colour="blue",state="closed"} 0',
        f"linli_gateway_online{where} 1",
        f"linli_gateway_oldest_unsent_seconds{where} 2.5",
        f"linli_gateway_clock_offset_seconds{where} -0.25",
    ):
        assert line in lines
    assert not any(line.startswith("linli_gateway_outbox_bytes{") for line in lines)


def test_every_family_is_announced_once() -> None:
    lines = render(families(Stats(), {}, [GATEWAY, GATEWAY])).splitlines()
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
