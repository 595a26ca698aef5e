"""Every test of the machines that asks for a backend runs on each that is there."""

from __future__ import annotations

import pytest

from graphflow.testing.agreement import available_backends


@pytest.fixture(params=available_backends())
def backend(request):
    return request.param
