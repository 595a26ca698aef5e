"""This processor as one of narrower vectors, for tests that run the same kernels at every width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from graphflow.backends.llvm import native
from graphflow.backends.llvm.host import Host, this_host

WIDTHS = (64, 32, 16)


def host_of_width(width: int) -> Host:
    """This processor, as one whose widest vectors have that many bytes.

    Wider vectors than it has are legal too: code generation takes them apart.
    """
    here = this_host()
    if width == 64:
        return here._replace(vector_bytes=64)
    if width == 32:
        features = [each for each in here.features.split(",") if not each.startswith("+avx512")]
        gone = [each.replace("+", "-") for each in here.features.split(",") if each.startswith("+avx512")]
        return Host(here.cpu, ",".join([*features, *gone]), 32)
    return Host("", "", 16)


@contextmanager
def kernels_of_width(width: int) -> Iterator[None]:
    """Within this block the native backend makes code for that width, and may leave nothing to numpy."""
    wanted, write = host_of_width(width), native.write_kernel

    def written(instruction, name, vector_bytes):
        found = write(instruction, name, vector_bytes)
        assert found is not None, f"left to numpy: {instruction}"
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "this_host", lambda: wanted)
        patch.setattr(native, "write_kernel", written)
        yield
