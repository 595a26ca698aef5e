"""Products of matrices in machine code: right for every size and every way to lie in memory, within their bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphflow.loops import Contract
from tests.backends.llvm.product_kernels import WIDTHS, Case, Kernels, host_with

DTYPES = ("float32", "float64")
# How a factor lies: in order, transposed, every second row or column, part of a larger array, one row or column again.
LAYOUTS = ("plain", "turned", "every second row", "every second column", "part", "same row", "same column", "backwards")
TURNS = [(first, second) for first in ("plain", "turned") for second in ("plain", "turned")]
GUARD = 7.0


def laid_out(generator, shape, dtype, layout):
    """An array of this shape with random numbers, lying in memory as asked."""
    *outer, rows, columns = shape
    if layout == "turned":
        return np.swapaxes(generator.normal(size=(*outer, columns, rows)).astype(dtype), -1, -2)
    if layout == "every second row":
        return generator.normal(size=(*outer, 2 * rows, columns)).astype(dtype)[..., ::2, :]
    if layout == "every second column":
        return generator.normal(size=(*outer, rows, 2 * columns)).astype(dtype)[..., ::2]
    if layout == "part":
        return generator.normal(size=(*outer, rows + 2, columns + 3)).astype(dtype)[..., 1:-1, 2:-1]
    if layout == "same row":
        return np.broadcast_to(generator.normal(size=(*outer, 1, columns)).astype(dtype), shape)
    if layout == "same column":
        return np.broadcast_to(generator.normal(size=(*outer, rows, 1)).astype(dtype), shape)
    made = generator.normal(size=shape).astype(dtype)
    return made[..., ::-1, :] if layout == "backwards" else made


def guarded(shape, dtype):
    """An output of this shape with a guard of numbers on both sides: the output, and the memory round it."""
    size = int(np.prod(shape))
    memory = np.full(size + 128, GUARD, dtype)
    return memory[64 : 64 + size].reshape(shape), memory


def guards(memory):
    """What lies on both sides of the output."""
    return np.concatenate([memory[:64], memory[-64:]])


def letters(labels):
    return "".join(chr(ord("a") + label) for label in labels)


def reference(case):
    """The contraction in float64."""
    factors = [array.astype(np.float64) for array in case.arrays[:-1]]
    labels = f"{letters(case.loop.left)},{letters(case.loop.right)}->{letters(case.loop.out)}"
    return sum(np.einsum(labels, left, right) for left, right in zip(factors[::2], factors[1::2], strict=True))


def tolerance(case):
    """What rounding may do: the sum of the magnitudes times a few roundings for each summand."""
    sizes = case._replace(left=abs(case.left), right=abs(case.right), more=tuple(map(abs, case.more)))
    magnitude = reference(sizes)
    count = max(1, case.left.size // max(1, case.output.size), *case.left.shape)
    count += sum(array.shape[-1] for array in case.more)
    return magnitude * np.finfo(case.output.dtype).eps * (count + 4)


def check(cases, host, *, all_written=True):
    """Run the cases and compare each with float64; nothing beside the output may change."""
    memories = []
    guarded_cases = []
    for case in cases:
        output, memory = guarded(case.output.shape, case.output.dtype)
        guarded_cases.append(case._replace(output=output))
        memories.append(memory)
    kernels = Kernels(guarded_cases, host)
    for number, (case, memory) in enumerate(zip(guarded_cases, memories, strict=True)):
        name = f"{case.loop} {case.left.shape} {case.left.strides} {case.right.shape} {case.right.strides}"
        if not kernels.written[number]:
            assert not all_written, name
            continue
        before = case.left.copy(), case.right.copy()
        kernels.run(number)
        assert (abs(case.output - reference(case)) <= tolerance(case)).all(), name
        assert (guards(memory) == GUARD).all(), name
        np.testing.assert_array_equal(case.left, before[0])
        np.testing.assert_array_equal(case.right, before[1])
    return kernels


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width} bytes")
def host(request):
    found = host_with(request.param)
    if found is None:
        # A processor without such vectors never runs such code: its own width is tested once more.
        found = next(host for host in map(host_with, WIDTHS) if host is not None)
    return found


def product_case(generator, rows, columns, summed, dtype, layouts=("plain", "plain"), kind="matrix"):
    """left[rows, summed] times right[summed, columns], or a vector on one side."""
    left = laid_out(generator, (rows, summed), dtype, layouts[0])
    right = laid_out(generator, (summed, columns), dtype, layouts[1])
    if kind == "matrix vector":
        return Case(Contract((0, 1), (1,), (0,)), left, right[:, 0], np.empty(rows, dtype))
    if kind == "vector matrix":
        return Case(Contract((1,), (1, 2), (2,)), left[0], right, np.empty(columns, dtype))
    if kind == "dot":
        return Case(Contract((1,), (1,), ()), left[0], right[:, 0], np.empty((), dtype))
    if kind == "outer":
        return Case(Contract((0,), (2,), (0, 2)), left[:, 0], right[0], np.empty((rows, columns), dtype))
    if kind == "turned output":
        return Case(Contract((0, 1), (1, 2), (2, 0)), left, right, np.empty((columns, rows), dtype))
    return Case(Contract((0, 1), (1, 2), (0, 2)), left, right, np.empty((rows, columns), dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["matrix", "matrix vector", "vector matrix", "dot", "outer", "turned output"])
def test_any_size_and_layout(host, kind, dtype):
    generator = np.random.default_rng([host.vector_bytes, len(kind), len(dtype)])
    cases = []
    for _ in range(25):
        sizes = generator.integers(1, 41, 3)
        layouts = generator.choice(LAYOUTS, 2)
        cases.append(product_case(generator, *sizes, dtype, layouts, kind))
    check(cases, host)


SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_around_vectors(host, dtype):
    generator = np.random.default_rng(1)
    cases = []
    for kind in ("matrix", "matrix vector", "vector matrix"):
        for layouts in TURNS:
            cases += [product_case(generator, *generator.choice(SIZES, 3), dtype, layouts, kind) for _ in range(6)]
    check(cases, host)


LARGE = [
    # rows, columns, summed: panels packed in one block and in several, a last block as small as it may be, long rows.
    (50, 150, 300), (49, 70, 513), (66, 33, 1025), (70, 200, 257), (70, 40, 129), (70, 20, 128), (65, 20, 17),
    # A column or two beyond whole vectors.
    (70, 65, 700), (70, 18, 300),
    (1, 700, 37), (1, 5, 3001), (513, 1, 40), (6, 4, 900),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", TURNS)
def test_large_ones(host, layouts, dtype):
    generator = np.random.default_rng(2)
    check([product_case(generator, *sizes, dtype, layouts) for sizes in LARGE], host)


def test_very_large_one_is_packed_and_right(host):
    generator = np.random.default_rng(3)
    kernels = check([product_case(generator, 48, 2100, 520, "float32")], host)
    assert "alloca" in kernels.text


def batches(generator, dtype):
    """Contractions with more labels than a product of matrices has."""
    shapes = {0: 3, 1: 4, 2: 9, 3: 6, 4: 5}

    def array(*labels, broadcast=()):
        sizes = [1 if label in broadcast else shapes[label] for label in labels]
        return generator.normal(size=sizes).astype(dtype)

    def empty(*labels):
        return np.empty([shapes[label] for label in labels], dtype)

    return [
        Case(Contract((0, 2, 3), (0, 3, 4), (0, 2, 4)), array(0, 2, 3), array(0, 3, 4), empty(0, 2, 4)),
        Case(Contract((0, 2, 3), (3, 4), (0, 2, 4)), array(0, 2, 3), array(3, 4), empty(0, 2, 4)),
        Case(Contract((0, 2, 3), (0, 3, 4), (0, 2, 4)), array(0, 2, 3, broadcast=(0,)), array(0, 3, 4), empty(0, 2, 4)),
        Case(Contract((0, 2, 3), (0, 3, 4), (0, 2, 4)), array(0, 2, 3), array(0, 3, 4, broadcast=(0,)), empty(0, 2, 4)),
        Case(Contract((0, 2, 3), (0, 3, 4), (0, 2, 4)), array(0, 2, 3), array(0, 3, 4, broadcast=(3,)), empty(0, 2, 4)),
        Case(Contract((0, 2, 3), (0, 3), (0, 2)), array(0, 2, 3), array(0, 3), empty(0, 2)),
        Case(Contract((0, 2, 3), (0, 2), (0, 3)), array(0, 2, 3), array(0, 2), empty(0, 3)),
        Case(Contract((0, 3), (0, 4), (0, 3, 4)), array(0, 3), array(0, 4), empty(0, 3, 4)),
        Case(Contract((0, 1, 2, 3), (0, 1, 3, 4), (0, 1, 2, 4)), array(0, 1, 2, 3), array(0, 1, 3, 4),
             empty(0, 1, 2, 4)),
        Case(Contract((0, 1, 2, 3), (0, 1, 3, 4), (0, 1, 2, 4)), array(1, 0, 2, 3).swapaxes(0, 1),
             array(0, 1, 4, 3).swapaxes(2, 3), empty(0, 1, 2, 4)),
        Case(Contract((2, 0, 3), (3, 4), (0, 2, 4)), array(2, 0, 3), array(3, 4), empty(0, 2, 4)),
        Case(Contract((0, 3), (0, 3), (0, 3)), array(0, 3), array(0, 3), empty(0, 3)),
        Case(Contract((0, 3), (0, 3), ()), array(0, 3), array(0, 3), empty()),
        Case(Contract((0, 1), (3, 4), (0, 1, 3, 4)), array(0, 1), array(3, 4), empty(0, 1, 3, 4)),
        Case(Contract((0, 1), (3, 4), (3, 0, 1, 4)), array(0, 1), array(3, 4), empty(3, 0, 1, 4)),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_under_outer_axes(host, dtype):
    check(batches(np.random.default_rng(4), dtype), host)


# How the matrices of a sum lie: all along the sum, all along the results, one of each, with gaps.
SUMS = [("plain", "plain"), ("turned", "turned"), ("plain", "turned", "every second column"), ("plain",) * 4]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", SUMS)
def test_sums_of_products_with_vectors(host, dtype, layouts):
    """The pairs of one contraction differ in what they sum, and in how their matrices lie."""
    generator = np.random.default_rng(7)
    cases = []
    for kind in ("matrix vector", "vector matrix"):
        for results, *summed in ((1, 3, 2, 1, 1), (100, 20, 100, 7, 33), (17, 1, 64, 3, 5), (430, 9, 40, 2, 8)):
            terms = [
                product_case(generator, results, results, size, dtype, (layout, layout), kind)
                for size, layout in zip(summed, layouts, strict=False)
            ]
            more = [array for term in terms[1:] for array in (term.left, term.right)]
            cases.append(terms[0]._replace(more=tuple(more)))
    check(cases, host)


def test_what_is_no_matrix_product_is_summed_all_the_same(host):
    generator = np.random.default_rng(5)
    whole = generator.normal(size=(4, 7, 5)).astype("float32")[:, 1:6:2]
    two_sums = Case(Contract((0, 1, 2), (0, 1, 3), (2, 3)), whole, whole.copy(), np.empty((5, 5), "float32"))
    nothing_summed = product_case(generator, 3, 4, 0, "float32")
    nothing_there = product_case(generator, 0, 4, 3, "float32")
    gaps = product_case(generator, 3, 4, 5, "float32")._replace(output=np.empty((6, 8), "float32")[::2, ::2])
    check([two_sums, nothing_summed, nothing_there, gaps], host)


def test_what_has_no_kernel_is_left_to_numpy(host):
    two_matrices = product_case(np.random.default_rng(5), 3, 4, 5, "float32")
    two_matrices = two_matrices._replace(more=two_matrices.arrays[:2])
    assert Kernels([two_matrices], host).written == [False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_reach_the_results_they_belong_to(host, bad, dtype):
    generator = np.random.default_rng(6)
    cases = []
    for kind in ("matrix", "matrix vector", "vector matrix"):
        for layouts in TURNS:
            for sizes in ((5, 37, 21), (19, 23, 40), (70, 35, 70)):
                case = product_case(generator, *sizes, dtype, layouts, kind)
                case.left[...] = abs(case.left)
                case.right[...] = abs(case.right)
                # The last summand of the last row, where masks are.
                case.left[(-1,) * case.left.ndim] = bad
                cases.append(case)
    kernels = Kernels(cases, host)
    for number, case in enumerate(cases):
        kernels.run(number)
        expected = reference(case)
        is_finite = np.isfinite(expected)
        assert not is_finite.all()
        np.testing.assert_array_equal(np.isfinite(case.output), is_finite)
        np.testing.assert_array_equal(case.output[~is_finite], expected[~is_finite])


def test_nothing_beyond_an_operand_is_touched():
    """Each operand ends where a page ends that is followed by one that must not be touched, or begins behind one."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "tests.backends.llvm.guarded_products"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "right"
    slipped = subprocess.run([*command, "slip"], cwd=root, capture_output=True, check=False, timeout=120)
    assert slipped.returncode != 0
