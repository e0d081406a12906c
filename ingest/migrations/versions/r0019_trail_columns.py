"""a row of the trail has a column for each thing that is said of what was heard

It had a whole reading for each.
"""

import zlib
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_GOOD = "good"
_trail = sa.table("alert_trail", sa.column("seq", sa.BigInteger), sa.column("body", sa.LargeBinary))


def upgrade() -> None:
    _rewrite(_columns)


def downgrade() -> None:
    _rewrite(_steps)


def _rewrite(other: Any) -> None:
    connection = op.get_bind()
    for seq in connection.execute(sa.select(_trail.c.seq)).scalars().all():
        old = connection.execute(sa.select(_trail.c.body).where(_trail.c.seq == seq)).scalar_one()
        body = zlib.compress(msgspec.msgpack.encode(other(*msgspec.msgpack.decode(zlib.decompress(old)))), 1)
        connection.execute(_trail.update().where(_trail.c.seq == seq).values(body=body))


def _columns(sources: list[Any], steps: list[list[Any]]) -> list[Any]:
    source_of, readings, forgotten = [], [], []
    for what, *said in steps:
        if what == "heard":
            source_of.append(said[0])
            readings.append(said[1])
        else:
            forgotten.append([len(readings), said])
    told = [[reading[name] for reading in readings] for name in ("device", "kind", "at", "values")]
    qualities = {place: reading["quality"] for place, reading in enumerate(readings) if reading.get("quality", _GOOD) != _GOOD}
    return [sources, source_of, *told, qualities, forgotten]


def _steps(sources: list[Any], source_of: list[int], *rest: Any) -> list[Any]:
    devices, kinds, instants, values, qualities, forgotten, *_ = rest
    steps: list[list[Any]] = []
    for place, (source, *said) in enumerate(zip(source_of, devices, kinds, instants, values, strict=True)):
        steps += (["forgotten", *one] for before, one in forgotten if before == place)
        reading = dict(zip(("device", "kind", "at", "values"), said, strict=True)) | {"quality": qualities.get(place, _GOOD)}
        steps.append(["heard", source, reading])
    steps += (["forgotten", *one] for before, one in forgotten if before == len(source_of))
    return [sources, steps]
