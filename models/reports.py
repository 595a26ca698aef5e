"""What a run shows: figures and samples on stdout, progress on stderr, records in a file; and when it is saved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import final

from figures import Totals
from options import Options
from progress import Metrics, Progress
from seeds import SAMPLES, generator_for
from stopping import Clock
from training import Observer, Training
from vocabulary import DataError


@final
class Reporter(Observer):
    """Looks at a run without changing it: samples are drawn by a generator made for each report.

    Args:
        training: the run.
        options: how often, how many samples, how wild.
        progress: on stderr.
        metrics: takes one record for each epoch and for each report between.
        save: writes the checkpoint.

    Attributes:
        curve: (epochs, nats per character) by name, for the plot.
        is_reported, is_saved: whether nothing was trained since the last report or saving.
    """

    def __init__(
        self, training: Training, options: Options, progress: Progress, metrics: Metrics, save: Callable[[], None]
    ) -> None:
        self.training, self.options = training, options
        self.progress, self.metrics, self._write = progress, metrics, save
        self.reporting, self.saving = Clock(options.report_every), Clock(options.save_every)
        self.is_reported = self.is_saved = True
        self.curve: dict[str, list[tuple[float, float]]] = {"train": [], "held out": []}
        for epoch, (_, train, held_out) in enumerate(training.position.history, 1):
            self._add_to_curve(epoch, math.nan if train is None else train, held_out)

    @property
    def saves_now(self) -> bool:
        return not self.is_saved and self.saving.is_due()

    def save(self) -> None:
        self._write()
        self.is_saved = True
        self.saving.restart()

    def batch(self) -> None:
        self.is_reported = self.is_saved = False
        self.progress.update(self.training.position.items, nats=self.training.recent.totals.mean)
        if self.options.report_every and self.reporting.is_due():
            self.report_between()

    def epoch(self, ended: Totals, held_out: float | None) -> None:
        position = self.training.position
        self.is_reported = self.is_saved = False
        self._record("epoch", position.epoch, ended, held_out)
        if self.reporting.is_due() or position.epoch == 1 or self.training.reports_epochs:
            self._print(f"epoch {position.epoch:,}", ended, held_out)

    def stopped(self, why: str) -> None:
        self.save()  # before a report, whose reader may have gone with the same Ctrl-C
        if not self.is_reported:
            self.report_between()
        self.progress.epoch(f"stopped: {why}")

    def report_between(self) -> None:
        """Report the latest batches, and where the epoch is."""
        position, recent = self.training.position, self.training.recent.totals
        self.training.check_weights()
        held_out = self.training.evaluator.measure()
        when = f"epoch {position.epoch:,}"
        if position.index:  # at an epoch's end its record has been written
            share = position.index / self.training.total
            self._record("report", position.epoch + share, recent, held_out)
            when = f"epoch {position.epoch + 1:,}, {share:.0%}"
        self._print(when, recent, held_out)

    def _print(self, when: str, train: Totals, held_out: float | None) -> None:
        figures = [f"train {train.mean:.3f} nats per character (perplexity {exponential(train.mean):.4g})"]
        if held_out is not None:
            figures.append(f"held out {held_out:.3f} ({exponential(held_out):.4g})")
        figures.append(f"{self.training.rate(train):,.0f} {self._rate_unit}/s")
        lines = [f"{when}: {', '.join(figures)}", *(f"    {line}" for line in self._write_samples())]
        try:
            with self.progress.hidden():
                print(*lines, sep="\n", flush=True)
        except BrokenPipeError:
            if self.training.sharing.group.size == 1:  # several processes save together, or not at all
                self.save()
            raise
        self.is_reported = True
        self.reporting.restart()

    def _write_samples(self) -> list[str]:
        training = self.training
        generator = generator_for(training.chosen.seed, SAMPLES, training.position.items)
        texts = [
            training.write_sample(self.options.temperature, generator, self.options.top_k)
            for _ in range(self.options.samples)
        ]
        return [training.data.vocabulary.decode(ids) for ids in texts]

    def _record(self, event: str, epochs: float, train: Totals, held_out: float | None) -> None:
        self._add_to_curve(epochs, train.mean, held_out)
        training = self.training
        record: dict[str, object] = {"event": event, "epoch": epochs, training.unit: training.position.items}
        record |= {"train_nats": train.mean, "train_perplexity": exponential(train.mean)}
        if held_out is not None:
            record |= {"held_out_nats": held_out, "held_out_perplexity": exponential(held_out)}
        record |= {"seconds": train.seconds, f"{self._rate_unit}_per_second": training.rate(train)}
        self.metrics.write(**record)

    @property
    def _rate_unit(self) -> str:
        return "characters" if self.training.counts_characters else self.training.unit

    def _add_to_curve(self, epochs: float, train: float, held_out: float | None) -> None:
        self.curve["train"].append((epochs, train))
        if held_out is not None:
            self.curve["held out"].append((epochs, held_out))


def exponential(nats: float) -> float:
    """e^nats, infinity where that is too large."""
    return math.exp(nats) if nats < 700 else math.inf


def cut_back(path: Path, unit: str, items: int) -> None:
    """Take records off the end of a metrics file that are later than the checkpoint that is resumed.

    Args:
        path: the file; where there is none, nothing is done.
        unit: what an item is called in it.
        items: how many the checkpoint's run had trained on.

    Raises:
        DataError: it cannot be read or is no such file; it is as it was.
    """
    kept = 0
    try:
        if not path.is_file():
            return
        with path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # a kill cut it short
                if json.loads(line)[unit] > items:
                    break
                kept += len(line)
            file.truncate(kept)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a line is no record of this program"
        raise DataError(f"the metrics file {str(path)!r} cannot be continued: {reason}") from None
