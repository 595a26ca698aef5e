"""LLVM IR as text: values, arithmetic on vectors, and loops.

The text is handed to code generation as it is, without LLVM's optimisation passes: vectors are explicit, and what is
written is what runs. A `Writer` writes the body of one function; every method that computes something returns a
`Value`, a name with its type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple, final

from graphflow.dtypes import DType, bool_, float32, float64, int64

# Element types by dtype. A bool occupies one byte in memory and one bit in a register.
ELEMENTS: dict[DType, str] = {float32: "float", float64: "double", int64: "i64", bool_: "i1"}
# The words of a program's context, which word 1 of every record points to: addresses of the position table and of the
# team, the alarm that a kernel sets when an id is out of range, number of the run, seed. A loop over many runs counts
# the runs itself.
POSITIONS, TEAM, ALARM, RUN, SEED = range(5)
CONTEXT_WORDS = 5
# The word of a team that points to its `share`.
SHARE = 0
# Narrow vectors that stand for one with a mask.
MOST_PIECES = 3
BITS = {"float": 32, "double": 64, "i64": 64, "i32": 32, "i8": 8, "i1": 1}


class Value(NamedTuple):
    """A value in a register.

    Attributes:
        name: such as %v12, or a constant.
        element: float, double, i64, i32, i8 or i1.
        lanes: how many elements; 0 for a plain scalar.
    """

    name: str
    element: str
    lanes: int = 0

    @property
    def type(self) -> str:
        return f"<{self.lanes} x {self.element}>" if self.lanes else self.element

    @property
    def is_float(self) -> bool:
        return self.element in ("float", "double")

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


# All chunks one after the other, or shared out by the team. Record word 1 points to the context.
IN_CHUNKS = """
define void @{name}(ptr %record) {{
entry:
  %context_place = getelementptr i64, ptr %record, i64 1
  %context = load ptr, ptr %context_place, align 8
  %team_place = getelementptr i64, ptr %context, i64 {team}
  %team = load ptr, ptr %team_place, align 8
  %is_alone = icmp eq ptr %team, null
  br i1 %is_alone, label %head, label %shared
head:
  %chunk = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %chunk, {count}
  br i1 %more, label %body, label %end
body:
  call void @{name}.chunk(ptr %record, i64 %chunk)
  %next = add i64 %chunk, 1
  br label %head
shared:
  %share_place = getelementptr i64, ptr %team, i64 {share}
  %share = load ptr, ptr %share_place, align 8
  call void %share(ptr %team, ptr @{name}.chunk, ptr %record, i64 {count})
  br label %end
end:
  ret void
}}
"""


@final
class Writer:
    """The body of one function `void name(ptr record)`.

    Args:
        name: of the function.
        vector_bytes: width of a vector register: 64, 32 or 16.
    """

    def __init__(self, name: str, vector_bytes: int) -> None:
        self.name = name
        self.vector_bytes = vector_bytes
        # Vector registers: AVX-512 has twice as many, for its narrower vectors too.
        self.registers = 32 if vector_bytes == 64 else 16
        self.record = Value("%record", "ptr")
        self.declarations: set[str] = set()
        self.chunks = 1
        # Room on the stack is taken once, on entry, and not again in every round of a loop.
        self._stack: list[str] = []
        self._lines: list[str] = []
        self._block = "entry"
        self._count = 0

    def text(self) -> str:
        """The whole function; with chunks also the one that computes a single one."""
        body = "\n".join(["entry:", *self._stack, *self._lines])
        if self.chunks == 1:
            return f"define void @{self.name}(ptr %record) {{\n{body}\n  ret void\n}}\n"
        chunk = f"define internal void @{self.name}.chunk(ptr %record, i64 %chunk) {{\n{body}\n  ret void\n}}\n"
        return chunk + IN_CHUNKS.format(name=self.name, count=self.chunks, team=TEAM, share=SHARE)

    def divide(self, chunks: int) -> Value:
        """Make this a function that computes one of some chunks, in any order and in any thread: which one."""
        self.chunks = chunks
        return Value("%chunk", "i64")

    @contextmanager
    def narrowed(self, vector_bytes: int) -> Iterator[None]:
        """Within a `with` block vectors are at most as wide as this."""
        widest = self.vector_bytes
        self.vector_bytes = min(widest, vector_bytes)
        yield
        self.vector_bytes = widest

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, text: str, element: str, lanes: int = 0) -> Value:
        """Write an instruction that computes something."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {text}")
        return Value(name, element, lanes)

    def effect(self, text: str) -> None:
        """Write an instruction that computes nothing, such as a store."""
        self._lines.append(f"  {text}")

    def scalar(self, number: float | bool, element: str) -> Value:
        """A constant."""
        if element == "float":
            # LLVM wants a float constant as the double with the same value.
            number = struct.unpack("f", struct.pack("f", _within_float(number)))[0]
        if element in ("float", "double"):
            return Value(f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}", element)
        return Value(str(int(number)), element)

    def constant(self, number: float | bool, like: Value) -> Value:
        """A constant with the type of another value."""
        scalar = self.scalar(number, like.element)
        if not like.lanes:
            return scalar
        elements = ", ".join([str(scalar)] * like.lanes)
        return Value(f"<{elements}>", like.element, like.lanes)

    def splat(self, scalar: Value, lanes: int) -> Value:
        """A vector with the scalar in every lane; the scalar itself for lanes 0."""
        if not lanes:
            return scalar
        first = self.value(f"insertelement <{lanes} x {scalar.element}> poison, {scalar}, i64 0", scalar.element, lanes)
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.value(f"shufflevector {first}, <{lanes} x {scalar.element}> poison, {zeros}", scalar.element, lanes)

    def count_from(self, index: Value, lanes: int) -> Value:
        """index, index + 1, ... in the lanes."""
        steps = ", ".join(f"i64 {lane}" for lane in range(lanes))
        return index if not lanes else self.add(self.splat(index, lanes), Value(f"<{steps}>", "i64", lanes))

    # --- arithmetic ---------------------------------------------------------------------------------------------------

    def binary(self, operation: str, x: Value, y: Value) -> Value:
        """An LLVM instruction of two operands of one type, such as fadd, mul or and."""
        return self.value(f"{operation} {x}, {y.name}", x.element, x.lanes)

    def add(self, x: Value, y: Value) -> Value:
        return self.binary("fadd" if x.is_float else "add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        return self.binary("fsub" if x.is_float else "sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        return self.binary("fmul" if x.is_float else "mul", x, y)

    def div(self, x: Value, y: Value) -> Value:
        return self.binary("fdiv", x, y)

    def neg(self, x: Value) -> Value:
        return self.value(f"fneg {x}", x.element, x.lanes) if x.is_float else self.sub(self.constant(0, x), x)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once where the machine can (with FMA), otherwise as it can."""
        suffix = ("v" + str(x.lanes) if x.lanes else "") + ("f32" if x.element == "float" else "f64")
        name = f"llvm.fmuladd.{suffix}"
        self.declarations.add(f"declare {x.type} @{name}({x.type}, {x.type}, {x.type})")
        return self.value(f"call {x.type} @{name}({x}, {y}, {z})", x.element, x.lanes)

    def intrinsic(self, name: str, *operands: Value) -> Value:
        """A call of an LLVM intrinsic whose operands and result have one type, such as fabs, sqrt, floor, copysign."""
        first = operands[0]
        letter = {"float": "f32", "double": "f64", "i64": "i64", "i32": "i32"}[first.element]
        full = f"llvm.{name}.{'v' + str(first.lanes) if first.lanes else ''}{letter}"
        self.declarations.add(f"declare {first.type} @{full}({', '.join([first.type] * len(operands))})")
        arguments = ", ".join(str(operand) for operand in operands)
        return self.value(f"call {first.type} @{full}({arguments})", first.element, first.lanes)

    def compare(self, predicate: str, x: Value, y: Value) -> Value:
        """fcmp or icmp by the operands' type: oeq, olt, uno ... or eq, slt ..."""
        instruction = "fcmp" if x.is_float else "icmp"
        return self.value(f"{instruction} {predicate} {x}, {y.name}", "i1", x.lanes)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """x where the condition holds, y elsewhere, lane by lane."""
        return self.value(f"select {condition}, {x}, {y}", x.element, x.lanes)

    def convert(self, instruction: str, x: Value, element: str) -> Value:
        """A conversion that keeps the lanes: bitcast, fptosi, sitofp, zext, fpext, fptrunc ..."""
        wanted = f"<{x.lanes} x {element}>" if x.lanes else element
        return self.value(f"{instruction} {x} to {wanted}", element, x.lanes)

    def first_lanes(self, lanes: int, count: int) -> Value:
        """A mask that is true in the first lanes."""
        return Value("<" + _mask(lanes, count).partition(" <")[2], "i1", lanes)

    # --- memory -------------------------------------------------------------------------------------------------------

    def operand(self, number: int) -> Value:
        """The pointer in word `number` of the record, counted behind the two words of the interpreter."""
        place = self.value(f"getelementptr i64, ptr %record, i64 {number + 2}", "ptr")
        return self.value(f"load ptr, ptr {place.name}, align 8", "ptr")

    def operand_at(self, number: Value) -> Value:
        """As `operand`, for a number that is known only while the kernel runs."""
        first = self.offset(self.record, Value("2", "i64"), "i64")
        return self.value(f"load ptr, ptr {self.offset(first, number, 'i64').name}, align 8", "ptr")

    def word(self, number: int) -> Value:
        """The integer in word `number` of the record."""
        place = self.value(f"getelementptr i64, ptr %record, i64 {number + 2}", "ptr")
        return self.value(f"load i64, ptr {place.name}, align 8", "i64")

    def position(self, number: int) -> Value:
        """The run-time position in the cell whose number is word `number` of the record.

        Word 1 of every record points to a word that points to the cells, since the table may move as it grows.
        """
        slot, cells = self.word(number), self.context(POSITIONS, "ptr")
        cell = self.offset(cells, slot, "i64")
        return self.value(f"load i64, ptr {cell.name}, align 8", "i64")

    def context(self, word: int, element: str = "i64") -> Value:
        """A word of the context."""
        return self.value(f"load {element}, ptr {self._context_place(word).name}, align 8", element)

    def _context_place(self, word: int) -> Value:
        place = self.value("getelementptr i64, ptr %record, i64 1", "ptr")
        context = self.value(f"load ptr, ptr {place.name}, align 8", "ptr")
        return self.offset(context, Value(str(word), "i64"), "i64")

    def stack(self, count: int, element: str) -> Value:
        """Room for some elements, for the duration of the call."""
        self._count += 1
        name = f"%v{self._count}"
        self._stack.append(f"  {name} = alloca {element}, i64 {count}, align 64")
        return Value(name, "ptr")

    def alarm_unless(self, condition: Value) -> None:
        """Set the alarm in the context where a condition does not hold, in any lane; the run goes on."""
        if condition.lanes:
            bits = self._bits(condition)
            condition = self.compare("eq", bits, Value("-1", bits.element))
        alarm = self._context_place(ALARM)
        before = self.load(alarm, "i64")
        self.store(self.select(condition, before, Value("1", "i64")), alarm)

    def any_lane(self, condition: Value) -> Value:
        """Whether a condition holds in any lane."""
        return condition if not condition.lanes else self.compare("ne", self._bits(condition), Value("0", "i64"))

    def _bits(self, condition: Value) -> Value:
        """The lanes of a condition as the bits of an integer."""
        return self.value(f"bitcast {condition} to i{condition.lanes}", f"i{condition.lanes}")

    def offset(self, pointer: Value, index: Value, element: str) -> Value:
        """The address of an element."""
        if index.name == "0":
            return pointer
        stored = "i8" if element == "i1" else element
        return self.value(f"getelementptr {stored}, ptr {pointer.name}, i64 {index.name}", "ptr")

    def load(
        self, pointer: Value, element: str, lanes: int = 0, count: int | None = None, *, repeats: bool = False
    ) -> Value:
        """Load consecutive elements; with `count` only the first ones.

        The other lanes are zero, or with `repeats` the first element again: code generation takes 0 / 0 for zero, so
        lanes that a select is to leave out must not be known to be zero.
        """
        stored = "i8" if element == "i1" else element
        loaded = Value("", stored, lanes)
        if count is None or not lanes:
            found = self.value(f"load {loaded.type}, ptr {pointer.name}, align {_bytes(stored)}", stored, lanes)
        else:
            others = Value("zeroinitializer", stored, lanes)
            found = self._load_first(
                pointer, count, self.splat(self.load(pointer, stored), lanes) if repeats else others
            )
        return found if element != "i1" else self.compare("ne", found, self.constant(0, found))

    def lanes_below(self, count: Value, lanes: int) -> Value:
        """A mask that is true in the first lanes, as many as an i64 says."""
        limit = self.splat(self.convert("trunc", count, "i32"), lanes)
        numbers = ", ".join(f"i32 {lane}" for lane in range(lanes))
        return self.compare("slt", Value(f"<{numbers}>", "i32", lanes), limit)

    def load_masked(self, pointer: Value, element: str, mask: Value) -> Value:
        """Consecutive elements where a mask is true, and zeros elsewhere, for which nothing is read."""
        found = Value("zeroinitializer", element, mask.lanes)
        name = f"llvm.masked.load.v{mask.lanes}{_letter(element)}.p0"
        self.declarations.add(f"declare {found.type} @{name}(ptr, i32, {mask.type}, {found.type})")
        arguments = f"ptr {pointer.name}, i32 {_bytes(element)}, {mask}, {found}"
        return self.value(f"call {found.type} @{name}({arguments})", element, mask.lanes)

    def _load_first(self, pointer: Value, count: int, others: Value) -> Value:
        """A vector whose first lanes come from memory, the others from another vector."""
        for start, width in _pieces(count):
            others = self._with_piece(others, pointer, start, width)
        if _pieces(count):
            return others
        stored, lanes = others.element, others.lanes
        name = f"llvm.masked.load.v{lanes}{_letter(stored)}.p0"
        self.declarations.add(f"declare {others.type} @{name}(ptr, i32, <{lanes} x i1>, {others.type})")
        mask = _mask(lanes, count)
        arguments = f"ptr {pointer.name}, i32 {_bytes(stored)}, {mask}, {others}"
        return self.value(f"call {others.type} @{name}({arguments})", stored, lanes)

    def _with_piece(self, whole: Value, pointer: Value, start: int, width: int) -> Value:
        """The vector with some consecutive elements of memory in the lanes with the same numbers."""
        piece = self.load(self.offset(pointer, Value(str(start), "i64"), whole.element), whole.element, width)
        # As long as the vector, with zeros behind it, then the two side by side.
        zeros = Value("zeroinitializer", piece.element, width)
        long = self.shuffle(piece, zeros, [min(lane, width) for lane in range(whole.lanes)])
        if whole.name == "zeroinitializer":
            return long
        inside = range(start, start + width)
        chosen = [whole.lanes + lane - start if lane in inside else lane for lane in range(whole.lanes)]
        return self.shuffle(whole, long, chosen)

    def shuffle(self, x: Value, y: Value, chosen: Sequence[int]) -> Value:
        """A vector of lanes of x and y, which are counted through."""
        places = ", ".join(f"i32 {lane}" for lane in chosen)
        text = f"shufflevector {x}, {y}, <{len(chosen)} x i32> <{places}>"
        return self.value(text, x.element, len(chosen))

    def store(self, x: Value, pointer: Value, count: int | None = None) -> None:
        """Store consecutive elements; with `count` only the first ones."""
        if x.element == "i1":
            x = self.convert("zext", x, "i8")
        if count is None or not x.lanes:
            self.effect(f"store {x}, ptr {pointer.name}, align {_bytes(x.element)}")
            return
        for start, width in _pieces(count):
            piece = self.shuffle(x, x, range(start, start + width))
            self.store(piece, self.offset(pointer, Value(str(start), "i64"), x.element))
        if _pieces(count):
            return
        name = f"llvm.masked.store.v{x.lanes}{_letter(x.element)}.p0"
        self.declarations.add(f"declare void @{name}({x.type}, ptr, i32, <{x.lanes} x i1>)")
        self.effect(f"call void @{name}({x}, ptr {pointer.name}, i32 {_bytes(x.element)}, {_mask(x.lanes, count)})")

    def prefetch(self, pointer: Value) -> None:
        """Bid the processor to have this memory near soon; any address will do."""
        self.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.effect(f"call void @llvm.prefetch.p0(ptr {pointer.name}, i32 0, i32 3, i32 1)")

    # --- loops --------------------------------------------------------------------------------------------------------

    def loop(
        self,
        stop: int | Value,
        step: int,
        body: Callable[[Value, tuple[Value, ...]], Sequence[Value]],
        carried: Sequence[Value] = (),
        start: int | Value = 0,
    ) -> tuple[Value, ...]:
        """`for index in range(start, stop, step)`; body(index, carried) returns what is carried on.

        Returns:
            What the last round carried on, or the initial values where there was none.
        """
        if isinstance(stop, int) and isinstance(start, int) and start < stop <= start + step:
            # A single round needs no loop, and code generation is spared the work of taking one apart.
            return tuple(body(Value(str(start), "i64"), tuple(carried)))
        self._count += 1
        tag = self._count
        head, inside, end = f"head{tag}", f"body{tag}", f"end{tag}"
        limit = Value(str(stop), "i64") if isinstance(stop, int) else stop
        begin = start.name if isinstance(start, Value) else start
        before = self._block
        self.effect(f"br label %{head}")
        self._label(head)
        # The phi nodes name values that are written later: their lines are filled in at the end.
        place = len(self._lines)
        index = Value(f"%i{tag}", "i64")
        names = tuple(Value(f"%c{tag}_{number}", each.element, each.lanes) for number, each in enumerate(carried))
        condition = self.value(f"icmp slt {index}, {limit.name}", "i1")
        self.effect(f"br {condition}, label %{inside}, label %{end}")
        self._label(inside)
        results = tuple(body(index, names))
        following = self.value(f"add {index}, {step}", "i64")
        last = self._block
        self.effect(f"br label %{head}")
        phis = [f"  {index.name} = phi i64 [ {begin}, %{before} ], [ {following.name}, %{last} ]"]
        phis += [
            f"  {name.name} = phi {name.type} [ {first.name}, %{before} ], [ {result.name}, %{last} ]"
            for name, first, result in zip(names, carried, results, strict=True)
        ]
        self._lines[place:place] = phis
        self._label(end)
        return names

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")
        self._block = name


@lru_cache(maxsize=256)
def _pieces(count: int) -> tuple[tuple[int, int], ...]:
    """First element and length of the few vectors that hold some elements; none where it takes more.

    What a masked store writes reaches the next load only by way of the cache, which costs as much as a small kernel.
    """
    widths = [1 << bit for bit in reversed(range(count.bit_length())) if count >> bit & 1]
    return (
        tuple((sum(widths[:place]), width) for place, width in enumerate(widths)) if len(widths) <= MOST_PIECES else ()
    )


@lru_cache(maxsize=256)
def _mask(lanes: int, count: int) -> str:
    bits = ", ".join(f"i1 {int(lane < count)}" for lane in range(lanes))
    return f"<{lanes} x i1> <{bits}>"


def _letter(element: str) -> str:
    return {"float": "f32", "double": "f64"}.get(element, element)


def _bytes(element: str) -> int:
    return 8 if element == "ptr" else max(1, BITS[element] // 8)


def _within_float(number: float) -> float:
    """The number as a float32 can hold it; what is too large becomes infinite, as in C."""
    try:
        struct.pack("f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return number
