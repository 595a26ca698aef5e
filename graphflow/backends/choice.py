"""Which backend a machine gets, and why."""

from __future__ import annotations

import importlib.util
import os
from typing import final

from graphflow.backends import Backend
from graphflow.backends.paranoid import ParanoidBackend
from graphflow.backends.reference import ReferenceBackend
from graphflow.errors import OptionError

NO_LLVM = "llvmlite is not installed; pip install 'graphflow-engine[native]' for machine code"


@final
class BackendChoice(str):
    """A backend's name that also says why it was taken: `print(choice)` shows both."""

    __slots__ = ("reason",)

    reason: str

    def __new__(cls, name: str, reason: str) -> BackendChoice:
        choice = super().__new__(cls, name)
        choice.reason = reason
        return choice

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.reason})"


def choose_backend(wanted: str, threads: int | None = None) -> tuple[Backend, BackendChoice]:
    """The backend meant by auto, numpy or native; in paranoid mode where GRAPHFLOW_PARANOID=1 says so.

    Args:
        wanted: its name.
        threads: how many it may use, if it uses any of its own.

    Raises:
        OptionError: there is no such backend, or it cannot run here.
    """
    backend, choice = _found_backend(wanted, threads)
    if os.environ.get("GRAPHFLOW_PARANOID", "0") not in ("", "0"):
        return ParanoidBackend(backend), BackendChoice(backend.name, f"{choice.reason}; paranoid, and slow")
    return backend, choice


def _found_backend(wanted: str, threads: int | None) -> tuple[Backend, BackendChoice]:
    if wanted not in ("auto", "numpy", "native"):
        raise OptionError(f"there is no backend {wanted!r}", needs="'auto', 'numpy' or 'native'")
    has_llvm = importlib.util.find_spec("llvmlite") is not None
    if wanted == "native" and not has_llvm:
        raise OptionError("the native backend cannot be used", got=NO_LLVM, needs="llvmlite, or backend 'numpy'")
    if wanted == "numpy" or not has_llvm:
        return ReferenceBackend(), BackendChoice("numpy", "as asked for" if wanted == "numpy" else NO_LLVM)
    # llvmlite takes longer to import than all of graphflow, so only machines that use it pay for it.
    from graphflow.backends.llvm.native import NativeBackend

    backend = NativeBackend(threads=threads)
    reason = f"{8 * backend.host.vector_bytes}-bit vectors on {backend.host.cpu}"
    return backend, BackendChoice("native", f"as asked for, {reason}" if wanted == "native" else reason)
