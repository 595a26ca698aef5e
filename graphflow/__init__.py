"""graphflow: define a graph of expressions once, look at it, differentiate it, run it as often as wanted.

    import graphflow as gf

    g = gf.ExprGraph()
    x = gf.scalar(g, name="x")
    y = x * x
    (dx,) = gf.grad(y, x)
    with gf.TapeMachine(g) as vm:
        gf.let(x, 3.0)
        vm.run_all()
        print(y.value, dx.value)        # 9.0 6.0

The names are Gorgonia's in snake_case; where numpy gives a word another meaning, numpy's wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from graphflow import nn, parallel, viz
from graphflow.autodiff import backpropagate, grad
from graphflow.binding import Reading, let, read, set_, unsafe_let, unsafe_let_all
from graphflow.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphflow.construct import constant, matrix, node_from_any, one_hot, scalar, tensor, vector
from graphflow.dtypes import float32, float64, int64
from graphflow.errors import (
    BindingError,
    CheckpointError,
    DTypeError,
    GradientError,
    GraphError,
    GraphflowError,
    MachineError,
    NumericalError,
    OpContractError,
    OptionError,
    PositionError,
    RenderError,
    ShapeError,
    UnboundError,
    ValueNotKept,
)
from graphflow.graph import ExprGraph, Subgraph, apply
from graphflow.initializers import (
    Initializer,
    chrono,
    gaussian_init,
    glorot_n,
    glorot_u,
    he_n,
    he_u,
    ones,
    orthogonal,
    ranged_from,
    uniform_init,
    values_of,
    zeroes,
)
from graphflow.node import Node
from graphflow.op import NOT_DIFFERENTIABLE, BadSample, Op, Sample
from graphflow.ops.activations import elu, gelu, leaky_rectify, leaky_relu, mish, swish
from graphflow.ops.alignment import ctc_loss
from graphflow.ops.arithmetic import add, hadamard_div, hadamard_prod, neg, pow, reduce_add, reduce_mul, sub
from graphflow.ops.choosing import by_indices
from graphflow.ops.circular import arccos, arcsin, arctan, arctan2, cos, sin, tan
from graphflow.ops.comparisons import eq, gt, gte, logical_and, logical_not, logical_or, logical_xor, lt, lte, ne, where
from graphflow.ops.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d, im2col
from graphflow.ops.diagonals import diag, diag_flat, diagonal, trace
from graphflow.ops.element_losses import binary_xent, binary_xent_with_logits, huber, mse
from graphflow.ops.elementary import (
    abs,
    cast,
    cube,
    erf,
    exp,
    expm1,
    inverse,
    inverse_sqrt,
    log,
    log1p,
    log2,
    rectify,
    sigmoid,
    sign,
    softplus,
    sqrt,
    square,
    tanh,
)
from graphflow.ops.extremes import clip, hard_sigmoid, hard_tanh, max_between, min_between
from graphflow.ops.index_notation import einsum
from graphflow.ops.indexing import gather, scatter_add
from graphflow.ops.joining import concat, stack
from graphflow.ops.linear import batched_matmul, matmul, outer, outer_prod
from graphflow.ops.logarithms import log_add_exp
from graphflow.ops.losses import nll, soft_cross_entropy, softmax_cross_entropy
from graphflow.ops.modes import by_mode
from graphflow.ops.noise import binomial, dropout, gaussian, uniform
from graphflow.ops.normalisation import batch_norm, group_norm, layer_norm
from graphflow.ops.norms import norm
from graphflow.ops.padding import pad
from graphflow.ops.parts import at, flip, split, unconcat
from graphflow.ops.places import argmax, argmin
from graphflow.ops.pooling import average_pool1d, average_pool2d, global_average_pool2d, max_pool1d, max_pool2d
from graphflow.ops.products import prod
from graphflow.ops.reductions import all, any, max, mean, min, sum
from graphflow.ops.repeating import repeat, tile
from graphflow.ops.rounding import ceil, floor, round
from graphflow.ops.running import cumsum
from graphflow.ops.shape import broadcast_to, expand_dims, ravel, reshape, size_of, squeeze, transpose
from graphflow.ops.simplex import sparsemax
from graphflow.ops.slicing import slice_
from graphflow.ops.softmax_family import log_softmax, log_sum_exp, softmax
from graphflow.ops.spread import std, var
from graphflow.ops.tensor_products import dot, tensordot
from graphflow.ops.upsampling import upsample, upsample2d
from graphflow.passes.changes import PassChange, PassChanges
from graphflow.positions import S
from graphflow.solvers import (
    AdaGradSolver,
    AdamSolver,
    AdamWSolver,
    BarzilaiBorweinSolver,
    MomentumSolver,
    RMSPropSolver,
    Solver,
    VanillaSolver,
)
from graphflow.tape.program import Program
from graphflow.version import VERSION
from graphflow.vm import (
    LispMachine,
    NanReport,
    Profile,
    ProfileGroup,
    ProfileRow,
    Survey,
    TapeMachine,
    Trace,
    TraceRow,
    ValueSummary,
    compile_graph,
    function,
    passes_of,
)

__version__ = VERSION

__all__ = [
    "AdaGradSolver",
    "AdamSolver",
    "AdamWSolver",
    "BadSample",
    "BarzilaiBorweinSolver",
    "BindingError",
    "Checkpoint",
    "CheckpointError",
    "DTypeError",
    "ExprGraph",
    "GradientError",
    "GraphError",
    "GraphflowError",
    "Initializer",
    "LispMachine",
    "MachineError",
    "MomentumSolver",
    "NOT_DIFFERENTIABLE",
    "NanReport",
    "Node",
    "NumericalError",
    "Op",
    "OpContractError",
    "OptionError",
    "PassChange",
    "PassChanges",
    "PositionError",
    "Profile",
    "ProfileGroup",
    "ProfileRow",
    "Program",
    "RMSPropSolver",
    "Reading",
    "RenderError",
    "S",
    "Sample",
    "ShapeError",
    "Solver",
    "Subgraph",
    "Survey",
    "TapeMachine",
    "Trace",
    "TraceRow",
    "UnboundError",
    "ValueNotKept",
    "ValueSummary",
    "VanillaSolver",
    "abs",
    "add",
    "all",
    "any",
    "apply",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "argmax",
    "argmin",
    "at",
    "average_pool1d",
    "average_pool2d",
    "backpropagate",
    "batch_norm",
    "batched_matmul",
    "binary_xent",
    "binary_xent_with_logits",
    "binomial",
    "broadcast_to",
    "by_indices",
    "by_mode",
    "cast",
    "ceil",
    "chrono",
    "clip",
    "compile_graph",
    "concat",
    "constant",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cos",
    "ctc_loss",
    "cube",
    "cumsum",
    "diag",
    "diag_flat",
    "diagonal",
    "dot",
    "dropout",
    "einsum",
    "elu",
    "eq",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "flip",
    "float32",
    "float64",
    "floor",
    "function",
    "gather",
    "gaussian",
    "gaussian_init",
    "gelu",
    "global_average_pool2d",
    "glorot_n",
    "glorot_u",
    "grad",
    "group_norm",
    "gt",
    "gte",
    "hadamard_div",
    "hadamard_prod",
    "hard_sigmoid",
    "hard_tanh",
    "he_n",
    "he_u",
    "huber",
    "im2col",
    "int64",
    "inverse",
    "inverse_sqrt",
    "layer_norm",
    "leaky_rectify",
    "leaky_relu",
    "let",
    "load_checkpoint",
    "log",
    "log1p",
    "log2",
    "log_add_exp",
    "log_softmax",
    "log_sum_exp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "lte",
    "matmul",
    "matrix",
    "max",
    "max_between",
    "max_pool1d",
    "max_pool2d",
    "mean",
    "min",
    "min_between",
    "mish",
    "mse",
    "ne",
    "neg",
    "nll",
    "nn",
    "node_from_any",
    "norm",
    "one_hot",
    "ones",
    "orthogonal",
    "outer",
    "outer_prod",
    "pad",
    "parallel",
    "passes_of",
    "pow",
    "prod",
    "ranged_from",
    "ravel",
    "read",
    "rectify",
    "reduce_add",
    "reduce_mul",
    "repeat",
    "reshape",
    "round",
    "save_checkpoint",
    "scalar",
    "scatter_add",
    "set_",
    "sigmoid",
    "sign",
    "sin",
    "size_of",
    "slice_",
    "soft_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "sparsemax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "swish",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "tile",
    "trace",
    "transpose",
    "unconcat",
    "uniform",
    "uniform_init",
    "unsafe_let",
    "unsafe_let_all",
    "upsample",
    "upsample2d",
    "values_of",
    "var",
    "vector",
    "viz",
    "where",
    "zeroes",
]

if not TYPE_CHECKING:  # type checkers know that there are no other names

    def __getattr__(name: str) -> NoReturn:
        """Whoever looks for a name of torch's or Gorgonia's is told ours."""
        from graphflow.elsewhere import suggestion

        meant = None if name.startswith("_") else suggestion(name, {each: globals()[each] for each in __all__})
        hint = f"; try gf.{meant}" if meant else ""
        raise AttributeError(f"graphflow has no {name!r}{hint}", name=name)
