"""`doctor`: versions, backend, processor, programs that draw: what a bug report needs, on one screen."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from graphflow.backends.choice import choose_backend
from graphflow.backends.cores import available_cores
from graphflow.backends.llvm.cache import SUFFIX, cache_folder
from graphflow.command.contract import SCREEN, Command, flat
from graphflow.errors import GraphflowError
from graphflow.version import VERSION
from graphflow.viz.labels import visible

FEATURES: Final = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "neon", "sve")
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
OWN_VARIABLES: Final = "GRAPHFLOW_"
SECONDS: Final = 10.0
ABSENT: Final = "not installed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> list[str]:
    """One line for each thing. Whatever is absent or broken is said on its line."""
    rows: tuple[tuple[str, Callable[[], str]], ...] = (
        ("graphflow", lambda: f"{VERSION} in {Path(__file__).parents[1]}"),
        ("Python", lambda: f"{platform.python_version()} {platform.python_implementation()} {sys.executable}"),
        ("system", lambda: f"{platform.platform()}"),
        ("processor", processor),
        ("features", features),
        ("cores", cores),
        ("numpy", numpy_and_blas),
        ("llvmlite", lambda: version("llvmlite")),
        ("backend", lambda: str(choose_backend("auto")[1])),
        ("code cache", cache),
        ("dot", lambda: program("dot", "-V")),
        ("graphviz", lambda: version("graphviz")),
        ("graphviz-pure", lambda: version("graphviz-pure")),
        ("matplotlib", lambda: version("matplotlib")),
        ("rich", lambda: version("rich")),
        ("MPI", mpi),
        ("onnx", lambda: version("onnx")),
        ("variables", variables),
    )
    return [visible(f"{name:<14}{answer(look)}", SCREEN) for name, look in rows]


def answer(look: Callable[[], str]) -> str:
    """What a look finds, or what kept it from looking: a doctor survives the patient's illness."""
    try:
        return flat(look())
    except GraphflowError as error:
        return flat(error.headline)
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything at all when it is imported
        return flat(f"fails: {type(error).__name__}: {error}")


def version(package: str) -> str:
    """The installed version of a package; it is not imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or 'unknown'} ({platform.machine()})"


def features() -> str:
    """The vector instructions that machine code may use, as LLVM sees them."""
    if importlib.util.find_spec("llvmlite") is None:
        return "unknown without llvmlite"
    from graphflow.backends.llvm.host import this_host

    host = this_host()
    found = host.features.split(",")
    return f"{' '.join(each for each in FEATURES if f'+{each}' in found)} ({host.cpu} to LLVM)"


def cores() -> str:
    """How many cores there are, and how many this process may use."""
    return f"{available_cores()} usable of {os.cpu_count()}; further threads only for large products"


def numpy_and_blas() -> str:
    """numpy's version, and the library that multiplies its matrices."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{np.__version__} with {blas.get('name')} {blas.get('version')}"


def cache() -> str:
    """Where machine code is kept, and how much."""
    folder = cache_folder()
    if folder is None:
        return "off"
    if not folder.is_dir():
        return f"not there yet: {folder}"
    sizes = [each.stat().st_size for each in folder.glob(f"*{SUFFIX}")]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB in {folder}"


def program(name: str, *arguments: str) -> str:
    """What a program says about its version."""
    found = shutil.which(name)
    if found is None:
        return ABSENT
    done = subprocess.run(  # noqa: S603 - no shell, and every word of the command is ours
        [found, *arguments], capture_output=True, timeout=SECONDS, check=False, text=True, errors="replace"
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    return f"{said[0] if said else 'says nothing'} ({found})"


def mpi() -> str:
    """The packages for several processes, and the program that starts them."""
    if version("mpi4py") == ABSENT:
        return f"mpi4py {ABSENT}"
    start = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    return f"mpi4py {version('mpi4py')}, mpich {version('mpich')}, {start or 'no mpiexec'}"


def variables() -> str:
    """Variables of the environment that change something here."""
    names = [name for name in os.environ if name.startswith(OWN_VARIABLES) or name in THREAD_VARIABLES]
    return " ".join(f"{name}={os.environ[name]}" for name in sorted(names)) or "none"


DOCTOR: Final = Command(
    "doctor",
    "show versions, backend, processor, programs that draw",
    (("", "one screen, to be copied into a bug report"),),
    add_arguments,
    run,
)
