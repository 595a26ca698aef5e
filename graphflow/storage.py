"""Where the values of inputs live: one C-contiguous array for each, written in place from then on.

The array may be a node's own or its part of a parameter block; as it is written in place, machines may hold it.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import BindingError
from graphflow.node import Node
from graphflow.values import Array


def allocate(node: Node) -> Array:
    """The array that holds the input's value, made of zeros where there is none yet; nothing is bound by this.

    A machine that allocates its inputs when it is compiled need not look again when they are bound later.

    Raises:
        BindingError: there is no memory for it.
    """
    if node.storage is None:
        try:
            node.storage = np.zeros(node.shape, node.dtype)
        except MemoryError:
            raise BindingError(
                f"there is no memory for {node}",
                got=f"{node.type.bytes} bytes",
                needs="a smaller shape",
                where=node.origin,
            ) from None
    return node.storage


def store(node: Node, array: Array) -> None:
    """Write an array of exactly the node's type into its storage; from now on the node has a value."""
    if node.storage is None:
        allocate(node)
        # Machines compiled before looked for storage and found none.
        node.graph.version += 1
    allocate(node)[...] = array
    node.is_bound = True
