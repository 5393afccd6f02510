"""What is shown of a run while it trains."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from lenskit.kinds.method import Budget
from lenskit.training.display import TrainingDisplay, describe

BUDGET = Budget(batch_size=64, batches_per_epoch=10, epochs=3)
FIGURES = {"loss": -0.8765, "rate": 32.0, "lr": 0.1, "collapse_std": 0.934, "effective_rank": 41.6}


def show(console: Console, batches: list[int], done: int = 0) -> str:
    with TrainingDisplay(BUDGET, done, console) as display:
        for batch in batches:
            display.update(batch, FIGURES)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_figures_in_a_few_words() -> None:
    assert describe(FIGURES) == "loss -0.876  32 pairs/s  spread 0.93  rank 42"
    assert describe({"loss": 1.0, "rate": 5.4}) == "loss 1.000  5 pairs/s"
    assert describe({"loss": 1.28e-4, "rate": 5.4}) == "loss 0.000128  5 pairs/s"


def test_a_file_gets_a_line_an_epoch() -> None:
    lines = show(Console(file=StringIO(), width=120), [5, 10, 15, 20, 25, 30]).splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "loss -0.876  32 pairs/s  spread 0.93  rank 42" in lines[0]
    # 20 batches of 64 pairs at 32 a second
    assert lines[0].endswith("0.7 min left")
    assert lines[-1].endswith("0.0 min left")


def test_a_resumed_run_says_nothing_of_epochs_before() -> None:
    lines = show(Console(file=StringIO(), width=120), [15, 20, 30], done=12).splitlines()
    assert [line[:9] for line in lines] == ["epoch 2/3", "epoch 3/3"]


BARS = [(0, [4], "epoch 0/3"), (12, [15], "epoch 1/3"), (12, [], "epoch 1/3")]


@pytest.mark.parametrize(("done", "batches", "text"), BARS)
def test_a_terminal_gets_a_bar(done: int, batches: list[int], text: str) -> None:
    shown = show(Console(file=StringIO(), force_terminal=True, width=80), batches, done)
    assert text in shown
    assert "left" in shown
    assert "…" not in shown  # nothing is cut off
    assert ("spread 0.93" in shown) == bool(batches)


def test_a_probe_is_shown_with_the_latest_figures() -> None:
    """In place of the rank: both are too wide for 80 columns."""
    assert describe(FIGURES | {"probe": 0.456}) == "loss -0.876  32 pairs/s  spread 0.93  R2 0.46"
    console = Console(file=StringIO(), force_terminal=True, width=80)
    with TrainingDisplay(BUDGET, console=console) as display:
        display.update(5, {"probe": 0.456, "r2/theta_E": 0.456})
        display.update(10, FIGURES)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "spread 0.93  R2 0.46" in shown
    assert "…" not in shown


def test_an_epoch_gets_one_line_however_many_figures_come() -> None:
    console = Console(file=StringIO(), width=120)
    with TrainingDisplay(BUDGET, console=console) as display:
        for batch in (10, 20, 30):
            display.update(batch, FIGURES)
            display.update(batch, {"probe": 0.5})
    assert console.file.getvalue().count("\n") == 3  # type: ignore[attr-defined]
