"""Python values and numpy arrays as strict JSON values, and back without losing a bit.

JSON has no arrays of a dtype, no tuples, no infinity and no integers of 128 bits (a generator's state has them).
Each is written as an object of one member whose name starts with a dollar sign:

    {"$array": {"dtype": "float32", "shape": [2, 3], "data": "..."}}     numpy array
    {"$scalar": {"dtype": "float64", "shape": [], "data": "..."}}        numpy scalar
    {"$tuple": [1, 2]}   {"$int": "-0x8000000000000001"}   {"$float": "nan"}, "inf", "-inf"

A dict's own key that starts with a dollar sign is written with one more. Data is base64 of the little-endian bytes in
row-major order, or a flat list of numbers. The functions raise ValueError with the place and what is wrong there.
"""

from __future__ import annotations

import binascii
import math
import re
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from graphflow.strict_json import MAX_DEPTH

Array = npt.NDArray[Any]
Numbers = Literal["base64", "lists"]

DTYPE_NAMES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
STORED = {name: np.dtype(name).newbyteorder("<") for name in DTYPE_NAMES.split()}
KIND_OF_NUMBER: dict[str, type] = {"b": bool, "i": int, "u": int, "f": float}
PLAIN = {bool, str, type(None)}
MAX_DIMENSIONS = 32
SUPPORTED = "None, bool, int, float, str, numpy arrays of numbers, and lists, tuples and dicts of these"


