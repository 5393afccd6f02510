"""The display of a run during training."""

from __future__ import annotations

import logging
import re
import sys
from io import StringIO

import pytest
from rich.console import Console

from lenskit.kinds.method import Budget
from lenskit.logs import Screen
from lenskit.training.display import RANK, SPREAD, TrainingDisplay, describe

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
    explained, *lines = lines
    assert [line[:9] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert explained == f"{SPREAD}; {RANK}"
    assert "loss -0.876  32 pairs/s  spread 0.93  rank 42" in lines[0]
    # 20 batches of 64 pairs at 32 a second
    assert lines[0].endswith("0.7 min left")
    assert lines[-1].endswith("0.0 min left")


def test_a_resumed_run_says_nothing_of_epochs_before() -> None:
    lines = show(Console(file=StringIO(), width=120), [15, 20, 30], done=12).splitlines()
    assert [line[:9] for line in lines if line.startswith("epoch")] == ["epoch 2/3", "epoch 3/3"]


BARS = [(0, [4], "epoch 0/3"), (12, [15], "epoch 1/3"), (12, [], "epoch 1/3")]


@pytest.mark.parametrize(("done", "batches", "text"), BARS)
def test_a_terminal_gets_a_bar(done: int, batches: list[int], text: str) -> None:
    shown = show(Console(file=StringIO(), force_terminal=True, width=80), batches, done)
    assert text in shown
    assert "left" in shown
    assert "…" not in shown  # nothing is cut off
    assert ("spread 0.93" in shown) == bool(batches)


def test_a_probe_is_shown_with_the_latest_figures() -> None:
    """It takes the place of the rank, because both are too wide for 80 columns."""
    assert describe(FIGURES | {"probe": 0.456}) == "loss -0.876  32 pairs/s  spread 0.93  R2 0.46"
    console = Console(file=StringIO(), force_terminal=True, width=80)
    with TrainingDisplay(BUDGET, shown=console) as display:
        display.update(5, {"probe": 0.456, "r2/theta_E": 0.456})
        display.update(10, FIGURES)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "spread 0.93  R2 0.46" in shown
    assert "…" not in shown


def test_an_epoch_gets_one_line_however_many_figures_come() -> None:
    console = Console(file=StringIO(), width=120)
    with TrainingDisplay(BUDGET, shown=console) as display:
        for batch in (10, 20, 30):
            display.update(batch, FIGURES)
            display.update(batch, {"probe": 0.5})
    assert console.file.getvalue().count("epoch ") == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [50, 60, 80, 100, 200])
def test_a_bar_is_as_wide_as_the_terminal_and_cuts_nothing(width: int) -> None:
    shown = show(Console(file=StringIO(), force_terminal=True, width=width, color_system=None), [4])
    drawn = [line for line in without_codes(shown) if "epoch 0/3" in line]
    assert {len(line) for line in drawn} == {width}
    assert "loss -0.876" in drawn[-1]
    assert "rank 42" in drawn[-1]
    assert "…" not in shown
    assert all(len(line) <= width for line in without_codes(shown))


def without_codes(shown: str) -> list[str]:
    """Return the lines and frames of a bar, without control codes."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", shown))


def test_time_left_is_known_after_two_batches() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)
    with TrainingDisplay(BUDGET, shown=console) as display:
        display.advance(1)
        assert "-:--:--" in "".join(without_codes(console.file.getvalue()))  # type: ignore[attr-defined]
        display.advance(2)
    assert "-:--:--" not in without_codes(console.file.getvalue())[-2]  # type: ignore[attr-defined]


def test_a_message_stands_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    record = logging.makeLogRecord({"msg": "probe every 2 batches"})
    with TrainingDisplay(BUDGET, shown=Console(force_terminal=True, width=80, stderr=True)) as display:
        display.advance(1)
        Screen().handle(record)
    assert "probe every 2 batches" in [line.strip() for line in without_codes(screen.getvalue())]


def test_a_file_gets_no_control_characters() -> None:
    shown = show(Console(file=StringIO(), width=80), [5, 10, 15, 20, 25, 30])
    assert shown.isascii()
    assert shown.replace("\n", "").isprintable()
