"""What an error during a run says beside its own words: the node, what was read, and the nodes before and behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.errors import GraphflowError, MachineError, UnboundError
from graphflow.explanation import neighbourhood
from graphflow.node import Node
from graphflow.tape.program import Instruction, Operand
from graphflow.values import Array
from graphflow.vm.summary import operand_names, summarised


def surround(error: GraphflowError, node: Node, names: Sequence[str], arrays: Sequence[Array]) -> None:
    """Add what a node has read and where it stands in the graph."""
    error.where = error.where or node.origin
    error.surroundings = (("inputs", summarised(names, arrays)), ("graph", neighbourhood(node)))


def explain(error: BaseException, number: int, instruction: Instruction, array: Callable[[Operand], Array]) -> None:
    """Say which node an instruction's error belongs to; what is not of our family becomes so.

    Args:
        error: what was raised; an interrupt is left as it is.
        number: of the instruction.
        instruction: the one that failed.
        array: the storage of an operand.

    Raises:
        MachineError: for any other exception, which is its cause.
    """
    node = instruction.node
    if not isinstance(error, Exception):
        return
    told = error if isinstance(error, GraphflowError) else failed(f"instruction {number} failed: {node}", node, error)
    told.op = told.op or (node.op.name if node.op is not None else None)
    if not told.surroundings:
        surround(told, node, operand_names(instruction), [array(operand) for operand in instruction.inputs])
    if told is not error:
        raise told from error


def failed(headline: str, node: Node, error: Exception) -> MachineError:
    """The error for an evaluation that numpy, or the op's author, has refused."""
    return MachineError(
        headline,
        got=f"{type(error).__name__}: {error}",
        needs="an op whose numpy evaluation accepts these inputs",
        where=node.origin,
    )


def unbound(node: Node) -> UnboundError:
    """The error for an input that has no value when it is read."""
    error = UnboundError(
        f"{node} has no value", needs="a value before the run", hint=f"gf.let({node.label}, ...)", where=node.origin
    )
    error.surroundings = (("graph", neighbourhood(node)),)
    return error
