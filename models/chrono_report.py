"""What `chrono_experiment.py` found: a table, a picture, a file."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from cells import BiasInit
from chrono_options import Setting
from curves import COLOURS, Curve, Panel, draw_panels
from memory_tasks import AddingTask, Task
from recurrent import Kind
from vocabulary import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIASES: tuple[BiasInit, BiasInit] = ("zero", "chrono")
COLUMNS = ("task", "delay", "cell", "bias", "seed", "unit", "knowing_nothing", "loss")
STYLES = {"zero": "--", "chrono": "-"}
SMALLEST_ERROR = 3e-5  # errors fall by powers of ten, other losses do not


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        curve: (updates, loss of the test batches), from 0 updates on.
        seconds: how long it took.
    """

    task: Task
    cell: Kind
    bias: BiasInit
    seed: int
    curve: tuple[tuple[int, float], ...]
    seconds: float

    @property
    def loss(self) -> float:
        """In the end."""
        return self.curve[-1][1]

    def __str__(self) -> str:
        name = f"{self.task.name} {self.task.delay} {self.cell} {self.bias}"
        return f"{name:<24} seed {self.seed}: {self.loss:.4g} {self.task.unit} ({self.seconds:.1f} s)"


@dataclass(frozen=True)
class Comparison:
    """Both arms of one task and cell, run by run of the same seed."""

    task: Task
    cell: Kind
    zero: tuple[Run, ...]
    chrono: tuple[Run, ...]

    @property
    def wins(self) -> int:
        """With how many seeds chrono ended lower."""
        return sum(one.loss < other.loss for one, other in zip(self.chrono, self.zero, strict=True))

    @property
    def lower(self) -> str:
        """Which arm is lower with every seed than the other with any; "neither" where they overlap."""
        zero, chrono = ([run.loss for run in runs] for runs in (self.zero, self.chrono))
        if max(chrono) < min(zero):
            return "chrono"
        return "zero" if max(zero) < min(chrono) else "neither"


def comparisons(runs: Iterable[Run]) -> list[Comparison]:
    """The runs, which come in the order of the experiment, arm by arm."""
    found = []
    for (_, cell), group in groupby(runs, key=lambda run: (id(run.task), run.cell)):
        both = list(group)
        zero, chrono = (tuple(run for run in both if run.bias == bias) for bias in BIASES)
        found.append(Comparison(both[0].task, cell, zero, chrono))
    return found


def summary(runs: Sequence[Run]) -> str:
    """The median and, of several, the range."""
    losses = sorted(run.loss for run in runs)
    spread = f" ({losses[0]:.4g} to {losses[-1]:.4g})" if len(losses) > 1 else ""
    return f"{median(losses):.4g}{spread}"


def print_table(setting: Setting, runs: Sequence[Run], notes: Sequence[str]) -> None:
    """The losses of the test batches in the end."""
    seeds = f"{setting.seeds} seed{'s' if setting.seeds > 1 else ''} from {setting.seed} on"
    print(f"{setting.updates:,} updates of {setting.batch} sequences, hidden {setting.hidden}, {seeds}")
    print("loss in the end: median (range); lower: whose range lies wholly below the other's\n")
    rows = [("task", "delay", "cell", "unit", "nothing", "zero biases", "chrono biases", "chrono lower", "lower")]
    for each in comparisons(runs):
        task = each.task
        wins = f"{each.wins} of {len(each.zero)}"
        known = "" if task.knowing_nothing is None else f"{task.knowing_nothing:.4g}"
        arms = (summary(each.zero), summary(each.chrono))
        rows.append((task.name, str(task.delay), each.cell, task.unit, known, *arms, wins, each.lower))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    print("\nnothing: the loss of the best constant answer")
    for note in notes:
        print(note)


def draw_runs(runs: Sequence[Run]) -> Figure:
    """Loss by updates: a row for each kind of task, the median as a line, the range around it."""
    panels: list[Panel] = []
    for _, group in groupby(comparisons(runs), key=lambda each: id(each.task)):
        both = list(group)
        task = both[0].task
        curves = [
            _curve(each.cell, bias, arm)
            for each in both
            for bias, arm in zip(BIASES, (each.zero, each.chrono), strict=True)
        ]
        title = f"{task.name}, {task.delay} steps"
        panels.append(
            Panel(
                title,
                curves,
                "updates",
                task.unit,
                level=task.knowing_nothing,
                smallest=SMALLEST_ERROR if isinstance(task, AddingTask) else None,
                has_legend=not panels,
            )
        )
    in_a_row = max(Counter(task.name for task in {id(run.task): run.task for run in runs}.values()).values())
    return draw_panels(panels, in_a_row)


def _curve(cell: Kind, bias: BiasInit, arm: Sequence[Run]) -> Curve:
    losses = np.array([[loss for _, loss in run.curve] for run in arm])
    return Curve(
        [updates for updates, _ in arm[0].curve],
        np.median(losses, axis=0),
        f"{cell} {bias}",
        COLOURS[0] if cell == "lstm" else COLOURS[1],
        STYLES[bias],
        low=losses.min(axis=0),
        high=losses.max(axis=0),
    )


def write_metrics(path: Path, setting: Setting, runs: Sequence[Run]) -> None:
    """Every run: as JSON with its curve, or as CSV.

    Raises:
        DataError: the file cannot be written.
    """
    records = [_record(run) for run in runs]
    if path.suffix == ".json":
        curves = [{**record, "curve": run.curve} for record, run in zip(records, runs, strict=True)]
        text = json.dumps({"setting": asdict(setting), "runs": curves}, indent=1) + "\n"
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        text = buffer.getvalue()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be written: {error.strerror}") from None


def _record(run: Run) -> dict[str, Any]:
    task = run.task
    values = (task.name, task.delay, run.cell, run.bias, run.seed, task.unit, task.knowing_nothing, run.loss)
    return dict(zip(COLUMNS, values, strict=True))
