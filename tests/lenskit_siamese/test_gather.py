"""Two processes at half the batch learn what one learns at the full batch, with every method's own loss."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.slow  # two processes that import torch

SCRIPT = Path(__file__).with_name("one_of_two.py")


def load() -> Any:
    specification = importlib.util.spec_from_file_location("one_of_two", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


one_of_two = load()


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes ended with."""
    folder = tmp_path_factory.mktemp("two")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, str(SCRIPT), str(rank), "2", str(folder)] for rank in range(2)]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    try:
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", one_of_two.METHODS)
def test_two_processes_at_half_the_batch_are_one_at_the_full(name, of_two):
    alone = one_of_two.trained(name, 0, 1)
    untrained = one_of_two.trained(name, 0, 1, steps=0)
    for state in of_two:
        assert state[name].keys() == alone.keys()
        for key, value in alone.items():
            torch.testing.assert_close(
                state[name][key], value, rtol=1e-9, atol=1e-12, msg=lambda m, key=key: f"{key}: {m}"
            )
    moved = {key for key, value in alone.items() if not torch.allclose(value, untrained[key], rtol=1e-4, atol=1e-6)}
    assert {key for key in alone if key.startswith("backbone.")} <= moved


def test_what_is_kept_is_the_same_in_both(of_two):
    first, second = of_two
    for name in first:
        for key, value in first[name].items():
            assert torch.equal(value, second[name][key]), (name, key)
