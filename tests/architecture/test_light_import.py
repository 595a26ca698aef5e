"""`import graphflow` loads numpy and itself: what belongs to an extra, or draws, is loaded when first used."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.architecture.source import ROOT

HEAVY = {
    "graphviz",
    "graphviz_pure",
    "hypothesis",
    "IPython",
    "llvmlite",
    "matplotlib",
    "mpi4py",
    "mpich",
    "onnx",
    "pytest",
    "rich",
    "sphinx",
}


def packages_loaded_by(module: str) -> set[str]:
    """The top-level packages in sys.modules of a new interpreter that has imported one module."""
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in json.loads(result.stdout)}


def test_importing_graphflow_loads_nothing_heavy():
    loaded = packages_loaded_by("graphflow")
    assert {"graphflow", "numpy"} <= loaded
    assert sorted(loaded & HEAVY) == []


def test_what_is_loaded_is_seen():
    assert "graphviz" in packages_loaded_by("graphviz")
