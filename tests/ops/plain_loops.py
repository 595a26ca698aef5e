"""Convolution and pooling by the definition: one element at a time, in Python, without a library."""

from __future__ import annotations

import itertools

import numpy as np


def padded(x, pads, filling=0.0):
    """x with so many elements in front of and behind each of its last axes."""
    return np.pad(x, ((0, 0), (0, 0), *pads), constant_values=filling)


def places(lengths, sizes, strides, dilations):
    """How many windows there are along each axis."""
    return tuple(
        (length - dilation * (size - 1) - 1) // stride + 1
        for length, size, stride, dilation in zip(lengths, sizes, strides, dilations, strict=True)
    )


def window(place, strides, dilations, sizes):
    """The positions that the window at a place reads, with their place in the window."""
    for element in itertools.product(*map(range, sizes)):
        yield (
            element,
            tuple(p * s + e * d for p, s, e, d in zip(place, strides, element, dilations, strict=True)),
        )


def convolution(x, filters, pads, strides, dilations, groups):
    wide = padded(x, pads)
    sizes, per_group = filters.shape[2:], filters.shape[0] // groups
    counts = places(wide.shape[2:], sizes, strides, dilations)
    result = np.zeros((x.shape[0], filters.shape[0], *counts))
    for n, o in itertools.product(range(x.shape[0]), range(filters.shape[0])):
        first = o // per_group * filters.shape[1]
        for place in itertools.product(*map(range, counts)):
            for c in range(filters.shape[1]):
                for element, position in window(place, strides, dilations, sizes):
                    result[(n, o, *place)] += wide[(n, first + c, *position)] * filters[(o, c, *element)]
    return result


def transposed_convolution(x, filters, pads, strides, output_pads, dilations, groups):
    """Each element of x adds the filter, times itself, to the result."""
    sizes, per_group = filters.shape[2:], x.shape[1] // groups
    lengths = [
        (n - 1) * s + d * (k - 1) + 1 + extra
        for n, s, d, k, extra in zip(x.shape[2:], strides, dilations, sizes, output_pads, strict=True)
    ]
    result = np.zeros((x.shape[0], filters.shape[1] * groups, *lengths))
    for n, c in itertools.product(range(x.shape[0]), range(x.shape[1])):
        first = c // per_group * filters.shape[1]
        for place in itertools.product(*map(range, x.shape[2:])):
            for o in range(filters.shape[1]):
                for element, position in window(place, strides, dilations, sizes):
                    result[(n, first + o, *position)] += x[(n, c, *place)] * filters[(c, o, *element)]
    kept = tuple(slice(before, length - after) for (before, after), length in zip(pads, lengths, strict=True))
    return result[(slice(None), slice(None), *kept)]


def pool(fold, x, sizes, pads, strides, dilations, filling):
    """fold(elements of the window, those that are no padding) at each place."""
    wide, inside = padded(x, pads, filling), padded(np.ones_like(x), pads)
    counts = places(wide.shape[2:], sizes, strides, dilations)
    result = np.zeros((*x.shape[:2], *counts))
    for index in np.ndindex(*result.shape):
        positions = [(*index[:2], *position) for _, position in window(index[2:], strides, dilations, sizes)]
        result[index] = fold([wide[p] for p in positions], [wide[p] for p in positions if inside[p]])
    return result
