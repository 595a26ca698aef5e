"""Progress and metrics: what a person and a program see of a run."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest

from progress import Metrics, open_progress
from vocabulary import DataError


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def read_records(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_bytes().splitlines()]


def test_lines_come_at_most_once_in_each_interval():
    stream, clock = io.StringIO(), Clock()
    with open_progress("lines", stream, 4000, clock=clock) as progress:
        for done in range(1, 1201):
            clock.now += 0.01
            progress.update(done, loss=2.5, note="ok")
    assert stream.getvalue().splitlines() == [
        "500 of 4,000 sentences (12%)  100/s  0:35 left  loss 2.5  note ok",
        "1,000 of 4,000 sentences (25%)  100/s  0:30 left  loss 2.5  note ok",
    ]


def test_lines_without_a_total_and_with_work_done_before():
    stream, clock = io.StringIO(), Clock()
    progress = open_progress("lines", stream, unit="windows", done=1000, interval=10, clock=clock)
    with progress:
        clock.now += 10
        progress.update(1200, loss=float("nan"))
        clock.now += 7190
        progress.update(1201)
    assert stream.getvalue() == "1,200 windows  20/s  loss nan\n1,201 windows  0.02792/s\n"


def test_hours_are_shown():
    stream, clock = io.StringIO(), Clock()
    with open_progress("lines", stream, 10_000, clock=clock) as progress:
        clock.now += 10
        progress.update(10)
    assert "2:46:30 left" in stream.getvalue()


def test_an_epoch_is_one_visible_line_without_carriage_returns():
    stream = io.StringIO()
    with open_progress("auto", stream, 10) as progress:
        progress.epoch("epoch 1: \x02to be\x03\r\x1b[2J\n[bold]")
    assert stream.getvalue() == "epoch 1: \u2402to be\u2403\u240d\u241b[2J\u240a[bold]\n"


def test_none_shows_nothing():
    stream, clock = io.StringIO(), Clock()
    with open_progress("none", stream, 10, clock=clock) as progress:
        clock.now += 1e9
        progress.update(5)
        progress.epoch("epoch 1")
        with progress.hidden():
            pass
    assert stream.getvalue() == ""


def test_a_bar_without_a_terminal_becomes_lines_and_says_so():
    stream = io.StringIO()
    with open_progress("bar", stream, 10):
        pass
    assert stream.getvalue() == "progress: no bar, because this is not a terminal\n"


def test_unknown_mode_is_refused():
    with pytest.raises(DataError, match="progress must be one of auto, bar, lines, none, not 'fancy'"):
        open_progress("fancy", io.StringIO())


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns: a function gives what was written to it, the stream is what a program writes to."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    main, side = os.openpty()
    stream = os.fdopen(side, "w", encoding="utf-8")

    def read() -> str:
        stream.close()
        data = b""
        try:
            while chunk := os.read(main, 65536):
                data += chunk
        except OSError:  # Linux ends a terminal whose other side is closed with an error
            pass
        return data.decode("utf-8")

    yield stream, read
    if not stream.closed:
        stream.close()
    os.close(main)


def test_auto_draws_a_bar_on_a_terminal_and_leaves_standard_output_alone(terminal, capsys):
    stream, read = terminal
    clock = Clock()
    with open_progress("auto", stream, 200, clock=clock) as progress:
        clock.now += 1
        progress.update(50, loss=1.25)
        progress.epoch("epoch 1 [bold]not markup[/bold] :smile: \x02")
        with progress.hidden():
            print("a result")
            sys.stdout.flush()
    shown = read()
    assert "50 of 200 sentences (25%)  50/s  0:03 left  loss 1.25" in shown
    assert "━" in shown
    assert "epoch 1 [bold]not markup[/bold] :smile: \u2402" in shown
    assert "a result" not in shown
    assert shown.rstrip().endswith("\x1b[2K")  # the bar is taken away at the end
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 2  # the cursor comes back
    assert capsys.readouterr().out == "a result\n"


def test_an_exception_takes_the_bar_away(terminal):
    stream, read = terminal

    def work() -> None:
        with open_progress("bar", stream, 200) as progress, progress.hidden():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    shown = read()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")
    assert shown.rstrip().endswith("\x1b[2K")


def test_without_rich_there_are_plain_lines(terminal, monkeypatch):
    stream, read = terminal
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with open_progress("auto", stream, 10) as progress:
        progress.epoch("epoch 1")
    with open_progress("bar", stream, 10):
        pass
    assert read() == "epoch 1\r\nprogress: no bar, because rich is not installed\r\n"  # \r\n: the terminal's own


def test_a_dumb_terminal_gets_lines(terminal, monkeypatch):
    stream, read = terminal
    monkeypatch.setenv("TERM", "dumb")
    with open_progress("bar", stream, 10):
        pass
    assert "no bar, because this terminal cannot move its cursor" in read()


def test_a_reader_that_goes_away_does_not_stop_the_work():
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    clock = Clock()
    with open_progress("lines", stream, 100, clock=clock) as progress:
        for done in range(100):
            clock.now += 10
            progress.update(done)
            progress.epoch("epoch")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_closed_stream_does_not_stop_the_work():
    stream, clock = io.StringIO(), Clock()
    with open_progress("lines", stream, 100, clock=clock) as progress:
        progress.epoch("epoch 1")
        stream.close()
        clock.now += 10
        progress.update(5)
        progress.epoch("epoch 2")


def test_a_stream_that_cannot_say_what_it_is_gets_lines():
    class Plain:
        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    stream = Plain()
    with open_progress("auto", stream) as progress:
        progress.epoch("epoch 1")
    assert stream.text == "epoch 1\n"


def test_a_mistake_in_a_figure_is_not_hidden():
    class Bad:
        def __format__(self, specification):
            raise ValueError("no such figure")

    clock = Clock()
    with open_progress("lines", io.StringIO(), clock=clock) as progress:
        clock.now += 10
        with pytest.raises(ValueError, match="no such figure"):
            progress.update(1, loss=Bad())


def test_metrics_are_strict_json_lines_in_the_file_at_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Metrics(path) as metrics:
        metrics.write(epoch=1, nats=2.25, sample='\u2402to be\u2028\x02"', held_out=None, done=True, shape=(2, 3))
        assert path.read_bytes().endswith(b"\n")  # before it is closed
        assert path.read_bytes().isascii()  # U+2028 would break the line for some readers
        metrics.write(a=float("nan"), b=float("-inf"), c=[1.0, float("inf")], d=4)
        metrics.write(x=np.float32(0.5), n=np.int64(3), ok=np.bool_(1), nan=np.float64("nan"), row=np.arange(2))
    assert read_records(path) == [
        {"epoch": 1, "nats": 2.25, "sample": '\u2402to be\u2028\x02"', "held_out": None, "done": True, "shape": [2, 3]},
        {"a": None, "b": None, "c": [1.0, None], "d": 4, "not_finite": ["a", "b", "c[1]"]},
        {"x": 0.5, "n": 3, "ok": True, "nan": None, "row": [0, 1], "not_finite": ["nan"]},
    ]


def test_metrics_begin_anew_or_append(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for append, expected in [(False, [1]), (True, [1, 1]), (False, [1])]:
        with Metrics(path, append=append) as metrics:
            metrics.write(step=1)
        assert [record["step"] for record in read_records(path)] == expected
    with Metrics(tmp_path / "new.jsonl", append=True) as metrics:
        metrics.write(step=2)
    assert read_records(tmp_path / "new.jsonl") == [{"step": 2}]


@pytest.mark.parametrize("whole", ["", '{"step": 1}\n', '{"step": 1}\n' * 20_000])
@pytest.mark.parametrize("torn", ['{"st', '{"sample": "' + "x" * 100_000, '{"step": 2}'])
def test_append_takes_off_a_line_that_a_kill_cut_short(tmp_path, whole, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text(whole + torn, encoding="ascii")
    with Metrics(path, append=True) as metrics:
        metrics.write(step=9)
    assert path.read_text(encoding="ascii") == whole + '{"step": 9}\n'


def test_append_cuts_nothing_off_a_file_that_is_no_metrics(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader", encoding="ascii")
    with pytest.raises(DataError, match="its last line is no JSON object"):
        Metrics(path, append=True)
    assert path.read_text(encoding="ascii") == "Dear reader"


def test_no_file_writes_nothing():
    with Metrics(None) as metrics:
        metrics.write(step=1)
        metrics.close()


@pytest.mark.parametrize("path", ["missing/metrics.jsonl", ".", "a\0b"])
def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="metrics cannot be written to '") as error:
        Metrics(path)
    assert "\n" not in str(error.value)


def test_a_full_disk_is_one_clear_line():
    with Metrics("/dev/full") as metrics, pytest.raises(DataError, match="'/dev/full': No space left on device"):
        metrics.write(step=1)


def test_writing_after_closing_is_refused(tmp_path):
    metrics = Metrics(tmp_path / "metrics.jsonl")
    metrics.close()
    metrics.close()
    with pytest.raises(DataError, match="closed"):
        metrics.write(step=1)


def test_what_json_cannot_say_is_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Metrics(path) as metrics:
        with pytest.raises(DataError, match="weights is a dict"):
            metrics.write(step=1, weights={})
        with pytest.raises(DataError, match='"not_finite" is taken'):
            metrics.write(not_finite=1)
    assert path.read_bytes() == b""
