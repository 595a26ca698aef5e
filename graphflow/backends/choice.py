"""Which backend a machine gets, and why."""

from __future__ import annotations

from typing import final

from graphflow.backends import Backend
from graphflow.backends.reference import ReferenceBackend
from graphflow.errors import OptionError

NO_NATIVE = "this version has no native backend"


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


def choose_backend(wanted: str) -> tuple[Backend, BackendChoice]:
    """The backend meant by auto, numpy or native.

    Raises:
        OptionError: there is no such backend, or it cannot run here.
    """
    if wanted == "native":
        raise OptionError("the native backend cannot be used", got=NO_NATIVE, needs="backend 'auto' or 'numpy'")
    if wanted not in ("auto", "numpy"):
        raise OptionError(f"there is no backend {wanted!r}", needs="'auto', 'numpy' or 'native'")
    reason = "as asked for" if wanted == "numpy" else NO_NATIVE
    return ReferenceBackend(), BackendChoice("numpy", reason)
