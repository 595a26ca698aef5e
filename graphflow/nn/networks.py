"""Layers of feed-forward networks: convolutions, normalisation, dropout, and layers one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from graphflow.construct import tensor, vector
from graphflow.graph import ExprGraph
from graphflow.initializers import Initializer, glorot_n, ones, zeroes
from graphflow.node import Node
from graphflow.ops.convolution import conv1d, conv2d
from graphflow.ops.noise import dropout
from graphflow.ops.normalisation import batch_norm, group_norm, layer_norm
from graphflow.ops.shape import reshape
from graphflow.ops.windows import numbers_of
from graphflow.tensortype import as_shape


@final
class Conv:
    """y = convolution of x with the filters w, plus b for each channel; in one axis or two, as the kernel says.

    Args:
        g: the graph.
        channels, outputs: of x and of y.
        kernel: the size of the filters: a pair for images, or a number for both; a number in a tuple for signals.
        pad, stride, dilation, groups: as for `gf.conv2d`.
        bias: whether there is a b.
        name: prefix of the parameters' names: `name.w`, `name.b`.
        init: initialiser of w, Glorot's normal one by default.

    Attributes:
        w: [outputs, channels / groups, *kernel]; b: [outputs] or None.
        parameters: what a solver steps.

    Raises:
        OptionError, ShapeError: the options are not usable, or the sizes do not fit.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> layer = gf.nn.Conv(g, 1, 8, (3, 3), pad=1)
        >>> print(layer(gf.tensor(g, (10, 1, 28, 28))).type)
        float32[10, 8, 28, 28]
    """

    def __init__(
        self,
        g: ExprGraph,
        channels: int,
        outputs: int,
        kernel: int | tuple[int, ...],
        *,
        pad: object = 0,
        stride: object = 1,
        dilation: object = 1,
        groups: int = 1,
        bias: bool = True,
        name: str = "conv",
        init: Initializer | None = None,
        dtype: object = "float32",
    ) -> None:
        is_signal = isinstance(kernel, list | tuple) and len(kernel) == 1
        sizes = numbers_of("nn.Conv", "kernel", kernel, 1 if is_signal else 2, 1)
        (parts,) = numbers_of("nn.Conv", "groups", groups, 1, 1)
        self.w = tensor(g, (outputs, channels // parts, *sizes), name=f"{name}.w", init=init or glorot_n(), dtype=dtype)
        self.b = vector(g, outputs, name=f"{name}.b", init=zeroes(), dtype=dtype) if bias else None
        self.parameters = (self.w,) if self.b is None else (self.w, self.b)
        self._options = pad, stride, dilation, groups

    def __call__(self, x: Node) -> Node:
        """[batch, channels, ...] -> [batch, outputs, ...]."""
        axes = self.w.dims - 2
        y = (conv1d if axes == 1 else conv2d)(x, self.w, *self._options)
        return y if self.b is None else y + reshape(self.b, (self.b.size, *(1,) * axes))


@final
class BatchNorm:
    """`gf.batch_norm` with its parameters and its running statistics, which belong into a checkpoint too.

    Args:
        g: the graph.
        channels: of x.
        name: prefix of the names: `name.scale`, `name.bias`, `name.mean`, `name.variance`.
        momentum, eps: as for `gf.batch_norm`.

    Attributes:
        scale, bias: [channels]; parameters: both.
        mean, variance: the running statistics [channels]; statistics: both.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> layer = gf.nn.BatchNorm(g, 8)
        >>> print(layer(gf.tensor(g, (10, 8, 5, 5))).type, [node.name for node in layer.statistics])
        float32[10, 8, 5, 5] ['batch_norm.mean', 'batch_norm.variance']
    """

    def __init__(
        self,
        g: ExprGraph,
        channels: int,
        *,
        name: str = "batch_norm",
        momentum: float = 0.1,
        eps: float = 1e-5,
        dtype: object = "float32",
    ) -> None:
        self.scale, self.bias, self.mean, self.variance = (
            vector(g, channels, name=f"{name}.{each}", init=ones() if each in {"scale", "variance"} else zeroes(),
                   dtype=dtype)
            for each in ("scale", "bias", "mean", "variance")
        )  # fmt: skip
        self.parameters = (self.scale, self.bias)
        self.statistics = (self.mean, self.variance)
        self._momentum, self._eps = momentum, eps

    def __call__(self, x: Node) -> Node:
        """[batch, channels, ...] -> the same."""
        return batch_norm(
            x, self.scale, self.bias, running_mean=self.mean, running_variance=self.variance, momentum=self._momentum,
            eps=self._eps,
        )  # fmt: skip


@final
class LayerNorm:
    """`gf.layer_norm` along the last axes, with its parameters.

    Args:
        g: the graph.
        shape: the sizes of the axes that are normalised together, a number for the last one.
        name: prefix of the names: `name.scale`, `name.bias`.
        eps: as for `gf.layer_norm`.

    Attributes:
        scale, bias: of that shape; parameters: both.
    """

    def __init__(
        self,
        g: ExprGraph,
        shape: int | tuple[int, ...],
        *,
        name: str = "layer_norm",
        eps: float = 1e-5,
        dtype: object = "float32",
    ) -> None:
        sizes = as_shape(shape)
        self.scale = tensor(g, sizes, name=f"{name}.scale", init=ones(), dtype=dtype)
        self.bias = tensor(g, sizes, name=f"{name}.bias", init=zeroes(), dtype=dtype)
        self.parameters = (self.scale, self.bias)
        self._eps = eps

    def __call__(self, x: Node) -> Node:
        """[..., *shape] -> the same."""
        return layer_norm(x, self.scale, self.bias, axis=range(-self.scale.dims, 0), eps=self._eps)


@final
class GroupNorm:
    """`gf.group_norm` with its parameters.

    Args:
        g: the graph.
        groups, channels: of x.
        name: prefix of the names: `name.scale`, `name.bias`.
        eps: as for `gf.group_norm`.

    Attributes:
        scale, bias: [channels]; parameters: both.
    """

    def __init__(
        self,
        g: ExprGraph,
        groups: int,
        channels: int,
        *,
        name: str = "group_norm",
        eps: float = 1e-5,
        dtype: object = "float32",
    ) -> None:
        self.scale = vector(g, channels, name=f"{name}.scale", init=ones(), dtype=dtype)
        self.bias = vector(g, channels, name=f"{name}.bias", init=zeroes(), dtype=dtype)
        self.parameters = (self.scale, self.bias)
        self._groups, self._eps = groups, eps

    def __call__(self, x: Node) -> Node:
        """[batch, channels, ...] -> the same."""
        return group_norm(x, self._groups, self.scale, self.bias, eps=self._eps)


@final
class Dropout:
    """`gf.dropout` as a layer: elements are set to 0 while training.

    Args:
        probability: of an element to be dropped.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability
        self.parameters: tuple[Node, ...] = ()

    def __call__(self, x: Node) -> Node:
        """Any shape -> the same."""
        return dropout(x, self.probability)


@final
class Sequential:
    """Layers one after the other; any function from a node to a node is one.

    Args:
        layers: applied from left to right.

    Attributes:
        layers: as given.
        parameters: of all layers that have some, each once.
        statistics: the running statistics of all layers that have some.

    Example:
        >>> import graphflow as gf
        >>> g = gf.ExprGraph()
        >>> first, second = gf.nn.Linear(g, 4, 8, name="first"), gf.nn.Linear(g, 8, 2, name="second")
        >>> net = gf.nn.Sequential(first, gf.rectify, second)
        >>> print(net(gf.matrix(g, (5, 4))).type, len(net.parameters))
        float32[5, 2] 4
    """

    def __init__(self, *layers: Callable[[Node], Node]) -> None:
        self.layers = layers
        self.parameters = _nodes_of(layers, "parameters")
        self.statistics = _nodes_of(layers, "statistics")

    def __call__(self, x: Node) -> Node:
        """What comes out of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x


def _nodes_of(layers: Sequence[object], attribute: str) -> tuple[Node, ...]:
    """The nodes that layers name in an attribute, each once, though a layer may stand there twice."""
    found = {node.id: node for layer in layers for node in getattr(layer, attribute, ())}
    return tuple(found.values())
