"""A backend sees loop forms only: adding an op cannot touch a backend, adding a backend cannot touch an op."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import graphflow.ops  # noqa: F401 - loading it registers every op
from graphflow.op import REGISTRY
from tests.architecture.source import ROOT, imports, module_name, parse, python_files, write_tree


def loop_forms(root: Path) -> set[str]:
    """The classes of loops.py: a backend may name these, also where an op of the same name exists (Gather, Concat)."""
    return {node.name for node in parse(root / "graphflow" / "loops.py").body if isinstance(node, ast.ClassDef)}


def foreign_names(tree: ast.Module) -> set[str]:
    """The names that a file imports from outside graphflow."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] != "graphflow":
            names.update(alias.asname or alias.name for alias in node.names)
    return names - {"graphflow"}


def identifiers(node: ast.AST, foreign: set[str]) -> list[str]:
    """The identifiers a syntax node brings in, without those that belong to other packages (such as ir.Constant)."""
    if isinstance(node, ast.Name):
        names = [node.id]
    elif isinstance(node, ast.Attribute):
        owner = node.value
        while isinstance(owner, ast.Attribute):
            owner = owner.value
        is_foreign = isinstance(owner, ast.Name) and owner.id in foreign
        names = [] if is_foreign else [node.attr]
    elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        names = [node.name]
    elif isinstance(node, ast.arg | ast.keyword):
        names = [node.arg or ""]
    elif isinstance(node, ast.alias):
        names = [node.name, node.asname or ""]
    else:
        names = []
    return [name for name in names if name not in foreign]


def mentions(root: Path, ops: Iterable[str]) -> list[str]:
    """One line for each place under graphflow/backends that imports the ops or names one."""
    ops = set(ops)
    forms = loop_forms(root)
    found = []
    for path in python_files(root, "graphflow/backends"):
        tree = parse(path)
        name = path.relative_to(root).as_posix()
        found.extend(
            f"{name}:{each.line} imports graphflow.ops"
            for each in imports(tree, module_name(path, root), is_package=path.name == "__init__.py")
            if f"{each.module}.{each.name}.".startswith("graphflow.ops.")
        )
        foreign = foreign_names(tree)
        for node in ast.walk(tree):
            words = [word for word in identifiers(node, foreign) if word not in forms]
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.append(node.value)
            found.extend(f"{name}:{getattr(node, 'lineno', 0)} names {word}" for word in words if word in ops)
    return found


def test_the_registry_is_filled_by_loading_the_ops():
    # An op that another test or a user defines stands under its module's name.
    own = {name: op.__name__ for name, op in REGISTRY.items() if op.__module__.startswith("graphflow.")}
    assert own == {name: name for name in own}
    assert len(own) > 20


def test_backends_name_no_op():
    assert python_files(ROOT, "graphflow/backends")
    assert mentions(ROOT, REGISTRY) == []


def test_mentions_are_caught(tmp_path):
    root = write_tree(
        tmp_path,
        {
            "graphflow/loops.py": "class Gather: ...\n",
            "graphflow/backends/good.py": (
                "from llvmlite import ir\nfrom graphflow.loops import Gather\nx = ir.Constant(1)\ny = Gather()\n"
                "'''MatMul is only talked about here.'''\n"
            ),
            "graphflow/backends/bad.py": (
                "from graphflow.ops.linear import MatMul\nfrom .. import ops\ny = ops.Tanh()\n"
                "z = 'MatMul'\nGather = 'Gather'\n"
            ),
        },
    )
    assert sorted(mentions(root, ["MatMul", "Tanh", "Gather", "Constant"])) == [
        "graphflow/backends/bad.py:1 imports graphflow.ops",
        "graphflow/backends/bad.py:1 names MatMul",
        "graphflow/backends/bad.py:2 imports graphflow.ops",
        "graphflow/backends/bad.py:3 names Tanh",
        "graphflow/backends/bad.py:4 names MatMul",
        "graphflow/backends/bad.py:5 names Gather",
    ]
