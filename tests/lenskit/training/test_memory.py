"""Out of memory: its detection, a batch that fits, and a one-line error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.errors import LenskitError
from lenskit.out_of_memory import is_out_of_memory
from lenskit.training import memory
from lenskit.training.memory import advice, largest_that_fits

ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED, out of memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_that_say_so(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory"), KeyError("x")])
def test_errors_that_do_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_a_real_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.slow
@given(st.integers(2, 5000), st.integers(0, 5000))
@settings(deadline=None, max_examples=10)  # memory is collected before each try, which takes a while in a long session
def test_finds_the_largest_half_that_fits(lenses: int, room: int) -> None:
    def step(n: int) -> None:
        if n > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    halves = [lenses >> power for power in range(1, 13) if lenses >> power >= 2]
    assert largest_that_fits(step, lenses) == max((n for n in halves if n <= room), default=None)


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        largest_that_fits(lambda n: n / 0, 8)


@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 200), st.integers(2, 300))
@settings(deadline=None, max_examples=100)
def test_what_is_advised_fits(parts: int, processes: int, share: int, fits: int) -> None:
    """The advice is valid: whole parts with 2 lenses or more in each process."""
    batch_size = parts * processes * share
    words = advice(batch_size, parts, processes, fits).replace(",", "").split()
    smaller = int(words[words.index("--batch-size") + 1])
    assert smaller // parts // processes == fits
    for word in words:
        if word.startswith("train.accumulate="):
            more = int(word.partition("=")[2])
            assert batch_size % (more * processes) == 0
            assert 2 <= batch_size // more // processes <= fits


def test_what_is_advised() -> None:
    assert advice(400, 1, 1, 100) == (
        "100 would fit: use --batch-size 100, or keep the batch and divide it into parts with --set train.accumulate=4"
    )
    assert advice(128, 2, 2, 16) == (
        "16 would fit: use --batch-size 64, or keep the batch and divide it into parts with --set train.accumulate=4"
    )
    assert advice(127, 1, 1, 63) == "63 would fit: use --batch-size 63"
    assert "not even a batch of 2 lenses fits" in advice(127, 1, 1, None)


HUNGRY = '''
import torch
from lenskit_toys.components import Tiny

class Hungry(Tiny):
    """Runs out of memory as a GPU does.

    Args:
        most: Images that it takes at a time.
    """

    def __init__(self, channels, size, *, most: int = 10):
        super().__init__(channels, size)
        self.most = most

    def forward(self, images):
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\\nSee the documentation")
        return super().forward(images)
'''


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "cpu is out of memory with 32 lenses at a time: 8 would fit: use --batch-size 8, or keep the batch and "
         "divide it into parts with --set train.accumulate=4"),
        ("--set train.accumulate=2", "cpu is out of memory with 16 lenses at a time: 8 would fit: use --batch-size 16, "
         "or keep the batch and divide it into parts with --set train.accumulate=4"),
        ("--method two-optimizers", "cpu is out of memory with 32 lenses at a time: 8 would fit: use --batch-size 8"),
        ("--set backbone.most=1", "cpu is out of memory with 32 lenses at a time: not even a batch of 2 lenses fits: "
         "use a smaller --backbone, or smaller images (--set input.size=N)"),
    ],
)  # fmt: skip
def test_a_user_is_told_which_batch_would_fit(
    flags: str, message: str, install: Any, lenskit: Callable[..., Any]
) -> None:
    hooks = '@hookimpl\ndef lenskit_backbones():\n    return [Component("hungry", "hungry_net:Hungry", "Much")]\n'
    install("hungry", hooks, hungry_net=HUNGRY)
    outcome = lenskit(
        "train", "--recipe", "toys", "--backbone", "hungry", "--lenses", 64, "--batch-size", 32, "--out", "run",
        *flags.split(),
    )  # fmt: skip
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    assert [line for line in outcome.err.splitlines() if line.startswith("lenskit: ")] == [f"lenskit: {message}"]
    assert message in Path("run/train.log").read_text()
    for word in [word for word in message.split() if word.startswith("train.accumulate")]:
        again = lenskit(
            "train", "--recipe", "toys", "--backbone", "hungry", "--lenses", 64, "--batch-size", 32, "--out", "again",
            "--set", word,
        )  # fmt: skip
        assert again.status == 0, again.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the address space works on Linux only")
def test_a_process_that_may_take_no_more_memory(together, tmp_path: Path) -> None:
    """A run that needs gigabytes (4096 lenses of 64 x 64 pixels) gets 400 MiB."""
    flags = "--recipe toys --accelerator cpu --set simulator.pixels=64 --lenses 4096 --batch-size 4096 --out run"
    task, log = ["train", *flags.split()], tmp_path / "log"
    status = together({"by": "", "processes": 1, "tasks": [task], "log": str(log), "room": 400 * 2**20})
    said = log.with_name("log.0").read_text()
    assert status == [[1]], said
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("lenskit: ")]
    assert "cpu is out of memory with 4096 lenses at a time: " in line
    assert " would fit: use --batch-size " in line


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (
            MemoryError("Unable to allocate 4.00 TiB for an array of this shape"),
            " (4.4 TB at once)",
        ),
        (
            RuntimeError("can't allocate memory: you tried to allocate 8000 bytes."),
            " (8 kB at once)",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), " (2.15 GB at once)"),
        (MemoryError(), ""),
    ],
)
def test_how_much_was_asked_for_is_said(error: Exception, asked: str) -> None:
    assert memory.asked_for(error) == asked


@pytest.mark.parametrize("make", [lambda: np.empty(2**60), lambda: torch.empty(2**62), lambda: torch.empty(2**58)])
def test_images_that_no_machine_can_hold_are_not_blamed_on_the_batch(make: Callable[[], object]) -> None:
    with (
        pytest.raises(LenskitError, match="not enough memory for the images") as caught,
        memory.building("the images", memory.SMALLER_IMAGES),
    ):
        make()
    assert "--batch-size" not in str(caught.value)
