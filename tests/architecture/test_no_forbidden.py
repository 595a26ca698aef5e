"""What must not be in the source: data run as code, shared generators, unfinished work, paths of one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import FOLDERS, ROOT, imports, module_name, parse, python_files, write_tree

CODE_FROM_DATA = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
RUNNING_CALLS = {"eval", "exec"}
NUMPY_GENERATORS = {"BitGenerator", "Generator", "MT19937", "PCG64", "Philox", "SFC64", "SeedSequence", "default_rng"}
PYTHON_GENERATORS = {"Random", "SystemRandom"}
NOT_RUN = {"importorskip", "skip", "skipif", "xfail"}
DOES_NOT_RUN = "a test that does not run"
# What pip cannot install: a browser. .ci/run installs it, and where there is none these tests say so.
MAY_SKIP = {"tests/viz/test_page_in_browser.py"}

TEXTS = ("*.css", "*.html", "*.js", "*.json", "*.md", "*.py", "*.rst", "*.toml", "*.txt", "*.yml", ".gitignore", "run")
TEXT_FOLDERS = (".ci", "docs", *FOLDERS)
# Written in pieces so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:(?:home|Users|root|work)/\w+|tmp/ven[v]\b)|[A-Z]:\\+Users\\+\w+")


def text_files(root: Path) -> list[Path]:
    """The files at the root and in the project's folders that people write as text."""
    found = {path for pattern in TEXTS for path in root.glob(pattern)}
    found.update(path for folder in TEXT_FOLDERS for pattern in TEXTS for path in (root / folder).rglob(pattern))
    return sorted(path for path in found if path.is_file() and "_build" not in path.parts)


def forbidden_text(root: Path) -> list[str]:
    """One line for each mark of unfinished work and each path of one machine."""
    return [
        f"{path.relative_to(root).as_posix()}:{number} {match.group()}"
        for path in text_files(root)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for pattern in (UNFINISHED, MACHINE_PATH)
        for match in pattern.finditer(line)
    ]


def dotted(node: ast.expr) -> str:
    """The dotted name an expression spells, "" for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def imported_as(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: np -> numpy, default_rng -> numpy.random.default_rng."""
    meanings = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                meanings[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            meanings.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return meanings


def fault_of(name: str, *, is_unseeded_call: bool) -> str:
    """What is wrong with using this name ("" if nothing), name being spelt in full: numpy.random.seed."""
    owner, _, last = name.rpartition(".")
    if owner == "random" and last not in PYTHON_GENERATORS:
        return f"{name}: the generator everyone shares"
    if owner == "numpy.random" and last not in NUMPY_GENERATORS:
        return f"{name}: the generator everyone shares"
    if is_unseeded_call and name in {"numpy.random.default_rng", "random.Random"}:
        return f"{name}(): no seed"
    if name in RUNNING_CALLS or (owner == "builtins" and last in RUNNING_CALLS):
        return f"{name}: runs data as code"
    if owner in {"pytest", "pytest.mark"} and last in NOT_RUN:
        return f"{name}: {DOES_NOT_RUN}"
    return ""


def forbidden_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and fault of each name that has no place here."""
    meanings = imported_as(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    unseeded = {id(call.func) for call in calls if not call.args and not call.keywords}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield node.value.lineno, "allow_pickle: runs data as code"
        elif isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = dotted(node).partition(".")
            owner = meanings.get(first, "" if dot else first)  # a dotted name of something local says nothing
            fault = fault_of(owner + dot + rest, is_unseeded_call=id(node) in unseeded)
            if fault:
                yield node.lineno, fault


def forbidden_code(root: Path) -> list[str]:
    """One line for each import or call that has no place here."""
    found = []
    for path in python_files(root, *FOLDERS):
        tree = parse(path)
        name = path.relative_to(root).as_posix()
        found.extend(
            f"{name}:{each.line} {each.module}: runs data as code"
            for each in imports(tree, module_name(path, root), is_package=path.name == "__init__.py")
            if each.module.split(".")[0] in CODE_FROM_DATA
        )
        found.extend(
            f"{name}:{line} {fault}"
            for line, fault in forbidden_names(tree)
            if name not in MAY_SKIP or not fault.endswith(DOES_NOT_RUN)
        )
    return found


def test_no_forbidden_code():
    assert forbidden_code(ROOT) == []


def test_no_unfinished_work_and_no_machine_paths():
    assert forbidden_text(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "np.load(file, allow_pickle=True)",
        "y = eval(text)",
        "exec(text)",
        "import builtins; builtins.exec(text)",
        "import random; random.shuffle(items)",
        "from random import choice; choice(items)",
        "import random; random.Random()",
        "np.random.seed(3)",
        "np.random.normal()",
        "from numpy.random import rand; rand()",
        "np.random.default_rng()",
        "from numpy.random import default_rng; default_rng()",
        "import pytest; pytest.skip('later')",
        "import pytest\n@pytest.mark.xfail\ndef test(): ...",
    ],
)
def test_forbidden_code_is_caught(tmp_path, line):
    root = write_tree(tmp_path, {"models/a.py": f"import numpy as np\n{line}\n"})
    assert len(forbidden_code(root)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "rng = np.random.default_rng(3)",
        "def f(rng: np.random.Generator): return rng.normal()",
        "import random; generator = random.Random(3); generator.shuffle(items)",
        "model.eval()",
        "re.compile('x')",
        "def draw(random): return random.normal()",
        "import pytest\n@pytest.mark.parametrize('x', [1])\ndef test(x): ...",
    ],
)
def test_innocent_code_passes(tmp_path, line):
    root = write_tree(tmp_path, {"models/a.py": f"import numpy as np\n{line}\n"})
    assert forbidden_code(root) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("# TO" + "DO later", 1),
        ("FIX" + "ME", 1),
        ("see /home" + "/someone/notes", 1),
        ("cd /wo" + "rk/main", 1),
        ("run /tmp/" + "venv/bin/python", 1),
        ("C:\\Use" + "rs\\someone", 1),
        ("see https://example.org/home/page and docs/wo" + "rk/notes and ~/data", 0),
        ("TO" + "DOS", 0),
    ],
)
def test_forbidden_text_is_caught(tmp_path, line, count):
    root = write_tree(tmp_path, {"docs/a.md": line, "docs/_build/b.md": "TO" + "DO"})
    assert len(forbidden_text(root)) == count
