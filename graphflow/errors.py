"""Every error that a user of graphflow can meet.

    GraphflowError
    ├── ShapeError        (ValueError)       sizes do not fit
    ├── DTypeError        (TypeError)        kinds of number do not fit
    ├── GraphError        (ValueError)       a node is used where it does not belong: foreign graph, wrong kind of node
    ├── GradientError     (ValueError)       cost not scalar, wrt not reached, no gradient exists
    ├── BindingError      (ValueError)       a value that cannot be bound to this node
    │   └── UnboundError  (RuntimeError)     an input that has no value when the machine runs
    ├── PositionError     (IndexError)       a slice position or an id out of range
    ├── ValueNotKept      (LookupError)      reading a value that the machine did not keep
    ├── MachineError      (RuntimeError)     a machine used wrongly: closed, entered twice, run failed
    │   └── NumericalError (ArithmeticError) a watch met NaN or infinity
    ├── OptionError       (TypeError)        an option that this thing does not have, or a value outside its range
    ├── OpContractError   (TypeError)        an Op class that lacks a member of the contract
    ├── CheckpointError   (ValueError)       a file that is not what it claims to be, or cannot be written
    └── RenderError       (RuntimeError)     a picture that cannot be drawn

The text always has the same order: what op and what is wrong, what it got, what it needs, what to try, and where.
What fails during a run also shows what was read, and the nodes before and behind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphflow.origin import Origin, user_origin


class GraphflowError(Exception):
    """Base of all errors raised by graphflow.

    Args:
        headline: what cannot be done; `{0}`, `{1}` stand for the operands where `operands` is given.
        got: what was met.
        needs: what would have been right.
        hint: what to try; may name operands as the headline does.
        where: the line at which the node concerned was made; by default the user's line that is running.
        operands: descriptions of the operands, such as `x: float32[3]`.

    Attributes:
        surroundings: rows of the text that a machine adds during a run: what was read, the nodes before and behind.
    """

    def __init__(
        self,
        headline: str,
        *,
        got: str | None = None,
        needs: str | None = None,
        hint: str | None = None,
        where: Origin | None = None,
        operands: Sequence[object] = (),
    ) -> None:
        super().__init__(headline)
        self.headline = headline
        self.got = got
        self.needs = needs
        self.hint = hint
        self.where = where
        self.raised_at = user_origin()
        self.op: str | None = None
        self.operands = tuple(str(operand) for operand in operands)
        self.operand_names = self.operands
        self.surroundings: tuple[tuple[str, str], ...] = ()

    def about(self, op: str, operands: Sequence[str], names: Sequence[str]) -> None:
        """Complete the message with the op and the operands, once the nodes they came from are known."""
        self.op = op
        self.operands = tuple(operands)
        self.operand_names = tuple(names)

    def __str__(self) -> str:
        headline, hint = self.headline, self.hint
        if self.operands:
            headline = _filled(headline, self.operands)
            hint = hint and _filled(hint, self.operand_names)
        lines = [f"{self.op}: {headline}" if self.op else headline]
        node = f"made at {self.where}" if self.where else None
        said = (("got", self.got), ("needs", self.needs), ("try", hint))
        rows = (*said, *self.surroundings, ("node", node), ("line", str(self.raised_at)))
        lines += [f"  {label:<7} {text}" for label, text in rows if text]
        return "\n".join(lines)


def _filled(text: str, operands: Sequence[str]) -> str:
    """The text with operand 0 in place of {0} and so on; other braces are the user's and stay."""
    numbers = range(min(10, len(operands)))
    return re.sub(r"\{(\d)\}", lambda found: operands[int(found[1])] if int(found[1]) in numbers else found[0], text)


class ShapeError(GraphflowError, ValueError):
    """Sizes do not fit together."""


class DTypeError(GraphflowError, TypeError):
    """Kinds of number do not fit together."""


class GraphError(GraphflowError, ValueError):
    """A node is used where it does not belong."""


class GradientError(GraphflowError, ValueError):
    """There is nothing to differentiate."""


class BindingError(GraphflowError, ValueError):
    """A value cannot be bound to this node."""


class UnboundError(BindingError, RuntimeError):
    """An input has no value."""


class PositionError(GraphflowError, IndexError):
    """A slice position or an id is out of range."""


class ValueNotKept(GraphflowError, LookupError):  # noqa: N818 - says what happened; the base names it an error
    """The machine did not keep this value."""


class MachineError(GraphflowError, RuntimeError):
    """A machine is used wrongly, or its run failed."""


class NumericalError(MachineError, ArithmeticError):
    """A watch met NaN or infinity."""


class OptionError(GraphflowError, TypeError):
    """An option that does not exist here, or a value outside its range."""


class OpContractError(GraphflowError, TypeError):
    """An Op class lacks a member of the contract."""


class CheckpointError(GraphflowError, ValueError):
    """A checkpoint cannot be written, or is not what it claims to be."""


class RenderError(GraphflowError, RuntimeError):
    """A picture cannot be drawn."""
