"""The machine that code is made for, and LLVM's code generation."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import NamedTuple, final

import llvmlite.binding as llvm


class Host(NamedTuple):
    """A processor as LLVM names it.

    Attributes:
        cpu, features: as LLVM spells them.
        vector_bytes: width of its widest vectors: 64 with AVX-512, 32 with AVX2, otherwise 16.
    """

    cpu: str
    features: str
    vector_bytes: int


def this_host() -> Host:
    """The processor that this program runs on."""
    features = llvm.get_host_cpu_features()
    width = 64 if features.get("avx512f") else 32 if features.get("avx2") and features.get("fma") else 16
    return Host(llvm.get_host_cpu_name(), features.flatten(), width)


@final
class MachineCode:
    """Functions in machine code; they live as long as this object.

    Args:
        text: LLVM IR of all functions.
        host: what to generate code for.
    """

    def __init__(self, text: str, host: Host) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple().create_target_machine(cpu=host.cpu, features=host.features, opt=2)
        module = llvm.parse_assembly(text)
        self.object_bytes: bytes = target.emit_object(module)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
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
