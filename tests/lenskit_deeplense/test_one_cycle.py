"""One-cycle policy: equal to torch's, also in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from lenskit.config import Config
from lenskit.plugin import Batch
from lenskit.run import Run
from lenskit.training.runner import Job
from lenskit_deeplense.one_cycle import OneCycle, one_cycle


def torchs(total: int, peak: float) -> list[tuple[float, float]]:
    """Return the learning rate and beta1 of each batch, from torch's scheduler."""
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = OneCycleLR(optimizer, peak, total_steps=total)
    seen = []
    for done in range(total):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["betas"][0]))
        optimizer.step()
        if done < total - 1:
            scheduler.step()
    return seen


@pytest.mark.slow
@given(st.integers(1, 40), st.floats(1e-5, 1))
def test_it_is_torchs(total: int, peak: float) -> None:
    ours = [one_cycle(done, total, peak) for done in range(total)]
    for one, other in zip(ours, torchs(total, peak), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12 * peak)


class Squares(OneCycle):
    """Method with an arbitrary loss that records Adam's settings in each batch."""

    views = 2

    def step(self, batch: Batch) -> dict[str, Tensor]:
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        (group,) = optimizer.param_groups
        assert group["weight_decay"] == 0.1
        self.told = [*getattr(self, "told", []), (group["lr"], group["betas"][0])]
        return {"loss": self.backbone(batch.views[0]).square().mean()}


def test_adam_is_told_before_each_batch_of_a_run(tmp_path: Path) -> None:
    config = Config.resolve({
        "train": {"lenses": 12, "epochs": 2, "batch_size": 2, "accelerator": "cpu"},
        "simulator": {"name": "blobs", "pixels": 8},
        "method": {"name": "two-optimizers"},
        "backbone": {"name": "tiny"},
    })  # fmt: skip
    job = Job(config)
    method = Squares(job.encoder.backbone, lr=0.01, weight_decay=0.1)
    method.budget, method.seed = job.budget, 0
    job.method = method
    job.fit(Run.create(tmp_path / "run", config), None, False)
    for one, other in zip(method.told, torchs(12, 0.01), strict=True):
        assert one == pytest.approx(other, rel=1e-9)
