"""The pages of the documentation as programs: their python blocks are run in order, as a reader would copy them.

    python -m tests.docs.pages run docs/quickstart.md       prints what each block prints, as JSON
    python -m tests.docs.pages write docs/quickstart.md     runs the page and puts the outputs into it
    python -m tests.docs.pages draw docs/quickstart.md      runs the page and puts its pictures into docs/pictures

A `text` block right behind a python block is what that block prints; a line of three dots in it stands for any lines.
"""

from __future__ import annotations

import code
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?|-?\d+e[-+]?\d+")
PLACE = re.compile(r"\b(\w+\.py):\d+")
ANY_LINES = "..."
# In place of dot, so that pages run where it is not installed: a picture whose only text is what dot would be given.
WRITES_ITS_INPUT = """#!/bin/sh
printf '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><text><![CDATA['
cat
printf ']]></text></svg>'
"""


class Block(NamedTuple):
    """A fenced block: its language, its text, where it begins and ends in the page."""

    language: str
    text: str
    start: int
    end: int


def pages() -> list[Path]:
    """README.md and the pages of docs/, which hold programs; what docs/_build holds was made from them."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [Block(found[1], found[2], found.start(), found.end()) for found in FENCE.finditer(text)]


def examples(text: str) -> list[tuple[Block, Block | None]]:
    """The python blocks of a page, each with the block that shows its output."""
    found = blocks(text)
    result = []
    for block, after in zip_longest(found, found[1:]):
        if block.language == "python":
            is_output = after is not None and after.language == "text" and not text[block.end : after.start].strip()
            result.append((block, after if is_output else None))
    return result


class Reader(code.InteractiveInterpreter):
    """Runs one block after the other in one namespace, as a program that has the page's name."""

    def showtraceback(self) -> None:
        """End at the first exception: a page shows those that belong to it."""
        raise  # noqa: PLE0704 - the interpreter calls this while it handles an exception

    def outputs(self, page: str, parts: Sequence[str]) -> list[str]:
        """What each block prints; lines are counted as in a file that holds all blocks, a blank line between two."""
        printed = []
        begun = 0
        for part in parts:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                self.runcode(compile("\n" * begun + part, f"{page}.py", "exec"))
            printed.append(output.getvalue())
            begun += part.count("\n") + 1
        return printed


def run_page(path: Path, folder: Path, *, is_drawing: bool = False) -> list[str]:
    """Run a page in a process and a folder of its own; what each of its python blocks prints.

    Args:
        path: of the page.
        folder: where it runs, and leaves its files.
        is_drawing: whether Graphviz is used; otherwise what it would be given stands in the pictures.

    Raises:
        AssertionError: an exception or a warning ended it.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if not is_drawing:
        programs = folder / "programs"
        programs.mkdir()
        (programs / "dot").write_text(WRITES_ITS_INPUT, encoding="utf-8")
        (programs / "dot").chmod(0o755)
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-W", "error", "-m", "tests.docs.pages", "run", str(path)]
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: list[str] = json.loads(done.stdout)
    return result


def differences(shown: str, printed: str) -> list[str]:
    """The first lines that differ; fractions may differ in their last digits, line numbers after an edit."""
    return aligned(shown, printed)[1]


def aligned(shown: str, printed: str) -> tuple[list[str], list[str]]:
    """The shown lines as they are printed now, and what differs."""
    pattern, found = shown.splitlines(), printed.splitlines()
    lines: list[str] = []
    place = 0
    for line, following in zip_longest(pattern, pattern[1:]):
        if line == ANY_LINES:
            while place < len(found) and (following is None or not are_alike(following, found[place])):
                place += 1
            lines.append(line)
        elif place < len(found) and are_alike(line, found[place]):
            lines.append(found[place])
            place += 1
        else:
            return lines, [f"shown    {line}", f"printed  {found[place] if place < len(found) else 'nothing more'}"]
    return lines, [f"printed  {line}, which is not shown" for line in found[place:]]


def are_alike(shown: str, printed: str) -> bool:
    """Whether two lines say the same; where numpy puts blanks depends on the digits of the numbers beside them."""
    shown, printed = (
        " ".join(PLACE.sub(r"\1:0", line).replace("[", "[ ").replace("]", " ]").split()) for line in (shown, printed)
    )
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(abs(float(one) - float(other)) <= 2e-3 * max(abs(float(one)), 1e-3) for one, other in pairs)


def with_outputs(text: str, outputs: Sequence[str]) -> str:
    """The page with what its blocks print; outputs that are shortened by dots stay so as long as they are right."""
    for (block, shown), output in reversed(list(zip(examples(text), outputs, strict=True))):
        lines, wrong = aligned(shown.text if shown else "", output)
        if shown and wrong:
            lines = output.splitlines()
        if shown:
            text = text[: shown.start] + text_block(lines) + text[shown.end :]
        elif output:
            text = text[: block.end] + "\n\n" + text_block(output.splitlines()) + text[block.end :]
    return text


def text_block(lines: Sequence[str]) -> str:
    return "\n".join(["```text", *lines, "```"])


def main(command: str, name: str) -> None:
    path = Path(name).resolve()
    text = path.read_text(encoding="utf-8")
    parts = [block.text for block, _ in examples(text)]
    if command == "run":
        print(json.dumps(Reader({"__name__": "__main__"}).outputs(path.stem.lower(), parts)))
        return
    with tempfile.TemporaryDirectory() as folder:
        outputs = run_page(path, Path(folder), is_drawing=command == "draw")
        if command == "write":
            path.write_text(with_outputs(text, outputs), encoding="utf-8")
        elif command == "draw":
            for picture in Path(folder).glob("*.svg"):
                shutil.copyfile(picture, PICTURES / picture.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
