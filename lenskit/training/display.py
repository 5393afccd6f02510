"""Progress bar of a run."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import TextColumn

from lenskit.kinds.method import Budget
from lenskit.terminal import console, progress, wrapped

if TYPE_CHECKING:
    from rich.console import Console

BESIDE = 20
"""Columns of a terminal for a bar four columns wide, the time left, and spaces."""

SPREAD = "spread: 1 if the projections point evenly in all directions, 0 if they have collapsed to one"
RANK = "rank: effective number of dimensions of the features, near 1 if they have collapsed"
"""Explanations of metrics, printed when a run first shows one of these metrics."""


class TrainingDisplay:
    """Display of a run: epoch, loss, pairs per second, collapse, probe, time left.

    On a terminal it is a progress bar. Elsewhere it is one line per epoch.

    Args:
        budget: Length of the run.
        done: Number of batches already done.
        shown: Console to print to; standard error by default.
    """

    def __init__(self, budget: Budget, done: int = 0, shown: Console | None = None) -> None:
        self.budget = budget
        self._latest: dict[str, float] = {}
        self._explained = False
        self._lines = done // budget.batches_per_epoch
        self.console = shown or console(stderr=True)
        epoch, figures = TextColumn("epoch {task.fields[epoch]}/" + str(budget.epochs)), "{task.fields[figures]}"
        self._beside = BESIDE + len(f"epoch {budget.epochs}/{budget.epochs}")
        self._progress = progress(epoch, TextColumn(figures), shown=self.console)
        self._task = self._progress.add_task(
            "train", total=budget.batches, completed=done, epoch=self._lines, figures=""
        )

    def advance(self, batches: int) -> None:
        """Move the bar; the time left follows from its speed."""
        self._progress.update(self._task, completed=batches, epoch=self._epoch(batches))

    def update(self, batches: int, figures: dict[str, float]) -> None:
        """Show these metrics and the latest values of all other metrics."""
        self._latest |= figures
        self._explain(figures)
        epoch = self._epoch(batches)
        self._progress.update(self._task, figures=describe(self._latest, self.console.width - self._beside))
        self.advance(batches)
        if not self.console.is_interactive and epoch > self._lines:
            self._lines = epoch
            left = ""
            if "rate" in self._latest:
                seconds = (self.budget.batches - batches) * self.budget.batch_size / self._latest["rate"]
                left = f"  {seconds / 60:.1f} min left"
            self._say(f"epoch {epoch}/{self.budget.epochs}  {describe(self._latest)}{left}")

    def _explain(self, figures: dict[str, float]) -> None:
        """Print once the meaning of rank and, if it is measured, spread."""
        spread, rank = "collapse_std" in figures, "effective_rank" in figures or "probe_rank" in figures
        if not self._explained and (spread or rank):
            self._explained = True
            self._say(f"{SPREAD}; {RANK}" if spread else RANK)

    def _epoch(self, batches: int) -> int:
        return min(batches // self.budget.batches_per_epoch, self.budget.epochs)

    def _say(self, line: str) -> None:
        """Print a line above the bar."""
        width = self.console.width if self.console.is_terminal else None
        self.console.print(wrapped(line, width), soft_wrap=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def describe(figures: dict[str, float], width: int | None = None) -> str:
    """Return a short text with metrics.

    Args:
        figures: Metrics by their names in `metrics.jsonl`.
        width: Columns available; None for no limit. If not all metrics fit, the last metric is kept and the metrics
            before it are dropped, from the end.
    """
    parts = []
    if "loss" in figures:
        loss = figures["loss"]
        # Losses that are squared errors of pixels are small.
        parts += [f"loss {loss:.3f}" if abs(loss) >= 0.1 else f"loss {loss:.3g}", f"{figures['rate']:.0f} pairs/s"]
    if "collapse_std" in figures:
        parts.append(f"spread {figures['collapse_std']:.2f}")
    # Both together are too wide for a terminal, and a probe is more informative than a rank.
    if "probe" in figures:
        parts.append(f"R2 {figures['probe']:.2f}")
    elif "effective_rank" in figures:
        parts.append(f"rank {figures['effective_rank']:.0f}")
    while width is not None and len(parts) > 1 and len("  ".join(parts)) > width:
        del parts[-2]
    return "  ".join(parts)