def encode(value: object, place: str, numbers: Numbers = "base64", depth: int = 0) -> object:
    """The value in what JSON has.

    Args:
        value: None, bool, int, float, str, numpy arrays and scalars, and lists, tuples, dicts with text keys of these.
        place: where it stands, for the message, such as `extra`.
        numbers: how the data of arrays are written.
        depth: how many levels are around it.

    Raises:
        ValueError: anything else, or nested too deep (a list that contains itself).
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"{place[:60]}... is nested more than {MAX_DEPTH} levels deep, or contains itself")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, np.generic) and value.dtype.name in STORED:
        return {"$scalar": encode_array(np.asarray(value), place, numbers)}
    if isinstance(value, np.ndarray):
        return {"$array": encode_array(value, place, numbers)}
    if isinstance(value, str):
        return str.__str__(value)  # the text of an enumeration's member, not the member's name
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else {"$int": hex(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, list):
        return encode_items(value, place, numbers, depth)
    if isinstance(value, tuple):
        return {"$tuple": encode_items(list(value), place, numbers, depth + 1)}
    if isinstance(value, dict):
        return {
            escaped_key(key, place): encode(item, f"{place}[{key!r}]", numbers, depth + 1)
            for key, item in value.items()
        }
    raise ValueError(f"{place} is of type {type(value).__name__}")


def encode_items(items: list[Any], place: str, numbers: Numbers, depth: int) -> list[Any]:
    kinds = set(map(type, items))
    # Long lists (a vocabulary, the order of the sentences) need no look at each item.
    if kinds <= PLAIN or (kinds == {int} and -(2**63) <= min(items) and max(items) < 2**64):
        return items
    return [encode(item, f"{place}[{index}]", numbers, depth + 1) for index, item in enumerate(items)]


def escaped_key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{place} has the key {key!r:.60} of type {type(key).__name__}; JSON has text keys only")
    return "$" + key if key.startswith("$") else str.__str__(key)


def encode_array(array: Array, place: str, numbers: Numbers) -> dict[str, Any]:
    """dtype, shape and data of an array of numbers.

    Lists hold every finite number exactly (repr and back). JSON has no NaN and no infinity, so an array that holds one
    is written in base64 whatever `numbers` says: saving a run that diverged must not fail, nor lose a bit.

    Raises:
        ValueError: text, objects, complex numbers, extended precision; masked arrays, whose mask would be lost.
    """
    stored = STORED.get(array.dtype.name)
    if stored is None or isinstance(array, np.ma.MaskedArray) or array.ndim > MAX_DIMENSIONS:
        kind = f"{type(array).__name__} of dtype {array.dtype.name} with {array.ndim} dimensions"
        raise ValueError(f"{place} is a {kind}")
    data: object
    if numbers == "lists" and np.isfinite(array).all():
        data = array.ravel().tolist()
    else:
        data = binascii.b2a_base64(array.astype(stored, copy=False).tobytes(), newline=False).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def decode(value: object, place: str) -> object:
    """What `encode` was given, arrays read-only.

    Args:
        value: what strict_json.parse made, therefore of bounded depth.
        place: where it stands, for the message.

    Raises:
        ValueError: an unknown name with a dollar sign, or an array that is not what it claims.
    """
    if isinstance(value, list):
        return decode_items(value, place)
    if not isinstance(value, dict):
        return value
    marked = [key for key in value if key.startswith("$") and not key.startswith("$$")]
    if not marked:
        return {key.removeprefix("$"): decode(item, f"{place}[{key!r}]") for key, item in value.items()}
    if len(value) > 1:
        raise ValueError(f"{place} has members beside {marked[0][:60]!r}")
    return decode_marked(marked[0], value[marked[0]], place)


def decode_items(items: list[Any], place: str) -> list[Any]:
    if set(map(type, items)).isdisjoint((dict, list)):
        return items
    return [decode(item, f"{place}[{index}]") for index, item in enumerate(items)]


def decode_marked(mark: str, content: object, place: str) -> object:
    if mark == "$array":
        return decode_array(content, place)
    if mark == "$scalar":
        array = decode_array(content, place)
        if array.ndim == 0:
            return array[()]
    if mark == "$tuple" and isinstance(content, list):
        return tuple(decode_items(content, place))
    if mark == "$int" and isinstance(content, str) and re.fullmatch(r"-?0x[0-9a-f]+", content):
        return int(content, 16)
    if mark == "$float" and content in ("nan", "inf", "-inf"):
        return float(content)
    raise ValueError(f"{place} is no {mark[:60]} that is known here")


def decode_array(content: object, place: str) -> Array:
    """The array, read-only, after every claim was compared with what is there; nothing is allocated on a claim.

    Raises:
        ValueError: unknown dtype, impossible shape, more or fewer data than the shape says, or data of another kind.
    """
    if not isinstance(content, dict) or set(content) != {"dtype", "shape", "data"}:
        raise ValueError(f"{place} does not have exactly dtype, shape and data")
    name, shape, data = content["dtype"], content["shape"], content["data"]
    if not isinstance(name, str) or name not in STORED:
        raise ValueError(f"{place} has the unknown dtype {str(name)[:60]!r}")
    stored = STORED[name]
    if not is_shape(shape, stored.itemsize):
        raise ValueError(f"{place} has an impossible shape")
    size = math.prod(shape)
    if isinstance(data, str):
        flat = from_base64(data, stored, size, place)
    elif isinstance(data, list):
        flat = from_list(data, stored, size, place)
    else:
        raise ValueError(f"{place} has data that are neither text nor a list")
    array = flat.reshape(shape).astype(stored.newbyteorder("="), copy=False)
    array.setflags(write=False)
    return array


def is_shape(shape: object, itemsize: int) -> bool:
    """Whether numpy has arrays of this shape; an empty one too must have a size that can be multiplied out."""
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        return False
    if not all(type(extent) is int and extent >= 0 for extent in shape):
        return False
    elements: int = math.prod(filter(None, shape))
    return elements * itemsize < 2**63


def from_base64(data: str, stored: np.dtype[Any], size: int, place: str) -> Array:
    needed = size * stored.itemsize
    length = (needed + 2) // 3 * 4
    if len(data) != length:
        raise ValueError(f"{place} has {len(data)} characters of data; its shape and dtype need {length}")
    try:
        content = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise ValueError(f"{place} has data that are not base64: {error}") from None
    if len(content) != needed:
        raise ValueError(f"{place} has {len(content)} bytes of data; its shape and dtype need {needed}")
    if stored.kind == "b" and content.strip(b"\x00\x01"):
        raise ValueError(f"{place} has data that are neither 0 nor 1 for dtype bool")
    return np.frombuffer(content, stored)


def from_list(data: list[Any], stored: np.dtype[Any], size: int, place: str) -> Array:
    if len(data) != size:
        raise ValueError(f"{place} has {len(data)} numbers; its shape needs {size}")
    kind = KIND_OF_NUMBER[stored.kind]
    others = set(map(type, data)) - {kind}
    if others:
        raise ValueError(f"{place} has data of type {others.pop().__name__} for dtype {stored.name}")
    if kind is int and data:
        limits = np.iinfo(stored)
        if min(data) < limits.min or max(data) > limits.max:
            raise ValueError(f"{place} has a number beyond {stored.name}")
    with np.errstate(over="ignore"):
        array = np.array(data, stored)
    if kind is float and not np.array_equal(array.astype(np.float64), np.array(data, np.float64)):
        raise ValueError(f"{place} has a number that {stored.name} cannot hold exactly")
    return array
