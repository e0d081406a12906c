"""What a store takes from a plain script: reads line protocol, writes it in blocks and counts it. It uses nothing of Linli.

    python bare.py duckdb FILE LINES          python bare.py influx|victoria URL LINES [plain]

To a server lines go deflated, as clients send them, or plain. Prints seconds and the number of values found afterwards.
"""

import json
import pathlib
import sys
import time
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator

BLOCK = 5_000
END = 4_000_000_000
"""Seconds: asked for no end, VictoriaMetrics leaves out what lies ahead of its clock."""


def blocks(path: str) -> Iterator[list[str]]:
    lines = pathlib.Path(path).read_text().splitlines()
    for start in range(0, len(lines), BLOCK):
        yield lines[start : start + BLOCK]


def into_duckdb(path: str, lines: str) -> tuple[float, int]:
    import duckdb
    import numpy

    file = duckdb.connect(path)
    file.execute(
        "CREATE TABLE point (series INTEGER, instant BIGINT, number DOUBLE, quality UTINYINT, stream INTEGER, seq BIGINT)"
    )
    known: dict[tuple[str, str], int] = {}
    begun = time.monotonic()
    for number, block in enumerate(blocks(lines)):
        series, instants, values = [], [], []
        for line in block:
            tags, fields, at = line.split(" ")
            for field in fields.split(",")[:-1]:
                name, _, value = field.partition("=")
                series.append(known.setdefault((tags, name), len(known)))
                instants.append(int(at) // 1_000)
                values.append(float(value))
        count = len(series)
        columns = {"series": numpy.array(series), "instant": numpy.array(instants), "number": numpy.array(values)}
        for name, same in (("quality", 0), ("stream", 1), ("seq", number)):
            columns[name] = numpy.full(count, same)
        file.register("block", columns)
        file.execute("INSERT INTO point SELECT * FROM block")
        file.unregister("block")
    took = time.monotonic() - begun
    ((values,),) = file.execute("SELECT count(*) FROM point").fetchall()
    return took, values


def post(url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
    request = urllib.request.Request(url, data=body, headers=headers or {}, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def into_server(kind: str, url: str, lines: str, deflated: bool = True) -> tuple[float, int]:
    if kind == "influx":
        post(f"{url}/query?" + urllib.parse.urlencode({"q": "CREATE DATABASE bare"}))
    begun = time.monotonic()
    for block in blocks(lines):
        body, headers = "\n".join(block).encode(), dict[str, str]()
        if deflated:
            deflater = zlib.compressobj(1, wbits=31)
            body, headers = deflater.compress(body) + deflater.flush(), {"Content-Encoding": "gzip"}
        post(f"{url}/write?db=bare&precision=ns", body, headers)
    took = time.monotonic() - begun
    return took, counted(kind, url, "bare")


def counted(kind: str, url: str, db: str) -> int:
    """How many numbers the server holds in this database, qualities apart."""
    if kind == "influx":
        wanted = urllib.parse.urlencode({"db": db, "q": 'SELECT count(*) FROM "energy"'})
        with urllib.request.urlopen(f"{url}/query?{wanted}", timeout=60) as answer:
            series = json.load(answer)["results"][0].get("series", [{"columns": [], "values": [[]]}])[0]
        found = zip(series["columns"], series["values"][0], strict=True)
        return sum(count for name, count in found if name not in ("time", "count_quality"))
    post(f"{url}/internal/force_flush")
    selector = f'{{__name__=~"energy_.+",__name__!="energy_quality",db="{db}"}}'
    match = urllib.parse.urlencode({"match[]": selector, "start": 1, "end": END})
    with urllib.request.urlopen(f"{url}/api/v1/export?{match}", timeout=120) as answer:
        return sum(len(json.loads(line)["values"]) for line in answer)


if __name__ == "__main__":
    what, where, source, *how = sys.argv[1:]
    seconds, found = into_duckdb(where, source) if what == "duckdb" else into_server(what, where, source, how != ["plain"])
    print(json.dumps({"seconds": seconds, "values": found}))
