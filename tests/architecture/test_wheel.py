"""The wheel holds the package, all of it and nothing else, and can be used as it comes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from tests.architecture.source import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "graphflow").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert packed == {path.relative_to(ROOT).as_posix() for path in files}
    assert {"graphflow/__init__.py", "graphflow/py.typed", "graphflow/viz/page.js"} <= packed


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder into which pip has installed the wheel, far from the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
    ]
    result = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def run_installed(installed, folder, *arguments):
    """Run Python with the installed package, in another folder, warnings as errors; what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-W", "error", *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_the_installed_wheel_can_be_imported(installed, tmp_path):
    printed = run_installed(installed, tmp_path, "-c", "import graphflow; print(graphflow.__file__)")
    assert printed.startswith(str(installed))


def test_the_installed_wheel_draws_a_picture_and_a_page(installed, tmp_path):
    (tmp_path / "program.py").write_text(
        "import graphflow as gf\n"
        "g = gf.ExprGraph('of the wheel')\n"
        "x = gf.vector(g, 3, name='x')\n"
        "gf.grad(gf.sum(gf.tanh(x)), x)\n",
        encoding="utf-8",
    )
    run_installed(installed, tmp_path, "-m", "graphflow", "render", "program.py:g", "-o", "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    program = "import program; print(program.g.to_html('g.html'))"
    assert run_installed(installed, tmp_path, "-c", program) == "g.html\n"
    text = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert "<title>of the wheel</title>" in text
    assert "--paper" in text
    assert "getScreenCTM" in text


def test_the_installed_wheel_has_its_command_line(installed, tmp_path):
    lines = run_installed(installed, tmp_path, "-m", "graphflow", "doctor").splitlines()
    assert lines[0].startswith("graphflow     ")
    assert len(lines) > 10
    assert not any("fails:" in line for line in lines)


def test_the_wheel_names_itself_and_its_two_dependencies(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode("utf-8").splitlines()
    needed = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert "Name: graphflow-engine" in lines
    assert sorted(line.split()[1].split(">")[0] for line in needed) == ["graphviz", "numpy"]
