"""Python values and arrays through strict JSON and back, and what the strict reader refuses."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from enum import Enum, IntEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphflow import json_values, strict_json

DTYPES = json_values.DTYPE_NAMES.split()


def through_text(value, numbers="base64"):
    text = strict_json.write(json_values.encode(value, "extra", numbers))
    return json_values.decode(strict_json.parse(text.encode("ascii")), "extra")


def same(ours, theirs):
    """Equal in type and in every bit."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, (np.ndarray, np.generic)):
        return (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
    if isinstance(ours, float):
        return ours.hex() == theirs.hex()
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


arrays = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), arrays)
keys = st.one_of(st.text(max_size=4), st.sampled_from(["$", "$$", "$array", "$$int", "$tuple"]))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)


@given(trees, st.sampled_from(["base64", "lists"]))
@settings(max_examples=300)
def test_any_tree_comes_back_bit_for_bit(tree, numbers):
    assert same(through_text(tree, numbers), tree)


@pytest.mark.parametrize("numbers", ["base64", "lists"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_numbers_of_every_dtype_come_back_bit_for_bit(dtype, numbers):
    kind = np.dtype(dtype).kind
    if kind == "f":
        limits = np.finfo(dtype)
        values = [0.0, -0.0, limits.max, limits.min, limits.tiny, limits.smallest_subnormal, limits.eps, 0.1]
    elif kind == "b":
        values = [True, False]
    else:
        values = [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1]
    array = np.array(values, dtype)
    assert same(through_text(array, numbers), array)
    assert same(through_text(array[0], numbers), array[0])


@pytest.mark.parametrize("numbers", ["base64", "lists"])
def test_the_payload_of_a_nan_survives(numbers):
    array = np.array([0x7FC00001, 0xFFC12345, 0x7F800000], np.uint32).view(np.float32)
    assert same(through_text(array, numbers), array)


def test_lists_are_plain_numbers_and_base64_is_little_endian():
    array = np.array([[1.0, 0.1]], np.float32)
    assert json_values.encode(array, "x", "lists") == {
        "$array": {"dtype": "float32", "shape": [1, 2], "data": [1.0, 0.10000000149011612]}
    }
    big_endian = array.astype(">f4")
    assert json_values.encode(big_endian, "x", "base64") == {
        "$array": {"dtype": "float32", "shape": [1, 2], "data": "AACAP83MzD0="}
    }
    assert same(through_text(big_endian), array)


def test_arrays_of_any_layout_come_back_in_row_major_order():
    array = np.arange(24.0).reshape(2, 3, 4)
    for view in (array.T, array[:, ::-1, 1:3], np.asfortranarray(array)):
        for numbers in ("base64", "lists"):
            back = through_text(view, numbers)
            assert np.array_equal(back, view)
            assert back.flags.c_contiguous
            assert not back.flags.writeable


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_a_numpy_generator_goes_on_where_it_was(kind):
    generator = np.random.Generator(getattr(np.random, kind)(7))
    generator.random(5)
    state = through_text(generator.bit_generator.state)
    expected = generator.random(100)
    other = np.random.Generator(getattr(np.random, kind)(8))
    other.bit_generator.state = state
    assert np.array_equal(other.random(100), expected)


def test_a_python_generator_goes_on_where_it_was():
    generator = random.Random(7)
    state = through_text(generator.getstate())
    expected = [generator.random() for _ in range(10)]
    other = random.Random(8)
    other.setstate(state)
    assert [other.random() for _ in range(10)] == expected


@pytest.mark.parametrize(
    "number", [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000, -(7**9000)], ids=int.bit_length
)
def test_integers_of_any_size_survive(number):
    for value in (number, [number, 1], (1, number), {"n": [number, None]}):
        assert same(through_text(value), value)


def test_subclasses_of_builtins_come_back_as_the_builtin():
    class Number(IntEnum):
        ONE = 1

    class Text(str, Enum):  # noqa: UP042 - str() of such a member is its name, which is what must not be saved
        RED = "red"

    given_value = {"a": Number.ONE, "b": Text.RED, "c": OrderedDict(x=1), "d": np.str_("ü")}
    assert same(through_text(given_value), {"a": 1, "b": "red", "c": {"x": 1}, "d": "ü"})


def deep(levels):
    tree = []
    for _ in range(levels):
        tree = [tree]
    return tree


def circular():
    tree = {}
    tree["self"] = [tree]
    return tree


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2, 3}]}, r"extra\['a'\]\[1\] is of type set"),
        ({"f": len}, r"extra\['f'\] is of type builtin_function_or_method"),
        ({"b": b"raw"}, r"extra\['b'\] is of type bytes"),
        ({"c": 1j}, r"extra\['c'\] is of type complex"),
        ({1: "a"}, r"extra has the key 1 of type int; JSON has text keys only"),
        (np.array(["a"]), r"extra is a ndarray of dtype str32"),
        (np.array([None]), r"extra is a ndarray of dtype object"),
        (np.array([1j]), r"extra is a ndarray of dtype complex128"),
        (np.longdouble(1), r"extra is of type longdouble"),
        (np.ma.masked_array([1.0], [True]), r"extra is a MaskedArray"),
        (np.zeros((1,) * 33), r"with 33 dimensions"),
        (deep(100_000), "nested more than 64 levels deep, or contains itself"),
        (circular(), "nested more than 64 levels deep, or contains itself"),
    ],
)
def test_what_json_cannot_hold_is_refused_naming_the_place(value, message):
    with pytest.raises(ValueError, match=message):
        json_values.encode(value, "extra")


