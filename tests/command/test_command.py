"""The command line as a whole: help, mistakes, exit codes."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from graphflow import command
from graphflow.command import COMMANDS
from graphflow.command.contract import cut, table
from graphflow.version import VERSION
from tests.architecture.source import ROOT
from tests.command.programs import is_one_line, run, start

NAMES = [each.name for each in COMMANDS]


def test_help_shows_each_command_with_an_example(capsys):
    done = run(capsys, "--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"graphflow {each.name} {each.examples[0][0]}".rstrip() in done.out for each in COMMANDS)
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_with_examples(capsys, name):
    done = run(capsys, name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"examples:\n  # {COMMANDS[NAMES.index(name)].examples[0][1]}" in done.out


def test_the_version_is_said(capsys):
    assert run(capsys, "--version").out == f"graphflow {VERSION}\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("draw",),
        ("render",),
        ("inspect",),
        ("inspect", "a", "b"),
        ("doctor", "--fast"),
        ("render", "a.py", "--lim", "3"),
    ],
)
def test_a_wrong_word_is_one_line_and_code_2(capsys, words):
    done = run(capsys, *words)
    assert (done.code, done.out) == (2, "")
    assert is_one_line(done.err)
    assert "--help" in done.err


def test_it_runs_as_a_module(tmp_path):
    assert start("--version", folder=tmp_path) == (0, f"graphflow {VERSION}\n", "")
    done = start("inspect", "nothing.json", folder=tmp_path)
    assert done.code == 2
    assert is_one_line(done.err)


def test_ctrl_c_ends_without_a_traceback(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write", interrupted)
    assert run(capsys, "doctor") == (130, "", "")


def test_a_reader_that_has_enough_is_no_mistake(tmp_path):
    command = [sys.executable, "-m", "graphflow", "ops"]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=settings, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == b""


def test_a_terminal_without_a_character_gets_another(monkeypatch):
    class Ascii(io.StringIO):
        encoding = "ascii"

    screen = Ascii()
    monkeypatch.setattr(sys, "stdout", screen)
    command.write(["∂w"])
    assert screen.getvalue() == "?w\n"


def test_tables():
    assert table([("a", "b"), ("long", "2")], numbers=[1]) == ["a     b", "long  2"]
    assert table([("abc", "def")], 6) == ["abc  …"]
    assert cut("12345", 5) == "12345"
