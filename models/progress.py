"""What a training run tells while it works: progress on standard error, figures as JSON Lines in a file.

On a terminal there is a bar (drawn by rich, where that is installed); anywhere else there are plain lines without
carriage returns, so that a log file stays readable. A progress display never stops the work: when its stream is
closed, it falls silent.
"""

from __future__ import annotations

import json
import math
import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self, TextIO, get_args

from vocabulary import DataError, make_visible

Mode = Literal["auto", "bar", "lines", "none"]
MODES: tuple[Mode, ...] = get_args(Mode)
Figure = float | int | str
Json = None | bool | int | float | str | list["Json"]

BAR_INTERVAL = 0.1  # seconds between two drawings of the bar
LINE_INTERVAL = 5.0  # seconds between two plain lines
_BLOCK = 1 << 16


class Progress(ABC):
    """A display of how far the work has come; made by `open_progress`, used in a `with` statement."""

    def __init__(
        self, stream: TextIO, total: int | None, unit: str, done: int, interval: float, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._total = total
        self._unit = unit
        self._first = done
        self._interval = interval
        self._clock = clock
        self._began = clock()
        self._next = self._began + interval
        self._is_open = False
        self._is_silent = False

    def update(self, done: int, **figures: Figure) -> None:
        """Say how much is done in all, and figures such as `loss=2.31`; shown at most once in each interval.

        Cheap enough to be called for every sentence: most calls only look at the clock.
        """
        now = self._clock()
        if now >= self._next and not self._is_silent:
            self._next = now + self._interval
            with self._falling_silent():
                self._show(done, figures, now - self._began)

    def epoch(self, line: str) -> None:
        """Write a line that stays, such as the figures of an epoch or a sample."""
        if not self._is_silent:
            with self._falling_silent():
                self._write(make_visible(line))

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away while something else is printed on the same terminal."""
        with self._falling_silent():
            self._hide()
        try:
            yield
        finally:
            if self._is_open:
                with self._falling_silent():
                    self._unhide()

    def __enter__(self) -> Self:
        self._is_open = True
        with self._falling_silent():
            self._unhide()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        with self._falling_silent():
            self._hide()

    @contextmanager
    def _falling_silent(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # the reader of a pipe has gone, the disk of a log is full
            self._is_silent = True
        except ValueError:  # what a closed stream raises
            if not getattr(self._stream, "closed", False):
                raise
            self._is_silent = True

    def _describe(self, done: int, figures: Mapping[str, Figure], seconds: float) -> str:
        rate = (done - self._first) / seconds if seconds > 0 else 0.0
        parts = [f"{done:,} {self._unit}"]
        if self._total:
            parts = [f"{done:,} of {self._total:,} {self._unit} ({min(done / self._total, 1):.0%})"]
        if rate:
            parts.append(f"{rate:.4g}/s")
        if rate and self._total and done < self._total:
            parts.append(f"{_format_seconds((self._total - done) / rate)} left")
        for name, value in figures.items():
            parts.append(f"{name} {value if isinstance(value, str) else f'{value:.4g}'}")
        return "  ".join(parts)

    @abstractmethod
    def _show(self, done: int, figures: Mapping[str, Figure], seconds: float) -> None: ...

    @abstractmethod
    def _write(self, line: str) -> None: ...

    @abstractmethod
    def _hide(self) -> None: ...

    @abstractmethod
    def _unhide(self) -> None: ...


class _Silence(Progress):
    """Shows nothing."""

    def _show(self, done: int, figures: Mapping[str, Figure], seconds: float) -> None:
        pass

    def _write(self, line: str) -> None:
        pass

    def _hide(self) -> None:
        pass

    def _unhide(self) -> None:
        pass


class _Lines(Progress):
    """Plain lines, one in each interval."""

    def _show(self, done: int, figures: Mapping[str, Figure], seconds: float) -> None:
        self._write(self._describe(done, figures, seconds))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _hide(self) -> None:
        pass

    def _unhide(self) -> None:
        pass


class _Bar(Progress):
    """One line that is redrawn in place. No thread draws it: it moves when the work says how far it is."""

    def __init__(
        self, stream: TextIO, total: int | None, unit: str, done: int, interval: float, clock: Callable[[], float]
    ) -> None:
        super().__init__(stream, total, unit, done, interval, clock)
        from rich import progress
        from rich.console import Console
        from rich.table import Column

        columns = (
            progress.BarColumn(bar_width=None),  # what the text leaves of the line
            progress.TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        )
        # Standard output is left alone: results that go into a file must not be moved to the terminal.
        self._rich = progress.Progress(
            *columns,
            console=Console(file=stream),
            auto_refresh=False,
            expand=True,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._rich.add_task(self._describe(done, {}, 0), total=total, completed=done)

    def _show(self, done: int, figures: Mapping[str, Figure], seconds: float) -> None:
        text = self._describe(done, figures, seconds)
        self._rich.update(self._task, completed=done, description=text, refresh=True)

    def _write(self, line: str) -> None:
        self._rich.console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def _hide(self) -> None:
        self._rich.stop()

    def _unhide(self) -> None:
        self._rich.start()


def open_progress(
    mode: Mode,
    stream: TextIO,
    total: int | None = None,
    *,
    unit: str = "sentences",
    done: int = 0,
    interval: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Open a progress display.

    Args:
        mode: `bar`, `lines`, `none`, or `auto`: a bar on a terminal, lines elsewhere. Where a bar was asked for and
            cannot be drawn (no terminal, rich not installed), lines come instead and the first one says why.
        stream: where it is shown: standard error.
        total: how much work there is in all; None when that is not known.
        unit: what is counted.
        done: how much was done before, by the run that is resumed; it does not count for the speed.
        interval: seconds between two showings (a bar: 0.1, lines: 5).
        clock: gives seconds; another one is for tests.
    Example:
        >>> import sys
        >>> with open_progress("lines", sys.stdout, 200, interval=0) as progress:
        ...     progress.epoch("epoch 1: 2.31 nats per character")
        epoch 1: 2.31 nats per character
    """
    if mode not in MODES:
        raise DataError(f"progress must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "none":
        return _Silence(stream, total, unit, done, math.inf, clock)
    reason = "" if mode == "lines" else _why_no_bar(stream)
    if mode != "lines" and not reason:
        return _Bar(stream, total, unit, done, BAR_INTERVAL if interval is None else interval, clock)
    lines = _Lines(stream, total, unit, done, LINE_INTERVAL if interval is None else interval, clock)
    if mode == "bar":
        lines.epoch(f"progress: no bar, because {reason}")
    return lines


def _why_no_bar(stream: TextIO) -> str:
    try:
        if not stream.isatty():
            return "this is not a terminal"
    except (AttributeError, ValueError):  # no such method, or closed
        return "this is not a terminal"
    if os.environ.get("TERM", "") in ("dumb", "unknown"):
        return "this terminal cannot move its cursor (TERM)"
    try:
        import rich.progress  # noqa: F401 - only whether it is there
    except ImportError:
        return "rich is not installed"
    return ""


def _format_seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Metrics:
    r"""Figures for programs: JSON Lines, one strict JSON object to a line, in the file as soon as it is written.

    NaN and the infinities, which JSON has no word for, are written as null, and "not_finite" lists their names.

    Args:
        path: the file; None writes nothing.
        append: go on with the file of the run that is resumed; a last line that a kill cut short is taken off.
    Raises:
        DataError: the file cannot be written.
    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> with Metrics(path) as metrics:
        ...     metrics.write(epoch=1, nats=2.25, gradient_norm=float("nan"))
        >>> path.read_text(encoding="utf-8")
        '{"epoch": 1, "nats": 2.25, "gradient_norm": null, "not_finite": ["gradient_norm"]}\n'
    """

    def __init__(self, path: str | os.PathLike[str] | None, append: bool = False) -> None:
        self._name = "" if path is None else repr(os.fspath(path))
        self._file: BinaryIO | None = None
        if path is None:
            return
        with self._explaining():
            if append:
                _cut_torn_line(Path(path))
            self._file = Path(path).open("ab" if append else "wb", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, **fields: object) -> None:
        """Write one object: numbers (numpy's too), texts, truth values, None, and lists of them."""
        if "not_finite" in fields:
            raise DataError('metrics: the name "not_finite" is taken')
        not_finite: list[str] = []
        record: dict[str, object] = {name: _to_json(value, name, not_finite) for name, value in fields.items()}
        if not_finite:
            record["not_finite"] = not_finite
        line = (json.dumps(record, allow_nan=False) + "\n").encode("ascii")
        if self._file is not None:
            with self._explaining():
                while line:  # unbuffered, so a full pipe may take only a part
                    line = line[self._file.write(line) :]

    def close(self) -> None:
        """Close the file; writing after that is an error, closing again is not."""
        if self._file is not None:
            with self._explaining():
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path, or the file is closed
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DataError(f"metrics cannot be written to {self._name}: {reason}") from None


def _to_json(value: object, name: str, not_finite: list[str]) -> Json:
    if hasattr(value, "tolist"):  # a number or array of numpy's
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_to_json(item, f"{name}[{i}]", not_finite) for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        not_finite.append(name)
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DataError(f"metrics: {name} is a {type(value).__name__}, which JSON has no word for")


def _cut_torn_line(path: Path) -> None:
    """Take off what follows the last newline: a run that was killed while writing leaves half a line."""
    if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
        return
    with path.open("r+b") as file:
        end = position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - _BLOCK)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position == end:
            return
        file.seek(position)
        if file.read(1) != b"{":  # not ours: cut nothing off
            raise DataError("its last line is no JSON object")
        file.truncate(position)
