"""What goes wrong in the middle of a run leaves machine and graph usable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import graphflow as gf

RAISE = {}


@dataclass(frozen=True)
class Fuse(gf.Op):
    """Hands its input through, or raises what the test has laid ready."""

    key: str
    symbol = "blow"

    def infer(self, x):
        return x

    def evaluate(self, x):
        error = RAISE.get(self.key)
        if error is not None:
            raise error
        return x

    def gradient(self, dy, y, x):
        return (dy,)


@pytest.fixture
def failing(backend):
    """A machine with an op in its middle that can be made to fail."""
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x", value=[1.0, 2.0, 3.0])
    before = x * 2.0
    before.name = "before"
    middle = gf.apply(Fuse("x"), before, name="middle")
    after = gf.tanh(middle)
    after.name = "after"
    gf.set_(x, x + 1.0)
    machine = gf.TapeMachine(g, backend=backend)
    yield machine, x, before, middle, after
    RAISE.clear()


@pytest.mark.parametrize(
    ("error", "wrapped"),
    [
        (ValueError("boom"), gf.MachineError),
        (ZeroDivisionError(), gf.MachineError),
        (MemoryError("none left"), gf.MachineError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
        (gf.PositionError("id 9 is out of range"), gf.PositionError),
    ],
)
def test_an_exception_in_the_middle(failing, error, wrapped):
    machine, x, before, middle, after = failing
    machine.run_all()
    gf.let(x, [4.0, 5.0, 6.0])
    RAISE["x"] = error
    with pytest.raises(wrapped) as caught:
        machine.run_all()
    if isinstance(error, Exception):
        assert "made at test_failures.py:" in str(caught.value)
        assert isinstance(caught.value, gf.GraphflowError)
    # What was computed can be read, what was not is not shown from the run before, and nothing was assigned.
    assert before.value.tolist() == [8.0, 10.0, 12.0]
    for node in (middle, after):
        with pytest.raises(gf.ValueNotKept, match="has not come to it"):
            node.value  # noqa: B018 - reading is what is tested
    assert x.value.tolist() == [4.0, 5.0, 6.0]
    RAISE.clear()
    machine.run_all()
    np.testing.assert_allclose(after.value, np.tanh([8.0, 10.0, 12.0]))
    assert x.value.tolist() == [5.0, 6.0, 7.0]


def test_the_message_of_a_failed_instruction(failing):
    machine, *_ = failing
    RAISE["x"] = ValueError("operands could not be broadcast")
    with pytest.raises(gf.MachineError) as caught:
        machine.run_all()
    text = str(caught.value)
    assert "failed: middle: float32[3]" in text
    assert "got     ValueError: operands could not be broadcast" in text
    assert text.startswith("blow: instruction ")
    assert "\n  inputs  before: float32[3] 2 to 6, mean 4\n" in text
    assert "\n  graph   before -> middle = blow -> after = tanh\n" in text
    assert "\n  node    made at test_failures.py:" in text
    assert caught.value.__cause__ is RAISE["x"]


def test_an_exception_while_stepping(failing):
    machine, x, before, _, after = failing
    RAISE["x"] = KeyboardInterrupt()
    machine.step()
    with pytest.raises(KeyboardInterrupt):
        machine.step()
    assert before.value.tolist() == [2.0, 4.0, 6.0]
    RAISE.clear()
    machine.run_all()
    assert after.value[0] == pytest.approx(np.tanh(2.0))
    assert x.value.tolist() == [2.0, 3.0, 4.0]


def test_an_exception_under_a_watch(failing, backend):
    machine, x, before, _, after = failing
    watching = gf.TapeMachine(x.graph, backend=backend, watch_nan=True, logger=[].append)
    watching.run_all()
    gf.let(x, [1.0, 2.0, 3.0])
    RAISE["x"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        watching.run_all()
    assert before.value.tolist() == [2.0, 4.0, 6.0]
    with pytest.raises(gf.ValueNotKept):
        after.value  # noqa: B018 - reading is what is tested
    RAISE.clear()
    watching.run_all()
    machine.run_all()
    assert after.value.shape == (3,)


def test_a_logger_that_raises(backend):
    g = gf.ExprGraph()
    y = gf.tanh(gf.scalar(g, value=0.5))

    def log(line):
        raise OSError("disk full")

    machine = gf.TapeMachine(g, backend=backend, logger=log)
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            machine.run_all()
    gf.TapeMachine(g, backend=backend).run_all()
    assert y.value == pytest.approx(np.tanh(0.5))


def test_a_bad_id_computed_in_the_graph(backend):
    g = gf.ExprGraph()
    table = gf.matrix(g, (3, 2), name="table", init=gf.ones())
    ids = gf.vector(g, 2, name="ids", dtype="int64", value=[0, 2])
    rows = gf.gather(table, ids)
    cost = gf.sum(rows * rows) + gf.sum(gf.softmax_cross_entropy(rows @ table.T, ids))
    gf.grad(cost, table)
    machine = gf.TapeMachine(g, backend=backend)
    machine.run_all()
    good = cost.value
    for wrong in ([0, 3], [-1, 0], [2**62, 0]):
        gf.let(ids, wrong)
        with pytest.raises(gf.PositionError) as caught:
            machine.run_all()
        assert str(wrong[0] if wrong[1] == 0 else wrong[1]) in str(caught.value)
        assert "made at test_failures.py:" in str(caught.value)
        with pytest.raises(gf.ValueNotKept):
            cost.value  # noqa: B018 - reading is what is tested
    gf.let(ids, [0, 2])
    machine.run_all()
    assert cost.value == good


def test_an_op_that_fails_on_constants_fails_in_the_run_not_while_compiling(backend):
    g = gf.ExprGraph()
    y = gf.apply(Fuse("constant"), gf.constant(g, [1.0, 2.0]))
    RAISE["constant"] = ValueError("boom")
    try:
        machine = gf.TapeMachine(g, backend=backend)
        with pytest.raises(gf.MachineError, match="boom"):
            machine.run_all()
    finally:
        RAISE.clear()
    machine.run_all()
    assert y.value.tolist() == [1.0, 2.0]


def test_constant_ids_out_of_range_fail_in_the_run(backend):
    g = gf.ExprGraph()
    gf.gather(gf.constant(g, [[1.0], [2.0]]), gf.constant(g, [1, 1]) + 5)
    machine = gf.TapeMachine(g, backend=backend)
    with pytest.raises(gf.PositionError) as caught:
        machine.run_all()
    assert "made at test_failures.py:" in str(caught.value)


@dataclass(frozen=True)
class Unhashable(gf.Op):
    table: object
    symbol = "unhashable"

    def infer(self, x):
        return x

    def evaluate(self, x):
        return x

    def gradient(self, dy, y, x):
        return (dy,)


def test_an_op_that_cannot_be_hashed_is_named():
    g = gf.ExprGraph()
    gf.apply(Unhashable([1, 2]), gf.scalar(g, value=1.0))
    with pytest.raises(gf.OpContractError, match="cannot be told from others") as caught:
        gf.TapeMachine(g)
    assert "made at test_failures.py:" in str(caught.value)


def test_a_machine_that_could_not_be_compiled_tries_again():
    """What failed must not leave the program of before in force."""
    g = gf.ExprGraph()
    x = gf.scalar(g, value=2.0)
    y = gf.tanh(x)
    z = y * 3.0
    machine = gf.TapeMachine(g, backend="numpy")
    machine.run_all()
    gf.unsafe_let(y, 5.0)

    def fail(request):
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphflow.vm.tape_machine.compile_request", fail)
        with pytest.raises(ZeroDivisionError):
            machine.run_all()
    machine.run_all()
    assert z.value == 15.0


# --- what a message shows ---------------------------------------------------------------------------------------------


def test_an_input_without_a_value_is_shown_between_its_neighbours(backend):
    g = gf.ExprGraph()
    x = gf.vector(g, 3, name="x")
    for _ in range(5):
        gf.tanh(x * x)
    gf.exp(x).name = "y"
    for machine in (gf.TapeMachine(g, backend=backend), gf.LispMachine(g)):
        with pytest.raises(gf.UnboundError) as caught:
            machine.run_all()
        assert "\n  graph   x -> %1 = hadamard_prod, %3 = hadamard_prod, %5 = hadamard_prod and 3 more\n" in str(
            caught.value
        )


def test_the_reference_shows_the_same(failing):
    _, x, *_ = failing
    RAISE["x"] = ValueError("no")
    with pytest.raises(gf.MachineError) as caught:
        gf.LispMachine(x.graph).run_all()
    assert "\n  inputs  before: float32[3] 2 to 6, mean 4\n  graph   before -> middle = blow -> " in str(caught.value)


def test_an_id_out_of_range_is_shown_with_what_was_read(backend):
    g = gf.ExprGraph()
    table = gf.matrix(g, (3, 2), name="table", init=gf.ones())
    ids = gf.vector(g, 2, name="ids", dtype="int64", value=[0, 12345])
    gf.gather(table, ids).name = "rows"
    with pytest.raises(gf.PositionError) as caught:
        gf.TapeMachine(g, backend=backend).run_all()
    text = str(caught.value)
    assert text.startswith("gather: the id 12345 is out of range")
    assert "\n  inputs  table: float32[3, 2] all 1; ids: int64[2] 0 to 12345, mean 6172\n" in text
    assert "\n  graph   table, ids -> rows = gather\n  node    made at test_failures.py:" in text


def test_numbers_that_are_none_are_counted(backend):
    g = gf.ExprGraph()
    x, y = gf.vector(g, 2, name="x", value=[0.5, -1.0]), gf.vector(g, 2, name="y", value=[np.nan, np.inf])
    gf.apply(Fuse("x"), gf.concat([x * 2.0, y], axis=0))
    machine = gf.TapeMachine(g, backend=backend)
    RAISE["x"] = ValueError("no")
    with pytest.raises(gf.MachineError) as caught:
        machine.run_all()
    RAISE.clear()
    assert ": float32[4] -2 to 1, mean -0.5, 1 NaN, 1 infinite\n" in str(caught.value)