def array_record(**changes):
    return {"$array": {"dtype": "float32", "shape": [2], "data": "AACAPwAAAEA="} | changes}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (array_record(dtype="float128"), "unknown dtype 'float128'"),
        (array_record(dtype="<f4"), "unknown dtype '<f4'"),
        (array_record(dtype=["float32"]), "unknown dtype"),
        (array_record(shape=2), "has an impossible shape"),
        (array_record(shape=[2.0]), "has an impossible shape"),
        (array_record(shape=[True]), "has an impossible shape"),
        (array_record(shape=[-2, -1]), "has an impossible shape"),
        (array_record(shape=[1] * 32 + [2]), "has an impossible shape"),
        (array_record(shape=[0, 2**62], data=""), "has an impossible shape"),
        (array_record(shape=[3]), "12 characters of data; its shape and dtype need 16"),
        (array_record(dtype="float64"), "12 characters of data; its shape and dtype need 24"),
        (array_record(shape=[10**10]), "its shape and dtype need 53333333336"),
        (array_record(data="AACAPwAA?EA="), "not base64"),
        (array_record(data="AACAPwAAAEAA"), "9 bytes of data; its shape and dtype need 8"),
        (array_record(data="AACAPwAA\u00fcEA="), "not base64"),
        (array_record(data=None), "neither text nor a list"),
        (array_record(data=[1.0]), "1 numbers; its shape needs 2"),
        (array_record(data=[1.0, 2]), "data of type int for dtype float32"),
        (array_record(data=[1.0, "2"]), "data of type str for dtype float32"),
        (array_record(data=[1.0, [2.0]]), "data of type list for dtype float32"),
        (array_record(data=[1.0, 1e300]), "a number that float32 cannot hold exactly"),
        (array_record(data=[1.0, 0.1]), "a number that float32 cannot hold exactly"),
        (array_record(data=[1, 300], dtype="uint8"), "a number beyond uint8"),
        (array_record(data=[-1, 0], dtype="uint8"), "a number beyond uint8"),
        (array_record(data=[1, 0], dtype="bool"), "data of type int for dtype bool"),
        (array_record(data="AAI=", dtype="bool"), "neither 0 nor 1"),
        (array_record(more=1), "does not have exactly dtype, shape and data"),
        ({"$array": 3}, "does not have exactly dtype, shape and data"),
        ({"$scalar": array_record()["$array"]}, r"extra is no \$scalar that is known here"),
        ({"$array": 3, "b": 1}, r"members beside '\$array'"),
        ({"$unknown": 3}, r"extra is no \$unknown that is known here"),
        ({"a": [{"$int": "12"}]}, r"extra\['a'\]\[0\] is no \$int"),
        ({"$int": 12}, r"no \$int"),
        ({"$float": "1.0"}, r"no \$float"),
        ({"$float": ["nan"]}, r"no \$float"),
        ({"$tuple": "ab"}, r"no \$tuple"),
    ],
)
def test_claims_that_do_not_hold_are_refused_naming_the_place(value, message):
    with pytest.raises(ValueError, match=message):
        json_values.decode(value, "extra")


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "[Infinity]", "-Infinity", "1e999", "[-1e999]", '{"a":1,"a":2}', '{"a":{"b":1,"\\u0062":2}}',
        "", " ", "[1,]", "{'a':1}", "[01]", "[+1]", "[.5]", "[1.]", "0x10", "[1] [2]", "nul", "[true,]", '["a\nb"]',
        '["\\x41"]', '["\\ud8"]', "\ufeff[]", "[1]\0", '["\0"]', "\0", '["', '"\\', "[\u00a01]", '["ü"]', "1" * 21,
        "[" * 65 + "]" * 65, '[{"a":' * 33 + "1" + "}]" * 33,
    ],
)  # fmt: skip
def test_what_is_not_strict_json_is_refused(text):
    with pytest.raises(ValueError, match="."):
        strict_json.parse(text.encode("utf-8"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-le"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(ValueError, match="."):
        strict_json.parse('{"a": [1]}'.encode(encoding))


finite_floats = st.floats(allow_nan=False, allow_infinity=False)
json_trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), finite_floats, st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@given(json_trees)
def test_strict_json_comes_back(tree):
    assert same(strict_json.parse(strict_json.write(tree).encode("ascii")), tree)


@given(st.text(alphabet='\\"[]{}a', max_size=40), st.integers(0, 70))
def test_brackets_inside_strings_are_not_levels(text, levels):
    document = strict_json.write({"a": text, text: [text]}).encode("ascii")
    nested = b"[" * levels + document + b"]" * levels
    if levels + 2 > strict_json.MAX_DEPTH:
        with pytest.raises(ValueError, match=f"nested {levels + 2} levels deep"):
            strict_json.check_structure(nested)
    else:
        strict_json.check_structure(nested)


@given(st.binary(max_size=60) | st.text(alphabet='\\"[]{}:,0123eE+-.ntrufalse ', max_size=60).map(str.encode))
@settings(max_examples=500)
def test_arbitrary_bytes_are_read_as_json_or_refused(data):
    try:
        value = strict_json.parse(data)
    except ValueError:
        return
    assert same(strict_json.parse(strict_json.write(value).encode("ascii")), value)


def test_the_limits_count_strings_and_containers(monkeypatch):
    monkeypatch.setattr(strict_json, "MAX_STRINGS", 3)
    monkeypatch.setattr(strict_json, "MAX_CONTAINERS", 2)
    assert strict_json.parse(b'[{"a":"b","c":1}]') == [{"a": "b", "c": 1}]
    with pytest.raises(ValueError, match="4 strings and keys; the limit is 3"):
        strict_json.parse(b'[{"a":"b","c":"d"}]')
    with pytest.raises(ValueError, match="3 lists and objects; the limit is 2"):
        strict_json.parse(b'[{"a":"b","c":[]}]')


def test_a_float_of_every_size_is_exact_as_text():
    numbers = np.random.default_rng(0).integers(0, 2**64, 2000, np.uint64).view(np.float64)
    finite = [number for number in numbers.tolist() if math.isfinite(number)]
    assert strict_json.parse(strict_json.write(finite).encode("ascii")) == finite
