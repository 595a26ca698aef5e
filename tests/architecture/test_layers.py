"""Imports point one way: the layer list below is the architecture, and every module is held to it."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

from tests.architecture.source import ROOT, imports, module_name, parse, python_files, write_tree

# A module imports only from lines above, or from further left on its own line; models/ stands below all of them.
LAYERS = (
    "elsewhere origin errors dtypes atomic_file strict_json version",
    "tensortype values streams",
    "scalars loops",
    "op",
    "positions node graph explanation storage blocks",
    "initializers construct binding",
    "ops",
    "autodiff",
    "passes",
    "tape",
    "backends",
    "vm",
    "solvers nn viz json_values checkpoint_document checkpoint parallel testing",
    "command __main__",
)
RANKS = {unit: (line, place) for line, units in enumerate(LAYERS) for place, unit in enumerate(units.split())}


def package_edges(root: Path, *, only_at_load: bool = False) -> dict[str, set[tuple[str, int]]]:
    """For each module of the package: the modules of the package that it imports, with the line of the import."""
    files = {module_name(path, root): path for path in python_files(root, "graphflow")}
    edges: dict[str, set[tuple[str, int]]] = {}
    for module, path in files.items():
        edges[module] = set()
        for found in imports(parse(path), module, is_package=path.name == "__init__.py"):
            if found.module.split(".")[0] != "graphflow" or found.for_types or (only_at_load and not found.at_load):
                continue
            submodule = f"{found.module}.{found.name}"
            edges[module].add((submodule if submodule in files else found.module, found.line))
    return edges


def layer_violations(root: Path) -> list[str]:
    """One line for each import that points the wrong way and each module that is in no layer."""
    found = []
    for module, targets in package_edges(root).items():
        if module == "graphflow":
            continue
        unit = module.split(".")[1]
        if unit not in RANKS:
            found.append(f"{module}: in no layer")
            continue
        for target, line in sorted(targets):
            other = target.partition(".")[2].split(".")[0]
            if not other:
                found.append(f"{module}:{line} imports graphflow itself")
            elif other != unit and (other not in RANKS or RANKS[other] >= RANKS[unit]):
                found.append(f"{module}:{line} imports {target}")
    return found


def public_names(root: Path) -> set[str]:
    """The names in __all__ of the package, read without importing it."""
    for statement in parse(root / "graphflow" / "__init__.py").body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return set(ast.literal_eval(statement.value))
    return set()


def model_violations(root: Path) -> list[str]:
    """One line for each use of the package in models/ that goes past its public names."""
    public = public_names(root)
    found = []
    for path in python_files(root, "models"):
        tree = parse(path)
        module = module_name(path, root)
        for each in imports(tree, module, is_package=False):
            top = each.module.split(".")[0]
            is_private = each.module != "graphflow" or (each.name and each.name not in public)
            if top in {"models", "tests"} or (top == "graphflow" and is_private):
                found.append(f"{module}:{each.line} imports {each.name or 'all'} of {each.module}")
        aliases = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "graphflow"
        }
        found.extend(
            f"{module}:{node.lineno} uses graphflow.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
            and node.attr not in public
        )
    return found


def test_imports_point_one_way():
    assert layer_violations(ROOT) == []


def test_no_import_circles_while_loading():
    graph = {
        module: {target for target, _ in targets}
        for module, targets in package_edges(ROOT, only_at_load=True).items()
        if module != "graphflow"
    }
    assert graph
    order = tuple(graphlib.TopologicalSorter(graph).static_order())  # a circle raises CycleError, which names it
    assert set(graph) <= set(order)


def test_models_use_public_names_only():
    assert model_violations(ROOT) == []


def test_each_unit_stands_once():
    assert len(RANKS) == sum(len(units.split()) for units in LAYERS)


def test_wrong_imports_are_caught(tmp_path):
    root = write_tree(
        tmp_path,
        {
            "graphflow/__init__.py": "from graphflow.ops import linear\n",
            "graphflow/errors.py": "from graphflow import dtypes, origin\n",
            "graphflow/origin.py": "",
            "graphflow/values.py": "import numpy\nfrom graphflow.tensortype import TensorType\nimport graphflow\n",
            "graphflow/tensortype.py": "from .dtypes import Dtype\n",
            "graphflow/dtypes.py": "from graphflow.errors import DTypeError\n",
            "graphflow/op.py": "def late():\n    from graphflow.vm import tape_machine\n",
            "graphflow/node.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import graphflow.vm\n",
            "graphflow/graph.py": "from graphflow.node import Node\n",
            "graphflow/autodiff.py": "import importlib\nvm = importlib.import_module('graphflow.vm.machine')\n",
            "graphflow/ops/__init__.py": "from . import linear\n",
            "graphflow/ops/linear.py": "from ..op import Op\nfrom ..passes.plan import Plan\n",
            "graphflow/passes/plan.py": "",
            "graphflow/vm/tape_machine.py": "from graphflow.ops import linear\n",
            "graphflow/helpers.py": "",
        },
    )
    assert sorted(layer_violations(root)) == [
        "graphflow.autodiff:2 imports graphflow.vm.machine",
        "graphflow.errors:1 imports graphflow.dtypes",
        "graphflow.helpers: in no layer",
        "graphflow.op:2 imports graphflow.vm.tape_machine",
        "graphflow.ops.linear:2 imports graphflow.passes.plan",
        "graphflow.values:3 imports graphflow itself",
    ]


def test_wrong_uses_in_models_are_caught(tmp_path):
    root = write_tree(
        tmp_path,
        {
            "graphflow/__init__.py": "__all__ = ['Node', 'grad']\n",
            "models/good.py": "import graphflow as gf\nimport numpy as np\nimport other\ngf.grad\nnp.abs\n",
            "models/other.py": "from graphflow import Node\n",
            "models/attribute.py": "import graphflow as gf\ngf.vm\n",
            "models/deep.py": "import graphflow.vm\nfrom graphflow.ops import linear\nfrom graphflow import vm\n",
            "models/prefixed.py": "from models.other import Node\n",
        },
    )
    assert sorted(model_violations(root)) == [
        "models.attribute:2 uses graphflow.vm",
        "models.deep:1 imports all of graphflow.vm",
        "models.deep:2 imports linear of graphflow.ops",
        "models.deep:3 imports vm of graphflow",
        "models.prefixed:1 imports Node of models.other",
    ]
