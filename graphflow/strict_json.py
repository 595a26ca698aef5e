"""Strict JSON, safe on any bytes: what is doubtful is refused, in bounded time and memory, before anything is built.

Python's own reader takes NaN, lets a second key of the same name win, turns 1e999 into infinity and recurses as deep as
the text does. Here all four are refused, and the depth and the number of values are counted before it starts.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import accumulate
from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_STRINGS = 250_000
MAX_CONTAINERS = 250_000
# -9223372036854775808 and 18446744073709551615: longer integers are written in another form (json_values).
MAX_INTEGER_LENGTH = 20

STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in STEPS)


def write(value: object) -> str:
    """The value as JSON on one line, pure ASCII; numbers by repr, so that every finite float comes back bit for bit.

    Args:
        value: None, bool, int, finite float, str, and lists and dicts of these.
    """
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def parse(data: bytes) -> object:
    """The value that the bytes of one JSON document stand for.

    Raises:
        ValueError: not JSON; not pure ASCII (a byte order mark, raw UTF-8); NaN, Infinity or a number beyond float64;
            an integer of more than 20 characters; a key twice in one object; more than `MAX_DEPTH` levels,
            `MAX_STRINGS` strings or `MAX_CONTAINERS` lists and objects.

    Example:
        >>> parse(b'{"a": [1, 2.5, null]}')
        {'a': [1, 2.5, None]}
    """
    check_structure(data)
    if not data.isascii():
        place = next(place for place, byte in enumerate(data) if byte > 127)
        raise ValueError(f"byte 0x{data[place]:02x} at {place} is not ASCII")
    found: object = json.loads(
        data.decode("ascii"),
        object_pairs_hook=unique_members,
        parse_float=finite_float,
        parse_int=short_integer,
        parse_constant=refuse_constant,
    )
    return found


def check_structure(data: bytes) -> None:
    """Count strings, lists, objects and levels without building any of them.

    Where the bytes are no JSON the counts hold up to the first mistake, which is as far as the reader gets.

    Raises:
        ValueError: a limit is passed.
    """
    # Without escaped backslashes and escaped quotes, every second piece between quotes is outside a string.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    strings = plain.count(b'"') // 2
    if strings > MAX_STRINGS:
        raise ValueError(f"{strings} strings and keys; the limit is {MAX_STRINGS}")
    outside = b"".join(plain.split(b'"')[::2])
    brackets = sum(map(outside.count, STEPS))
    if brackets // 2 > MAX_CONTAINERS:
        raise ValueError(f"{brackets // 2} lists and objects; the limit is {MAX_CONTAINERS}")
    steps = map(STEPS.__getitem__, outside.translate(None, NOT_BRACKETS))
    depth = max(accumulate(steps), default=0)
    if depth > MAX_DEPTH:
        raise ValueError(f"nested {depth} levels deep; the limit is {MAX_DEPTH}")


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key[:60]!r} stands twice in one object")
    return members


def finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is beyond float64")
    return number


def short_integer(text: str) -> int:
    if len(text) > MAX_INTEGER_LENGTH:
        raise ValueError(f"an integer of {len(text)} characters; the limit is {MAX_INTEGER_LENGTH}")
    return int(text)


def refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
