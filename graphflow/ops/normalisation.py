"""Values brought to mean 0 and variance 1: over a batch, over a layer, over groups of channels."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence

from graphflow.binding import set_
from graphflow.errors import BindingError, OptionError, ShapeError
from graphflow.graph import apply, check_nodes
from graphflow.node import Node
from graphflow.ops.elementary import sqrt, square
from graphflow.ops.modes import Along, by_mode
from graphflow.ops.reductions import mean
from graphflow.ops.shape import naming, reshape
from graphflow.tensortype import Shape, as_axes, float_dtype


def batch_norm(
    x: Node,
    scale: Node | None = None,
    bias: Node | None = None,
    *,
    running_mean: Node | None = None,
    running_variance: Node | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Node:
    """scale * (x - mean) / sqrt(variance + eps) + bias, mean and variance those of each channel over the batch.

    The running statistics are inputs. Every training run ends with `running = (1 - momentum) * running + momentum *
    statistic of the batch`; of the variance that is the unbiased estimate. A machine in evaluation mode normalises by
    the running statistics and leaves them as they are. Save them with the parameters. Where a graph normalises several
    times by the same statistics, such as for training and for tests, the first of them is what updates them.

    Args:
        x: [batch, channels] or [batch, channels, ...].
        scale: [channels]; None for ones.
        bias: [channels]; None for zeros.
        running_mean: an input [channels]; with None evaluation mode too uses the statistics of the batch.
        running_variance: an input [channels]; both or none.
        momentum: the share of the new statistics, from 0 to 1.
        eps: added to the variance, 0 or more.

    Returns:
        The shape of x.

    Raises:
        ShapeError: x has less than two axes, or no elements, or the others are not [channels]. DTypeError: not
        floating, or two dtypes. OptionError: momentum or eps out of range. BindingError: a statistic that is no input.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> x = gf.matrix(g, (3, 1), value=[[1.0], [2.0], [6.0]])
        >>> mean = gf.vector(g, 1, name="mean", value=[0.0])
        >>> variance = gf.vector(g, 1, name="variance", value=[1.0])
        >>> y = gf.batch_norm(x, running_mean=mean, running_variance=variance)
        >>> with gf.TapeMachine(g) as vm:
        ...     vm.run_all()
        >>> print(mean.value.round(3), variance.value.round(3))
        [0.3] [1.6]

    Source: Gorgonia BatchNorm; torch batch_norm; S. Ioffe, C. Szegedy, ICML 2015.
    """
    what = "batch_norm"
    given = [node for node in (scale, bias, running_mean, running_variance) if node is not None]
    check_nodes(what, [x, *given])
    if x.dims < 2 or x.size == 0:
        needs = "[batch, channels, ...] with elements"
        raise ShapeError(f"{what}: not defined for {x}", got=f"shape {x.shape}", needs=needs, where=x.origin)
    channels = (x.shape[1],)
    _check(what, x, given, channels, eps)
    if not (isinstance(momentum, numbers.Real) and 0 <= momentum <= 1):
        raise OptionError(f"{what}: momentum is not usable", got=repr(momentum), needs="a number from 0 to 1")
    if (running_mean is None) != (running_variance is None):
        raise OptionError(
            f"{what}: one running statistic is missing", needs="running_mean and running_variance, or none"
        )
    for running in (running_mean, running_variance):
        if running is not None and not running.is_input:
            raise BindingError(f"{what}: {running} cannot be updated", needs="an input", where=running.origin)
    axes = (0, *range(2, x.dims))
    beside = (1, x.shape[1], *(1,) * (x.dims - 2))
    middle = mean(x, axes)
    variance = mean(square(x - reshape(middle, beside)), axes)
    if running_mean is not None and running_variance is not None:
        count = x.size // x.shape[1]
        unbiased = variance * (count / max(1, count - 1))
        used = []
        for running, statistic, own in ((running_mean, middle, middle), (running_variance, unbiased, variance)):
            if running.id not in x.graph.assignments:
                update = by_mode(running * (1.0 - momentum) + statistic * float(momentum), running)
                set_(running, update)
                # Whoever asks for what has been normalised has the statistics updated.
                own = apply(Along(), own, update)  # noqa: PLW2901 - the same number
            used.append(by_mode(own, running))
        middle, variance = used
    y = (x - reshape(middle, beside)) / sqrt(reshape(variance, beside) + float(eps))
    return _scaled(y, scale, bias, beside)


def layer_norm(
    x: Node,
    scale: Node | None = None,
    bias: Node | None = None,
    *,
    axis: int | Iterable[int] = -1,
    eps: float = 1e-5,
) -> Node:
    """scale * (x - mean) / sqrt(variance + eps) + bias, mean and variance those along some axes.

    Args:
        x: any shape.
        scale: of the shape of these axes; None for ones.
        bias: of the same shape; None for zeros.
        axis: the axes that are normalised together, by default the last.
        eps: added to the variance, 0 or more.

    Returns:
        The shape of x.

    Raises:
        ShapeError: no such axes, no elements along them, or other shapes of scale and bias. DTypeError: not floating,
        or two dtypes. OptionError: eps out of range.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> print(gf.layer_norm(gf.matrix(g, (4, 3)), gf.vector(g, 3), gf.vector(g, 3)).type)
        float32[4, 3]

    Source: torch layer_norm; J. Ba, J. Kiros, G. Hinton, 2016.
    """
    what = "layer_norm"
    given = [node for node in (scale, bias) if node is not None]
    check_nodes(what, [x, *given])
    with naming(what, x):
        axes = as_axes(axis, x.dims)
    shape = tuple(x.shape[each] for each in axes)
    _check(what, x, given, shape, eps)
    if 0 in shape:
        raise ShapeError(f"{what}: not defined for {x}", got=f"no element along {axes}", where=x.origin)
    beside = tuple(size if place in axes else 1 for place, size in enumerate(x.shape))
    return _scaled(_normalised(x, axes, eps), scale, bias, beside)


def group_norm(x: Node, groups: int, scale: Node | None = None, bias: Node | None = None, *, eps: float = 1e-5) -> Node:
    """scale * (x - mean) / sqrt(variance + eps) + bias, mean and variance those of each group of channels.

    Args:
        x: [batch, channels, ...].
        groups: into how many the channels fall; with as many as there are channels it is instance normalisation.
        scale: [channels]; None for ones.
        bias: [channels]; None for zeros.
        eps: added to the variance, 0 or more.

    Returns:
        The shape of x.

    Raises:
        ShapeError: the channels do not fall into such groups, x has too few axes or no elements, or scale and bias are
        not [channels]. DTypeError: not floating, or two dtypes. OptionError: groups or eps out of range.

    Example:
        >>> import graphflow as gf
        >>> print(gf.group_norm(gf.tensor(gf.ExprGraph(), (2, 6, 5, 5)), 3).type)
        float32[2, 6, 5, 5]

    Source: Gorgonia GroupNorm; torch group_norm; Y. Wu, K. He, ECCV 2018.
    """
    what = "group_norm"
    given = [node for node in (scale, bias) if node is not None]
    check_nodes(what, [x, *given])
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise OptionError(f"{what}: groups is not usable", got=repr(groups), needs="a whole number from 1 on")
    if x.dims < 2 or x.size == 0 or x.shape[1] % groups:
        needs = f"[batch, channels, ...] with elements, the channels a multiple of {groups}"
        raise ShapeError(f"{what}: not defined for {x}", got=f"shape {x.shape}", needs=needs, where=x.origin)
    _check(what, x, given, (x.shape[1],), eps)
    grouped = reshape(x, (x.shape[0], groups, x.size // (x.shape[0] * groups)))
    y = reshape(_normalised(grouped, (2,), eps), x.shape)
    return _scaled(y, scale, bias, (1, x.shape[1], *(1,) * (x.dims - 2)))


def _check(what: str, x: Node, given: Sequence[Node], shape: Shape, eps: float) -> None:
    """Refuse what has no float dtype in common, or another shape than scale, bias and statistics must have."""
    with naming(what, x, *given):
        float_dtype(x.type, *[node.type for node in given])
    for node in given:
        if node.shape != shape:
            raise ShapeError(f"{what}: {node} does not fit {x}", needs=f"shape {shape}", where=node.origin)
    if not (isinstance(eps, numbers.Real) and 0 <= eps < math.inf):
        raise OptionError(f"{what}: eps is not usable", got=repr(eps), needs="a number, 0 or more")


def _normalised(x: Node, axes: Sequence[int], eps: float) -> Node:
    distance = x - mean(x, axes, keepdims=True)
    return distance / sqrt(mean(square(distance), axes, keepdims=True) + float(eps))


def _scaled(y: Node, scale: Node | None, bias: Node | None, beside: Shape) -> Node:
    if scale is not None:
        y = y * reshape(scale, beside)
    return y if bias is None else y + reshape(bias, beside)
