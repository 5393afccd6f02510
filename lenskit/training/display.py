"""The progress bar of a run."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import TextColumn

from lenskit.kinds.method import Budget
from lenskit.terminal import console, progress, wrapped

if TYPE_CHECKING:
    from rich.console import Console

BESIDE = 20
"""Columns of a terminal that a bar of four and the time left take, with spaces."""

SPREAD = "spread: 1 if the projections point evenly in all directions, 0 if they have collapsed to one"
RANK = "rank: number of dimensions that the features fill in effect, near 1 if they have collapsed"
"""Explanations of figures, printed when a run shows one of them for the first time."""


class TrainingDisplay:
    """Epoch, loss, pairs a second, collapse, probe and time left: a bar on a terminal, a line an epoch elsewhere.

    Args:
        budget: Length of the run.
        done: Batches done already.
        shown: Where to draw.
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
        """Moves the bar; the time left follows from the batches that it saw."""
        self._progress.update(self._task, completed=batches, epoch=self._epoch(batches))

    def update(self, batches: int, figures: dict[str, float]) -> None:
        """Shows these figures and the latest of all others."""
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
        """Says once what spread and rank are; a method that projects nothing has no spread."""
        spread, rank = "collapse_std" in figures, "effective_rank" in figures or "probe_rank" in figures
        if not self._explained and (spread or rank):
            self._explained = True
            self._say(f"{SPREAD}; {RANK}" if spread else RANK)

    def _epoch(self, batches: int) -> int:
        return min(batches // self.budget.batches_per_epoch, self.budget.epochs)

    def _say(self, line: str) -> None:
        """Prints a line above the bar."""
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
    """The figures of one moment in a few words: those that there are.

    Args:
        figures: By the names in `metrics.jsonl`.
        width: Columns; where there are more figures than fit, loss and the last one stay longest. None for any.
    """
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
    while width is not None and len(parts) > 1 and len("  ".join(parts)) > width:
        del parts[-2]
    return "  ".join(parts)
