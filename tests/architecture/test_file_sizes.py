"""Files and functions stay small enough to be read in one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.source import FOLDERS, ROOT, code_lines, parse, python_files, write_tree

FILE_LIMIT = 400
FUNCTION_LIMIT = 60


def too_long(root: Path) -> list[str]:
    """One line for each file and each function of too many lines; blank ones, comments and docstrings are free."""
    found = []
    for path in python_files(root, *FOLDERS):
        name = path.relative_to(root).as_posix()
        lines = code_lines(path.read_text(encoding="utf-8"))
        if len(lines) > FILE_LIMIT:
            found.append(f"{name}: {len(lines)} code lines, {FILE_LIMIT} at most")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = len(lines.intersection(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
                if size > FUNCTION_LIMIT:
                    found.append(f"{name}:{node.lineno} {node.name}: {size} code lines, {FUNCTION_LIMIT} at most")
    return found


def test_files_and_functions_are_small():
    assert too_long(ROOT) == []


def test_only_code_counts(tmp_path):
    text = '"""Two lines\nof docstring."""\n\n# a comment\nx = """kept\n\ntext"""\n'
    text += 'def f():\n    "One line."\n    return (\n        x\n    )\n'
    assert sorted(code_lines(text)) == [5, 6, 7, 8, 10, 11, 12]
    root = write_tree(tmp_path, {"graphflow/a.py": "# comment\n\n" * 500 + "x = 1\n" * FILE_LIMIT})
    assert too_long(root) == []


def test_long_ones_are_caught(tmp_path):
    body = "    x = 1\n"
    fits = f'def fits():\n    """Doc."""\n{body * (FUNCTION_LIMIT - 1)}\n'
    is_long = f"def is_long():\n{body * FUNCTION_LIMIT}"
    root = write_tree(
        tmp_path,
        {
            "graphflow/a.py": "x = 1\n" * (FILE_LIMIT + 1),
            "models/b.py": f"{fits}\n{is_long}",
        },
    )
    assert too_long(root) == [
        "graphflow/a.py: 401 code lines, 400 at most",
        "models/b.py:64 is_long: 61 code lines, 60 at most",
    ]
