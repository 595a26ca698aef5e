"""TapeMachine: compiles a graph once and runs it as often as wanted."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, final

import numpy as np

from graphflow.backends import Carry, Executable, Rows, storage_of
from graphflow.backends.choice import BackendChoice, choose_backend
from graphflow.backends.timing import clock
from graphflow.errors import MachineError, OptionError
from graphflow.graph import GraphView, check_nodes
from graphflow.node import Node
from graphflow.passes import BLENDING, EVALUATION_PIPELINE, PIPELINE
from graphflow.storage import allocate, store
from graphflow.streams import check_seed
from graphflow.tape.program import Instruction, Program
from graphflow.values import Array
from graphflow.vm.compiling import Keep, collector_paused, compile_request, request_of
from graphflow.vm.failures import explain, unbound
from graphflow.vm.holding import ResultArrays, RunValues
from graphflow.vm.inspecting import Inspection, NanReport, Survey, report_of, survey_of
from graphflow.vm.profiling import Profile, check_runs, profile_of
from graphflow.vm.rows import HeldInterrupt, Pace, RowsInterrupted, RowWork, Steps, row_cells
from graphflow.vm.tracing import Trace, row_of
from graphflow.vm.watching import Logger, Watcher

P = ParamSpec("P")
T = TypeVar("T")
AS_IT_IS = nullcontext()


@final
class TapeMachine:
    """Runs a graph as a linear program.

    Values of inputs belong to their nodes, so several machines over one graph see the same weights. After a run can
    be read: inputs, named nodes, roots, gradients, nodes given to `read`, and `keep`.

    Args:
        graph: a graph or a part of one (`graph.subgraph(...)`).
        outputs: what to compute; by default everything that nobody else in the graph uses.
        backend: "auto", "numpy" or "native"; `machine.backend` says which was taken and why.
        keep: further nodes to read after a run, or "all".
        logger: a `logging.Logger` or a function of one text; gets the watched values, or every instruction where none
            are watched.
        watch: nodes whose values are logged as they are computed.
        value_format: how numbers are written in logs.
        watch_nan, watch_inf: stop with a NumericalError at the first NaN or infinity, naming node and line.
        trace: log and keep everything.
        eval_mode: dropout and its kind are switched off.
        seed: of the random nodes; the same seed gives the same numbers, run by run.
        threads: how many may work on large products, at most one for each core that this process may use; results are
            the same bits for any number. By default all cores where most multiplications belong to large products,
            otherwise one. Further threads sleep between runs. The numpy backend leaves all this to its BLAS.

    Raises:
        OptionError, GraphError: an argument is none of these.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.vector(g, 2, name="x")
        >>> y = gf.sum(x * x)
        >>> with gf.TapeMachine(g) as vm:
        ...     gf.let(x, [3.0, 4.0])
        ...     vm.run_all()
        ...     print(y.value)
        25.0

    Source: Gorgonia NewTapeMachine.
    """

    def __init__(  # one keyword for each of Gorgonia's options
        self,
        graph: GraphView,
        *,
        outputs: Iterable[Node] | Node | None = None,
        backend: str = "auto",
        keep: Keep = (),
        logger: Logger | None = None,
        watch: Iterable[Node] | Node = (),
        value_format: str = ".4g",
        watch_nan: bool = False,
        watch_inf: bool = False,
        trace: bool = False,
        eval_mode: bool = False,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise OptionError(
                "TapeMachine: threads is not usable", got=repr(threads), needs="a whole number of 1 or more"
            )
        check_seed("TapeMachine", seed)
        self._backend, self.backend = choose_backend(backend, threads)
        passes = EVALUATION_PIPELINE if eval_mode else PIPELINE
        if watch_nan or watch_inf:
            # The first bad number must be seen where it arises, in a node of its own.
            passes = tuple(each for each in passes if each not in BLENDING)
        request = request_of(graph, outputs, "all" if trace else keep, passes=passes)
        self._graph = request.graph
        self._watcher = Watcher(
            self._graph,
            logger=logger,
            watch=watch,
            value_format=value_format,
            nan=watch_nan,
            inf=watch_inf,
            trace=trace,
        )
        if self._watcher.watched and not request.keep_all:
            request = request_of(graph, request.roots, (*request.keep, *self._watcher.watched), passes=passes)
        self._request = request
        self._seed = int(seed)
        self._lock = threading.Lock()
        self._is_closed = False
        self._position = 0
        self._held: RunValues | None = None
        self._ending: weakref.finalize[..., TapeMachine] | None = None
        self._pace = Pace()
        self.runs = 0
        """How many runs have begun; random nodes give new numbers in each. Set it to go on where another left off."""
        self._prepare()

    backend: BackendChoice

    def __repr__(self) -> str:
        return f"<TapeMachine of {len(self.program)} instructions, {self.backend!s}>"

    # --- running ------------------------------------------------------------------------------------------------------

    def run_all(self) -> None:
        """Run the whole program on the values that are bound now.

        Raises:
            UnboundError: an input has no value; nothing has run.
            PositionError: a computed id is out of range; NumericalError: a watch met NaN or infinity.
            MachineError: the machine is closed or already running, or an instruction failed.
        """
        with self._entered():
            self._run()

    def run_over(
        self,
        nodes: Sequence[Node],
        positions: object,
        solver: Steps | None = None,
        *,
        record: Node | None = None,
        stop: Callable[[], bool] | None = None,
        stop_unless_finite: bool = False,
    ) -> Array:
        """Run once for each row of a table of slice positions: rebind, run, record the cost, step the solver.

        The same as a loop of `unsafe_let_all`, `run_all` and `solver.step`, bit for bit, in less time: many rows are
        one call of the native backend where all instructions are machine code, nothing is watched, and the solver is
        one of graphflow's; what `set_` hands on from row to row is copied there too. The whole table is checked first.
        Ctrl-C is heeded between rows, where it raises a KeyboardInterrupt whose `costs` are those of the rows done;
        pressed twice it interrupts at once.

        Args:
            nodes: N slice nodes.
            positions: [rows, N] whole numbers; row r is bound to the nodes before run r.
            solver: steps the parameters whose gradients this machine computes, after each run.
            record: the float of one element that is recorded; by default the cost, the node given to `grad`.
            stop: asked before each row; once it says True no more rows are run. Each row then is a call of its own.
            stop_unless_finite: end with the first row that records NaN or infinity, before what `set_` asks for and
                the solver's step: a run on the same inputs gives the same again.

        Returns:
            [rows] float64, what was recorded after each run; fewer if it was stopped.

        Raises:
            OptionError: the table's shape is wrong, or the solver is none; PositionError: a position is out of range;
            nothing has run.
            Anything `run_all` or the solver raises, with the row as a note; the rows before it are done.

        Example:
            >>> import graphflow as gf
            >>> g = gf.ExprGraph()
            >>> table = gf.matrix(g, (3, 2), name="table", init=gf.ranged_from(1))
            >>> row = table[0]
            >>> _ = gf.grad(gf.sum(row * row), table)
            >>> with gf.TapeMachine(g) as vm:
            ...     vm.run_over((row,), [[0], [2], [0]], gf.VanillaSolver(learn_rate=0.25))
            array([ 5.  , 61.  ,  1.25])
        """
        with self._entered():
            self._refresh()
            self._require_bound()
            rows, recorded = row_cells(nodes, positions), self._recorded(record)
            values = np.empty(len(rows.starts))
            work = RowWork(rows, recorded, values, stop_unless_finite, solver, self._stepped())
            done, is_over, is_ahead = 0, False, stop is None
            with HeldInterrupt() as interrupt:
                try:
                    while done < len(values) and not (is_over or interrupt.is_noted or (stop is not None and stop())):
                        did = self._run_ahead(work, done) if is_ahead else 0
                        # A row that is not done there is run by itself, which says why not; and so are those after it,
                        # but for the first, after which machine and solver know what they are about.
                        is_ahead = is_ahead and (did > 0 or done == 0)
                        if did == 0:
                            is_over = not self._run_row(work, done)
                        done += max(did, 1)
                except Exception as error:
                    error.add_note(f"run_over: in row {done} of {len(values)}; the rows before it are done")
                    raise
            if interrupt.is_noted:
                raise RowsInterrupted(values[:done])
            return values[:done]

    def step(self) -> Instruction | None:
        """Run the next instruction and return it; at the end of the program None, and the next call begins anew.

        Values of nodes computed so far can be read. See `run_all` for the errors.
        """
        with self._entered():
            if self._position == 0:
                self._begin()
            if self._position == len(self.program):
                self._position = 0
                return None
            return self._advance()

    def run_until(self, node: Node | None = None) -> Instruction | None:
        """Run until a node has its value, and stop there: go on with `step`, `run_until`, or anew with `run_all`.

        Where a run is under way in steps, it goes on from there; nothing is run where the node has its value already.
        Values of nodes computed so far can be read; for those of all nodes make the machine with `keep="all"`.

        Args:
            node: what to wait for, which this machine keeps; without it, the end of the program.

        Returns:
            The instruction that was run last, or None where nothing was to be done.

        Raises:
            ValueNotKept: the machine does not keep the node. See `run_all` for the other errors.

        Example:
            >>> import graphflow as gf
            >>> g = gf.ExprGraph()
            >>> x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
            >>> y = gf.sum(gf.exp(x))
            >>> z = gf.log(y)
            >>> vm = gf.TapeMachine(g, keep=y)
            >>> print(vm.run_until(y).node is y, y.value)
            True 10.107338
            >>> print(vm.run_until().node is z, vm.step())
            True None
        """
        with self._entered():
            is_new = self._position in (0, len(self.program))
            if is_new:
                self._refresh()
            last = len(self.program) - 1 if node is None else self._values.number_of(node)
            if is_new and last >= 0:
                self._begin()
            instruction = None
            while self._position <= last:
                instruction = self._advance()
            return instruction

    def trace(self) -> Trace:
        """Run once, as `run_all` does, and list each instruction with a summary of its value: `print(vm.trace())`.

        Returns:
            A Trace: one row for each instruction, with the microseconds that it took this once.

        Raises:
            Anything `run_all` raises.

        Example:
            >>> import graphflow as gf
            >>> g = gf.ExprGraph()
            >>> x = gf.vector(g, 2, name="x", value=[1.0, 2.0])
            >>> y = gf.sum(gf.exp(x))
            >>> with gf.TapeMachine(g) as vm:
            ...     trace = vm.trace()
            >>> [(row.number, row.node is y, row.value.numbers) for row in trace.rows]
            [(0, True, '10.11')]
        """
        with self._entered():
            self._begin()
            rows = []
            for number in range(len(self.program)):
                begun = clock()
                instruction = self._run_one(number)
                rows.append(row_of(number, instruction, clock() - begun, self._executable.array(instruction.output)))
                self._values.done = number + 1
            self._finish()
            return Trace(tuple(rows), self._backend.name)

    def find_nan(self, *, inf: bool = True) -> NanReport | None:
        """Where the first NaN or infinity comes from: its node, the user's line, what was read, the path to the cost.

        The values that are bound now are computed once more beside the machine, with the random numbers of its latest
        run, an instruction for each node and nothing sharing storage. Machine, graph, values and gradients stay as
        they are. Called after the run that went wrong and before the solver's step, it tells what that run has met.

        Where bad numbers arise in several places, the first that has reached an output is named; where none has, the
        first. Infinite constants that reach no output are taken to be meant.

        Args:
            inf: whether infinity counts; otherwise NaN alone.

        Returns:
            A NanReport, or None where all is finite.

        Raises:
            UnboundError: an input has no value. Anything that an instruction raises.

        Example:
            >>> import graphflow as gf
            >>> g = gf.ExprGraph()
            >>> x = gf.vector(g, 2, name="x", value=[1.0, -1.0])
            >>> cost = gf.sum(gf.log(x))
            >>> with gf.TapeMachine(g) as vm:
            ...     report = vm.find_nan()
            >>> print(report.kind, report.node, report.first, report.path[-1] is cost)
            NaN %1: float32[2] (1,) True
        """
        with self._entered():
            return report_of(self._inspected(), inf=inf)

    def survey(self, *, inf: bool = True) -> Survey:
        """The least, largest, mean and norm of every node's value, gradients too; pictures are coloured by it.

        Computed as `find_nan` does it, beside the machine, and with the same errors.

        Args:
            inf: whether infinity counts as bad.

        Example:
            >>> import graphflow as gf
            >>> g = gf.ExprGraph()
            >>> x = gf.vector(g, 2, name="x", value=[3.0, -4.0])
            >>> y = x * 2.0
            >>> with gf.TapeMachine(g) as vm:
            ...     survey = vm.survey()
            >>> print(survey.values[y], survey.values[y].norm)
            float32[2] -8 to 6, mean -1 10.0
        """
        with self._entered():
            return survey_of(self._inspected(), inf=inf)

    def profile(self, runs: int = 100) -> Profile:
        """Microseconds of each instruction: `print(vm.profile())` shows where the time of a run goes.

        The program is run on the values that are bound now, in turn as a whole and with a clock between the
        instructions; what looking at the clock costs is measured first and taken off, so that the sum can be compared
        with the time of a whole run. For everything else it is one `run_all`: `runs` grows by one, random nodes keep
        to one run's numbers, and afterwards values are those of that run. A clock between them keeps instructions
        from overlapping: the sum may exceed the time of a whole run by some percent.

        Args:
            runs: how often each instruction is timed.

        Returns:
            A Profile: rows by time, `by_line`, `by_loop`, `by_step`.

        Raises:
            OptionError: runs is no whole number of 1 or more. Anything `run_all` raises.

        Example:
            >>> import graphflow as gf
            >>> g = gf.ExprGraph()
            >>> x = gf.vector(g, 2, name="x", value=[3.0, 4.0])
            >>> y = gf.sum(gf.exp(x))
            >>> with gf.TapeMachine(g) as vm:
            ...     profile = vm.profile(runs=5)
            >>> [(row.number, row.node is y, row.calls) for row in profile.rows]
            [(0, True, 5)]
        """
        check_runs(runs)
        with self._entered():
            self._begin()
            self._compute()
            found = self._guarded(
                lambda: profile_of(self.program, self._executable, self.runs, runs, self._backend.name)
            )
            self._finish()
            return found

    def value_of(self, node: Node) -> Array:
        """A copy of a node's value in this machine's latest run, whatever other machines have run since.

        Raises:
            ValueNotKept: this machine has not run, or does not keep the value; UnboundError: an input without a value.
        """
        check_nodes("value_of", (node,), self._graph)
        is_computed = node.op is not None and node.id not in self._graph.overrides
        return self._values.read(node) if is_computed else node.value

    def reset(self) -> None:
        """Begin the next `step` at the first instruction. Values stay readable; `run_all` needs no reset."""
        with self._entered():
            self._position = 0

    def close(self) -> None:
        """Refuse further runs, and end the machine's further threads. Values of the last run stay readable."""
        self._is_closed = True
        self._executable.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _entered(self) -> threading.Lock:
        """The right to run: `with self._entered():`. Refused here, so that the message shows the user's line.

        The `with` statement itself takes the lock: an interrupt between taking it and minding it would lock for ever.
        """
        if self._is_closed:
            raise MachineError("the machine is closed", needs="an open machine", hint="make a new TapeMachine")
        if self._lock.locked():
            raise MachineError(
                "the machine is already running", needs="one run at a time", hint="a machine for each thread"
            )
        return self._lock

    def _prepare(self) -> None:
        """Compile, and bind the program to the graph's storage as both are now."""
        version = self._graph.version
        with collector_paused():
            self.program: Program = compile_request(self._request)
            storage = storage_of(self.program, self._graph.positions, self._seed, self._graph.overrides)
            self._executable: Executable = self._backend.compile(self.program, storage)
        # Nodes may read from the executable for longer than there is a machine: its threads end with the machine.
        before, self._ending = self._ending, weakref.finalize(self, self._executable.close, is_final=False)
        if before is not None:
            before()
        arrays = ResultArrays(self.program.results, self._executable.array)
        self._values = RunValues(self._graph, arrays, self.program.computed_at)
        read = (*self.program.inputs, *(source for _, source in self.program.assignments))
        self._unbound = [node for node in read if node.op is None and not node.is_bound]
        # After which instruction a watched node has its value: it may be a view, or be merged with another.
        self._shown: dict[int, list[Node]] = {}
        for node in self._watcher.watched:
            if node.id in self.program.computed_at:
                self._shown.setdefault(self.program.computed_at[node.id], []).append(node)
        self._position = 0
        # Last of all: whatever fails or is interrupted before is done again by the next run.
        self._version = version

    def _recorded(self, node: Node | None) -> Node:
        """The node that `run_over` records, which this machine computes: the one given to `grad` if not another."""
        if node is not None:
            check_nodes("run_over: record", (node,), self._graph)
        found = self._graph.cost if node is None else node
        if found is None or found.id not in self.program.results:
            raise MachineError(
                f"run_over: this machine computes no {'cost' if found is None else found}",
                needs="a call of grad, or another node to record, before the machine is made",
            )
        if found.size != 1 or found.dtype.kind != "f":
            raise OptionError(
                f"run_over: {found} cannot be recorded", needs="a float of one element", where=found.origin
            )
        return found

    def _stepped(self) -> tuple[Node, ...]:
        """The parameters whose gradients this machine computes."""
        return tuple(
            self._graph[number]
            for number, node in self._graph.gradients.items()
            if node.id in self.program.results and self._graph[number].is_input
        )

    def _refresh(self) -> None:
        """Compile again if the graph has changed in a way that concerns machines."""
        if self._version != self._graph.version:
            self._prepare()

    def _begin(self) -> None:
        """Begin a run."""
        self._take_over()
        self.runs += 1
        if self._watcher.is_active:
            self._watcher.inputs(self.program.inputs)
            self._show(-1)

    def _take_over(self) -> None:
        """Look at what has changed since the last run, and make the nodes read from this machine."""
        self._refresh()
        self._require_bound()
        self._position = 0
        self._values.done = 0
        if self._held is not self._values:
            if self._held is not None:
                self._held.release()
            self._held = self._values
        self._values.hold()

    def _require_bound(self) -> None:
        """Refuse to run where an input has no value."""
        if self._unbound:
            self._unbound = [node for node in self._unbound if not node.is_bound]
            if self._unbound:
                raise unbound(self._unbound[0])

    def _run_row(self, work: RowWork, number: int) -> bool:
        """Do one row of `run_over`; whether it went well, and what it recorded is as wanted."""
        work.rows.bind(number)
        self._begin()
        self._compute()
        # Looked up anew: a step may have moved the parameters, and then the program is another one.
        work.values[number] = self._executable.array(self.program.results[work.recorded.id])
        if work.needs_finite and not np.isfinite(work.values[number]):
            return False
        self._finish()
        if work.solver is not None:
            work.solver.step(work.parameters)
        return True

    def _run_ahead(self, work: RowWork, first: int) -> int:
        """Do some rows of `run_over` in one call of the backend; how many it did."""
        if self._watcher.is_active:
            return 0
        self._take_over()
        carries = self._carries()
        if carries is None:
            return 0
        self._pace.begin()
        count = min(self._pace.rows, len(work.values) - first)
        calls = work.steps_ahead(count)
        if calls is None:
            return 0
        part = slice(first, first + count)
        rows = Rows(
            work.rows.cells,
            work.rows.starts[part],
            self.program.results[work.recorded.id],
            work.values[part],
            work.needs_finite,
            carries,
            calls,
        )
        done = self._executable.run_rows(rows, self.runs + 1)
        self.runs += done
        if done:
            self._pace.end(done)
            # Again, by the way that other threads know of: the table may have moved while it was used.
            work.rows.bind(first + done - 1)
            work.have_stepped(done)
            for target, _ in self.program.assignments:
                target.is_bound = True
        if done == count:
            self._values.done = len(self.program)
        return done

    def _carries(self) -> list[Carry] | None:
        """What `set_` asks for, as copies; None where a source has gaps, or may lie where another one is written."""
        found: list[Carry] = []
        for target, source in self.program.assignments:
            operand = self.program.results.get(source.id)  # of an input there is none
            if operand is None or operand.place.kind == "input" or source.id in self._graph.overrides:
                return None
            if not operand.place.is_contiguous(operand.type.shape):
                return None
            found.append(Carry(operand, allocate(target)))
        return found

    def _run(self) -> None:
        """Run the whole program once."""
        self._begin()
        self._compute()
        self._finish()

    def _compute(self) -> None:
        if self._watcher.is_active:
            self._run_watched()
        else:
            self._guarded(self._executable.run, self.runs)
        self._values.done = len(self.program)

    def _guarded(self, run: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Run the executable; where it fails, say in which instruction."""
        try:
            with np.errstate(all="ignore") if self._executable.uses_numpy else AS_IT_IS:
                return run(*arguments, **options)
        except BaseException as error:
            self._values.done = max(0, self._executable.position - 1)
            self._explain(error, self._values.done)
            raise

    def _run_watched(self) -> None:
        for number in range(len(self.program)):
            self._run_one(number)
            self._values.done = number + 1

    def _advance(self) -> Instruction:
        """Run the next instruction of a run that is done in steps."""
        instruction = self._run_one(self._position)
        self._position += 1
        self._values.done = self._position
        if self._position == len(self.program):
            self._assign()
        return instruction

    def _inspected(self) -> Inspection:
        """The latest run once more, or the first that there is to be, without a trace of it."""
        return Inspection(self._request, self._backend, self._seed, max(1, self.runs))

    def _run_one(self, number: int) -> Instruction:
        instruction = self.program.instructions[number]
        inputs = self._seen_inputs(instruction) if self._watcher.is_active else []
        try:
            with np.errstate(all="ignore"):
                self._executable.step(number, self.runs)
        except BaseException as error:
            self._explain(error, number)
            raise
        if self._watcher.is_active:
            self._watcher.after(number, instruction, inputs, self._executable.array(instruction.output))
            self._show(number)
        return instruction

    def _seen_inputs(self, instruction: Instruction) -> list[Array]:
        """What an instruction is going to read; copied where its result takes the place."""
        arrays = [(operand.place, self._executable.array(operand)) for operand in instruction.inputs]
        return [array.copy() if place == instruction.output.place else array for place, array in arrays]

    def _show(self, number: int) -> None:
        """Log the watched nodes that have their value after this instruction."""
        for node in self._shown.get(number, ()):
            self._watcher.show(node, self._executable.array(self.program.results[node.id]))

    def _finish(self) -> None:
        self._position = 0
        self._assign()

    def _assign(self) -> None:
        """Carry out each `set_`, with all the sources as they were before the first."""
        if self.program.assignments:
            values = [self.value_of(source) for _, source in self.program.assignments]
            for (target, _), value in zip(self.program.assignments, values, strict=True):
                store(target, value)

    def _explain(self, error: BaseException, number: int) -> None:
        """Say which instruction an error belongs to."""
        explain(error, number, self.program.instructions[number], self._executable.array)
