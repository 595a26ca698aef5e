"""Looking into a running program: logs, watched values, and the first NaN or infinity."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import final

import numpy as np

from graphflow.errors import NumericalError, OptionError
from graphflow.graph import ExprGraph
from graphflow.node import Node
from graphflow.tape.program import Instruction
from graphflow.values import Array
from graphflow.vm.compiling import listed
from graphflow.vm.failures import surround
from graphflow.vm.summary import operand_names

Logger = Callable[[str], object] | logging.Logger


@final
class Watcher:
    """What to look at after each instruction.

    Args:
        graph: the graph of the watched nodes.
        logger: takes lines; a `logging.Logger`, or any function of one text. By default standard error. Given without
            `watch`, it gets every instruction.
        watch: nodes whose values are logged when they are computed.
        value_format: how one number of a value is written, such as ".4g".
        nan, inf: stop at the first NaN or infinity.
        trace: log every instruction with its value.
    """

    def __init__(
        self,
        graph: ExprGraph,
        *,
        logger: Logger | None,
        watch: Iterable[Node] | Node,
        value_format: str,
        nan: bool,
        inf: bool,
        trace: bool,
    ) -> None:
        self.watched = listed("watch", watch, graph)
        try:
            format(1.0, value_format)
        except (ValueError, TypeError):
            raise OptionError(
                f"value_format {value_format!r} writes no number", needs="a format such as '.4g'"
            ) from None
        if logger is not None and not callable(logger) and not isinstance(logger, logging.Logger):
            raise OptionError(
                "logger takes no lines", got=repr(logger), needs="a function of one text or a logging.Logger"
            )
        self._write: Callable[[str], object] = _writer(logger)
        self._is_logging = trace or (logger is not None and not self.watched)
        self._format = value_format
        self._nan, self._inf = nan, inf
        self._numbers = {node.id for node in self.watched}
        self.is_tracing = trace

    @property
    def is_active(self) -> bool:
        """Whether instructions must be run one by one."""
        return self._is_logging or self._nan or self._inf or bool(self.watched)

    def inputs(self, nodes: Sequence[Node]) -> None:
        """Look at the bound values before the first instruction."""
        for node in nodes:
            value = node.graph.overrides.get(node.id, node.storage)
            if value is not None:
                if node.id in self._numbers:
                    self.show(node, value)
                self._check(node, value, "bound to it", (), ())

    def show(self, node: Node, value: Array) -> None:
        """Log the value of a watched node."""
        self._write(f"{node.label} = {self._text(value)}")

    def after(self, number: int, instruction: Instruction, inputs: Sequence[Array], output: Array) -> None:
        """Look at what an instruction has computed."""
        node = instruction.node
        if self._is_logging:
            self._write(f"{number:>5}  {instruction}  = {self._text(output)}")
        how = f"computed by instruction {number}: {instruction.loop}"
        self._check(node, output, how, operand_names(instruction), inputs)

    def _text(self, value: Array) -> str:
        return np.array2string(
            value, threshold=20, formatter={"float_kind": lambda number: format(number, self._format)}
        ).replace("\n", "")

    def _check(self, node: Node, value: Array, how: str, names: Sequence[str], inputs: Sequence[Array]) -> None:
        if value.dtype.kind != "f" or not (self._nan or self._inf):
            return
        for is_wanted, name, found in ((self._nan, "NaN", np.isnan), (self._inf, "infinity", np.isinf)):
            if is_wanted and (places := found(value)).any():
                first = tuple(int(axis) for axis in np.argwhere(places)[0]) if value.ndim else ()
                belongs = f", in the gradient of {node.gradient_of}" if node.gradient_of is not None else ""
                made = f" made at {node.gradient_of.origin}" if node.gradient_of is not None else ""
                error = NumericalError(
                    f"{name} in {node}, {how}{belongs}{made}",
                    got=f"{int(places.sum())} of {value.size} elements, the first at {first}",
                    needs="finite numbers",
                    hint="a smaller learn rate, clip=, or look at the inputs of this node",
                    where=node.origin,
                )
                surround(error, node, names, inputs)
                raise error


def _writer(logger: Logger | None) -> Callable[[str], object]:
    if isinstance(logger, logging.Logger):
        return logger.info
    return logger or (lambda line: sys.stderr.write(line + "\n"))
