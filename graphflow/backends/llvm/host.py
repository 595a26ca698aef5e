"""The machine that code is made for, and LLVM's code generation."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple, final

import llvmlite.binding as llvm

from graphflow.backends.llvm.cache import key_of, load_object, store_object

# Of code generation: 0 takes a third of the time and runs at less than half the speed, 3 gains nothing.
LEVEL = 2


class Host(NamedTuple):
    """A processor as LLVM names it.

    Attributes:
        cpu, features: as LLVM spells them.
        vector_bytes: width of its widest vectors: 64 with AVX-512, 32 with AVX2, otherwise 16.
    """

    cpu: str
    features: str
    vector_bytes: int


@lru_cache(maxsize=1)
def this_host() -> Host:
    """The processor that this program runs on."""
    features = llvm.get_host_cpu_features()
    width = 64 if features.get("avx512f") else 32 if features.get("avx2") and features.get("fma") else 16
    return Host(llvm.get_host_cpu_name(), features.flatten(), width)


def object_of(text: str, host: Host) -> bytes:
    """The object file of an IR text: from the cache on disk, or by code generation."""
    version = ".".join(map(str, llvm.llvm_version_info))
    key = key_of(text, version, llvm.get_process_triple(), host.cpu, host.features, str(LEVEL))
    found = load_object(key)
    if found is None:
        found = generate(text, host)
        store_object(key, found)
    return found


def generate(text: str, host: Host) -> bytes:
    """The object file of an IR text by code generation."""
    content: bytes = _target_machine(host).emit_object(llvm.parse_assembly(text))
    return content


@lru_cache(maxsize=8)
def _target_machine(host: Host) -> llvm.TargetMachine:
    """A code generator; llvmlite lets one thread at a time into it."""
    return _new_target_machine(host)


def _new_target_machine(host: Host) -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=host.cpu, features=host.features, opt=LEVEL)


@final
class MachineCode:
    """Functions in machine code; they live as long as this object.

    Args:
        text: LLVM IR of all functions.
        host: what to generate code for.
    """

    def __init__(self, text: str, host: Host) -> None:
        self.object_bytes = object_of(text, host)
        # An engine takes its target machine with it when it goes, so each gets its own.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_target_machine(host))
        self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(self.object_bytes))
        self._engine.finalize_object()

    def addresses(self, names: Iterable[str]) -> dict[str, int]:
        """Where the functions begin."""
        return {name: self._engine.get_function_address(name) for name in names}


DRIVER = """
define void @drive(ptr %table, i64 %count) {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %end
body:
  %place = getelementptr ptr, ptr %table, i64 %i
  %record = load ptr, ptr %place, align 8
  %function = load ptr, ptr %record, align 8
  call void %function(ptr %record)
  %next = add i64 %i, 1
  br label %head
end:
  ret void
}
"""
DRIVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


@final
class Driver:
    """The loop over records, in machine code of its own: one for all programs of a host."""

    def __init__(self, host: Host) -> None:
        self._code = MachineCode(DRIVER, host)
        self.address = self._code.addresses(["drive"])["drive"]
        self.drive: Callable[[int, int], None] = DRIVE(self.address)


@lru_cache(maxsize=8)
def driver_of(host: Host) -> Driver:
    """The driver of a host."""
    return Driver(host)
