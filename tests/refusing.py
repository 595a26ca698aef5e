"""What a refusal looks like: the right error, a message with the user's line, and nothing changed."""

from __future__ import annotations

import re

import pytest

from graphflow.errors import GraphflowError


def cells(graph):
    """Everything in the graph's position table."""
    return graph.positions.read(0, graph.positions.count)


def picture(graph):
    """Everything that a refusal must leave alone."""
    values = tuple(
        (node.is_bound, None if node.storage is None else node.storage.tobytes()) for node in graph if node.op is None
    )
    overrides = {number: array.tobytes() for number, array in graph.overrides.items()}
    registered = tuple(graph.reads), {number: source.id for number, (_, source) in graph.assignments.items()}
    drawn = graph.generator.bit_generator.state
    return len(graph), graph.version, cells(graph), values, overrides, registered, drawn


def refused(graph, error, act, *texts):
    """Check that the act is refused with this error and these texts, and leaves the graph as it was."""
    before = picture(graph)
    with pytest.raises(error) as caught:
        act()
    assert isinstance(caught.value, GraphflowError)
    message = str(caught.value)
    assert re.search(r"\n  line    test_\w+\.py:\d+$", message), message
    for text in texts:
        assert text in message
    assert picture(graph) == before
