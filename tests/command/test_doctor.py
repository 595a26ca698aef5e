"""doctor: one screen, whatever is absent or broken."""

from __future__ import annotations

import sys

from graphflow.command import doctor
from graphflow.version import VERSION
from tests.command.programs import run, start


def test_it_fits_a_screen(capsys):
    done = run(capsys, "doctor")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:2] == ["graphflow", VERSION]
    assert {"Python", "numpy", "backend", "dot", "MPI", "cores"} <= {line.split()[0] for line in lines}


def test_it_says_what_is_absent(capsys, monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "version", missing)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda *_, **__: None)
    found = {line[:14].strip(): line[14:] for line in run(capsys, "doctor").out.splitlines()}
    assert {found[name] for name in ("llvmlite", "dot", "graphviz", "graphviz-pure", "matplotlib", "onnx")} == {
        "not installed"
    }
    assert found["MPI"] == "mpi4py not installed"
    assert found["features"] == "unknown without llvmlite"
    assert found["backend"].startswith("numpy (llvmlite is not in")


def missing(package):
    raise doctor.importlib.metadata.PackageNotFoundError(package)


def test_it_survives_what_is_broken(capsys, monkeypatch):
    def broken(*_):
        raise OSError("no\nway")

    monkeypatch.setattr(doctor, "choose_backend", broken)
    lines = run(capsys, "doctor").out.splitlines()
    assert "backend       fails: OSError: no␊way" in lines
    assert len(lines) < 24


def test_the_cache_is_named(capsys, monkeypatch, tmp_path):
    def shown():
        return next(line[14:] for line in run(capsys, "doctor").out.splitlines() if line.startswith("code cache"))

    monkeypatch.setenv("GRAPHFLOW_CACHE", "0")
    assert shown() == "off"
    monkeypatch.setenv("GRAPHFLOW_CACHE", "nowhere")
    monkeypatch.chdir(tmp_path)
    assert shown().startswith("not there yet: ")
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "a.object").write_bytes(b"x" * 100_000)
    assert shown().startswith("1 files, 0.1 MB in ")


def test_variables_are_named(capsys, monkeypatch):
    monkeypatch.setenv("GRAPHFLOW_PARANOID", "0")
    assert "GRAPHFLOW_PARANOID=0" in run(capsys, "doctor").out


def test_it_works_where_nothing_optional_can_be_imported(tmp_path):
    for name in ("llvmlite", "graphviz", "matplotlib", "rich", "mpi4py", "onnx"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('broken')\n", encoding="utf-8")
    done = start("doctor", folder=tmp_path)  # the current folder comes first on the path
    assert done.code == 0
    assert done.err == ""
    assert "fails: ImportError: broken" in done.out
    assert sys.executable in done.out
