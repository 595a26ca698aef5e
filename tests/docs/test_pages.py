"""Every python block of README.md and docs/*.md runs, and prints what the page shows."""

from __future__ import annotations

import pytest

from tests.docs.pages import Block, aligned, blocks, differences, examples, pages, run_page, with_outputs

PAGES = [page for page in pages() if examples(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_page_prints_what_it_shows(page, tmp_path):
    shown = examples(page.read_text(encoding="utf-8"))
    printed = run_page(page, tmp_path)
    for (block, output), found in zip(shown, printed, strict=True):
        wrong = differences(output.text if output else "", found)
        assert not wrong, "\n".join([f"{page.name}, the block that begins", *block.text.splitlines()[:3], "", *wrong])


def test_the_pages_with_programs_are_found():
    names = {page.stem for page in PAGES}
    assert {"README", "index", "quickstart", "gorgonia", "how-it-works", "adding-an-op", "checkpoints"} <= names


PAGE = """Some words.

```python
print(1 / 3, "in a.py:7")
```

```text
0.333 in a.py:8
```

```python
x = 1
```

And an aside:

```text
not an output
```
"""


def test_a_block_is_followed_by_what_it_prints():
    (first, output), (second, nothing) = examples(PAGE)
    assert first.text == 'print(1 / 3, "in a.py:7")\n'
    assert output is not None
    assert output.text == "0.333 in a.py:8\n"
    assert second.text == "x = 1\n"
    assert nothing is None
    assert [block.language for block in blocks(PAGE)] == ["python", "text", "python", "text"]


def test_outputs_are_written_into_the_page():
    found = with_outputs(PAGE, ["0.33333 in a.py:7\n", "new\n"])
    assert found == PAGE.replace("0.333 in a.py:8", "0.33333 in a.py:7").replace(
        "x = 1\n```\n", "x = 1\n```\n\n```text\nnew\n```\n"
    )
    assert with_outputs(found, ["0.33333 in a.py:7\n", "new\n"]) == found


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("x 0.5000 at a.py:3", "x 0.5001 at a.py:99"),
        ("[ 0.25 -0.75]", "[0.25  -0.75]"),
        ("1e-08", "1.0e-08"),
        ("a\n...\nz", "a\nb\nc\nz"),
        ("...", "anything\nat all"),
        ("a\n...", "a"),
    ],
)
def test_alike(shown, printed):
    assert differences(shown, printed) == []


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("x 0.5", "x 0.6"),
        ("x 0.5", "y 0.5"),
        ("%3", "%4"),
        ("", "printed but not shown"),
        ("shown but not printed", ""),
        ("a\n...\nz", "a\nb"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("at a.py:3", "at b.py:3"),
    ],
)
def test_not_alike(shown, printed):
    assert differences(shown, printed)


def test_shown_lines_are_refreshed_around_the_dots():
    assert aligned("a.py:1\n...\nz.py:1", "a.py:5\nb\nz.py:9") == (["a.py:5", "...", "z.py:9"], [])


def test_an_exception_on_a_page_is_reported_at_its_line(tmp_path):
    page = tmp_path / "wrong.md"
    page.write_text("```python\nx = 1\n```\n\n```python\ny = x / 0\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"wrong.py\", line 3(.|\n)*ZeroDivisionError"):
        run_page(page, tmp_path)


def test_a_warning_on_a_page_is_an_error(tmp_path):
    page = tmp_path / "warned.md"
    page.write_text('```python\nimport warnings\nwarnings.warn("old", stacklevel=1)\n```\n', encoding="utf-8")
    with pytest.raises(AssertionError, match="UserWarning: old"):
        run_page(page, tmp_path)


def test_blocks_share_their_names_and_know_where_they_are():
    page = "```python\nx = 1\n```\n```python\nprint(x)\n```\n"
    (first, _), (second, _) = examples(page)
    assert first == Block("python", "x = 1\n", 0, page.index("```\n") + 3)
    assert page[second.start : second.end] == "```python\nprint(x)\n```"
