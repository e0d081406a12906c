"""No damage, delay or confusion on the wire becomes a value: many polls over a line that spoils what it can.

Frames and line are driven directly, without a port or a clock. A run has 100,000 polls of each kind; `LINLI_POLLS=1000000`
makes it longer. On RTU the damage is what a CRC of 16 bits finds for certain: up to three bits, or a burst of up to 16. Of frames
whose every bit is random it lets one in 65,536 pass, which no receiver can tell.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pymodbus.framer import FramerRTU

from device_profiles import Table
from edge.bus_config import SerialLine
from edge.drivers.frames import Question, RtuFrames, TcpFrames
from edge.drivers.line import RtuLine

POLLS = int(os.environ.get("LINLI_POLLS", "100000"))
TIMEOUT_S = 0.2
UNITS = (1, 2, 3, 17, 247)

Chunks = list[tuple[float, bytes]]
"""What arrives, and how long after the request."""


class Poll(NamedTuple):
    """One request: ``words`` are what the unit holds now, and ``frame`` says them."""

    unit_id: int
    words: tuple[int, ...]
    frame: bytes
    framed: Callable[[int, bytes], bytes]


def pdu(*words: int, function: int = 3) -> bytes:
    return bytes((function, 2 * len(words))) + b"".join(word.to_bytes(2, "big") for word in words)


def rtu(unit_id: int, body: bytes) -> bytes:
    frame = bytes((unit_id,)) + body
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


def in_time(chance: random.Random) -> float:
    return chance.uniform(0.001, TIMEOUT_S * 0.9)


def flipped(frame: bytes, bits: list[int]) -> bytes:
    damaged = bytearray(frame)
    for bit in bits:
        damaged[bit >> 3] ^= 1 << (bit & 7)
    return bytes(damaged)


def whole(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.frame)]


def silent(poll: Poll, chance: random.Random) -> Chunks:
    return []


def some_bits(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), flipped(poll.frame, chance.sample(range(8 * len(poll.frame)), chance.randint(1, 3))))]


def a_burst(poll: Poll, chance: random.Random) -> Chunks:
    """Bits as they go over the line are the lowest first, so 16 in a row of these are 16 in a row there."""
    length = chance.randint(2, 16)
    first = chance.randrange(8 * len(poll.frame) - length + 1)
    inside = [bit for bit in range(first + 1, first + length - 1) if chance.random() < 0.5]
    return [(in_time(chance), flipped(poll.frame, [first, *inside, first + length - 1]))]


def cut(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.frame[: chance.randrange(len(poll.frame))])]


def after_noise(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), chance.randbytes(chance.randint(1, 12)) + poll.frame)]


def in_pieces(poll: Poll, chance: random.Random) -> Chunks:
    at, place = in_time(chance), chance.randrange(1, len(poll.frame))
    return [(at, poll.frame[:place]), (min(at + 0.001, TIMEOUT_S * 0.95), poll.frame[place:])]


def twice(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.frame * 2)]


def of_another_unit(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.framed(chance.choice([0, 4, 255]), pdu(0xBAD, 0xBAD)))]


def of_another_function(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.framed(poll.unit_id, pdu(0xBAD, 0xBAD, function=chance.choice([1, 2, 4, 6, 16]))))]


def more_or_fewer(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.framed(poll.unit_id, pdu(*[0xBAD] * chance.choice([0, 1, 3, 4, 125]))))]


def miscounted(poll: Poll, chance: random.Random) -> Chunks:
    """The length byte says what was asked for, and more or fewer bytes follow."""
    return [(in_time(chance), poll.framed(poll.unit_id, pdu(0xBAD, 0xBAD)[:-2] + bytes(chance.choice([0, 1, 3, 4]))))]


def refusal(poll: Poll, chance: random.Random) -> Chunks:
    return [(in_time(chance), poll.framed(poll.unit_id, bytes((0x83, chance.randrange(256)))))]


def late(poll: Poll, chance: random.Random) -> Chunks:
    return [(TIMEOUT_S * chance.uniform(1.0, 1.99), poll.frame)]


ANSWERED = (whole, after_noise, in_pieces, twice)
UNANSWERED = (silent, some_bits, a_burst, cut, of_another_unit, of_another_function, more_or_fewer, late)


def test_no_wrong_value_on_a_serial_line() -> None:
    chance, line, frames = random.Random(25), RtuLine(SerialLine(baud=9600)), RtuFrames()
    now, pending, seen = 0.0, Chunks(), Counter[str]()
    for number in range(POLLS):
        ready = [unit_id for unit_id in UNITS if line.ready_at(unit_id) <= now]
        if not ready:
            now = min(line.ready_at(unit_id) for unit_id in UNITS)
            continue
        unit_id, words = chance.choice(ready), (number >> 16, number & 0xFFFF)
        poll = Poll(unit_id, words, rtu(unit_id, pdu(*words)), rtu)
        fate = chance.choice((*ANSWERED, *UNANSWERED, refusal))
        _idle(frames, pending, now)
        disturbed = any(at <= now + TIMEOUT_S for at, _ in pending)
        pending += [(now + delay_s, data) for delay_s, data in fate(poll, chance)]
        found, at = _ask(frames, Question(unit_id, Table.HOLDING, 2), pending, now)
        line.ended(Question(unit_id, Table.HOLDING, 2), found is not None, TIMEOUT_S, at)
        now = max(at, line.free_at())
        if disturbed and found in (None, words):  # a late answer of another unit spoiled this one, or ended it by chance
            seen["disturbed"] += 1
        else:
            _judge(seen, fate, found, words)
    _not_idle(seen)


def _idle(frames: RtuFrames, pending: Chunks, now: float) -> None:
    """What arrived while nobody was asked."""
    frames.question = None
    for chunk in [chunk for chunk in pending if chunk[0] <= now]:
        assert frames.handleFrame(chunk[1], 0, 0)[1] is None
        pending.remove(chunk)


def _ask(frames: RtuFrames, question: Question, pending: Chunks, now: float) -> tuple[tuple[int, ...] | None, float]:
    """The words that were taken (none of a refusal), ``None`` when none came in time; and when that was."""
    frames.question, buffer = question, b""
    for chunk in sorted(pending, key=lambda chunk: chunk[0]):
        if chunk[0] > now + TIMEOUT_S:
            break
        pending.remove(chunk)
        buffer += chunk[1]
        used, found = frames.handleFrame(buffer, question.unit_id, 0)
        if found is not None:
            return () if found.isError() else tuple(found.registers), chunk[0]
        buffer = buffer[used:]
    return None, now + TIMEOUT_S


def test_no_wrong_value_on_a_connection() -> None:
    """Late answers of earlier transactions come in any order, glued to the next; half ones end the connection."""
    chance, frames = random.Random(26), TcpFrames()
    seen, owed, left = Counter[str](), list[bytes](), b""
    fates = (whole, in_pieces, twice, silent, cut, of_another_unit, of_another_function, more_or_fewer, miscounted, refusal)
    for number in range(POLLS):
        transaction, unit_id, words = number & 0xFFFF, chance.choice(UNITS), (number >> 16, number & 0xFFFF)
        framed = partial(_tcp, transaction)
        poll = Poll(unit_id, words, framed(unit_id, pdu(*words)), framed)
        fate = chance.choice(fates)
        glued = [owed.pop(chance.randrange(len(owed))) for _ in range(chance.randint(0, 2)) if owed]
        frames.question, buffer, found = Question(unit_id, Table.HOLDING, 2), left, None
        for data in [*glued, *(data for _, data in fate(poll, chance))]:
            buffer += data
            used, found = frames.handleFrame(buffer, unit_id, transaction)
            buffer = buffer[used:]
            if found is not None:
                break
        if fate is silent and len(owed) < 50:
            owed.append(poll.frame)
        left = buffer if found is not None else b""  # half an answer after a time-out: another connection
        _judge(seen, fate, None if found is None else () if found.isError() else tuple(found.registers), words)
    _not_idle(seen)


def _tcp(transaction: int, unit_id: int, body: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes((unit_id,)) + body


def _judge(
    seen: Counter[str], fate: Callable[[Poll, random.Random], Chunks], found: tuple[int, ...] | None, words: tuple[int, ...]
) -> None:
    expected = words if fate in ANSWERED else () if fate is refusal else None
    assert found == expected, f"after {seen.total()} polls, {fate.__name__}: {found} in place of {expected}"
    seen[fate.__name__] += 1


def _not_idle(seen: Counter[str]) -> None:
    assert seen.total() > POLLS * 0.8 and min(seen.values()) > POLLS / 50, seen
