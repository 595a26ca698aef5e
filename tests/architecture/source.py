"""What the architecture tests share: finding the source files, and reading them without running them."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("graphflow", "models", "tests")

_LAYOUT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


@dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, the name taken out of it ("" for none), the line, and how it is reached."""

    module: str
    name: str
    line: int
    for_types: bool
    at_load: bool


def python_files(root: Path, *folders: str) -> list[Path]:
    """All Python files of the folders under root that exist, sorted."""
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path, root: Path) -> str:
    """The dotted name a file is imported by: graphflow/ops/__init__.py is graphflow.ops."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[Import]:
    """Every import of a module, those inside functions and those written as import_module("...") included."""
    pending: list[tuple[ast.AST, bool, bool]] = [(tree, False, True)]
    while pending:
        node, for_types, at_load = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, for_types, at_load)
        elif isinstance(node, ast.ImportFrom):
            base = _base_of(node, module, is_package=is_package)
            for alias in node.names:
                yield Import(base, alias.name, node.lineno, for_types, at_load)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield Import(name, "", node.lineno, for_types, at_load)
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            pending.extend((child, True, at_load) for child in node.body)
            pending.extend((child, for_types, at_load) for child in node.orelse)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_load = False
        pending.extend((child, for_types, at_load) for child in ast.iter_child_nodes(node))


def code_lines(text: str) -> set[int]:
    """The numbers of the lines that hold code: neither blank, nor comment, nor docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - _docstring_lines(ast.parse(text))


def docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    """The docstring statements of a module, its classes and its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write a small project for a test that plants a violation; returns its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for statement in docstrings(tree):
        lines.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    return lines


def _base_of(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, node.module] if node.module else parts)


def _imported_by_call(node: ast.Call) -> str:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    first = node.args[0] if node.args else None
    if name in {"import_module", "__import__"} and isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return ""


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
