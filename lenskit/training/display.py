"""The progress bar of a run."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lenskit.kinds.method import Budget


class TrainingDisplay:
    """Epoch, loss, pairs a second, collapse, probe and time left: a bar on a terminal, a line an epoch elsewhere.

    Args:
        budget: Length of the run.
        done: Batches done already.
        console: Where to draw.
    """

    def __init__(self, budget: Budget, done: int = 0, console: Console | None = None) -> None:
        self.budget = budget
        self._latest: dict[str, float] = {}
        self._lines = done // budget.batches_per_epoch
        self.console = console or Console(stderr=True)
        self._progress = Progress(
            # Fits into 80 columns: what does not fit is cut off, and it is the time left that stands last.
            TextColumn("epoch {task.fields[epoch]}/" + str(budget.epochs)),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task(
            "train", total=budget.batches, completed=done, epoch=self._lines, figures=""
        )

    def update(self, batches: int, figures: dict[str, float]) -> None:
        """Shows these figures and the latest of all others."""
        self._latest |= figures
        epoch = min(batches // self.budget.batches_per_epoch, self.budget.epochs)
        text = describe(self._latest)
        self._progress.update(self._task, completed=batches, epoch=epoch, figures=text)
        if not self.console.is_terminal and epoch > self._lines:
            self._lines = epoch
            left = ""
            if "rate" in self._latest:
                seconds = (self.budget.batches - batches) * self.budget.batch_size / self._latest["rate"]
                left = f"  {seconds / 60:.1f} min left"
            self.console.print(f"epoch {epoch}/{self.budget.epochs}  {text}{left}")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def describe(figures: dict[str, float]) -> str:
    """The figures of one moment in a few words; those that there are."""
    parts = []
    if "loss" in figures:
        loss = figures["loss"]
        # Squared errors of pixels are small.
        parts += [f"loss {loss:.3f}" if abs(loss) >= 0.1 else f"loss {loss:.3g}", f"{figures['rate']:.0f} pairs/s"]
    if "collapse_std" in figures:
        parts.append(f"spread {figures['collapse_std']:.2f}")
    # Side by side they are too wide for a terminal, and a probe says more than a rank.
    if "probe" in figures:
        parts.append(f"R2 {figures['probe']:.2f}")
    elif "effective_rank" in figures:
        parts.append(f"rank {figures['effective_rank']:.0f}")
    return "  ".join(parts)
