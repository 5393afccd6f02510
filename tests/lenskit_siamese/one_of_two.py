"""One process of several that train every method, as `python one_of_two.py RANK PROCESSES FOLDER`.

Each method has no batch norm and takes its lenses as the runner shares them out; the first process saves what became
of it after a few steps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lenskit.plugin import Batch, Budget, Method
from lenskit_siamese.barlow_twins import BarlowTwins
from lenskit_siamese.byol import BYOL
from lenskit_siamese.moco import MoCo
from lenskit_siamese.simclr import SimCLR
from lenskit_siamese.simsiam import SimSiam
from lenskit_siamese.vicreg import VICReg
from lenskit_toys.views import SmallNetwork, pairs

METHODS: dict[str, tuple[type[Method], dict[str, Any]]] = {
    "simsiam": (SimSiam, {"predictor_dim": 8}),
    "byol": (BYOL, {}),
    "simclr": (SimCLR, {}),
    "moco": (MoCo, {"queue": 20}),
    "vicreg": (VICReg, {}),
    "barlow-twins": (BarlowTwins, {}),
}


class Step(nn.Module):
    """A training step as a forward pass, which is what gradients are averaged after."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> Tensor:
        return self.method.training_step(batch, 0)["loss"]


def trained(name: str, rank: int, processes: int, steps: int = 3, n: int = 8) -> dict[str, Tensor]:
    """The state of a method after some steps of plain gradient descent."""
    kind, options = METHODS[name]
    torch.manual_seed(0)
    method = kind(SmallNetwork(norm=False), **{"projection_dim": 16, "hidden_dim": 24} | options)
    for module in list(method.modules()):
        for child, inner in module.named_children():
            if isinstance(inner, nn.BatchNorm1d):
                setattr(module, child, nn.Identity())
    method.double()  # so that sums in another order give the same numbers
    method.budget = Budget(n, steps, 1)
    step: nn.Module = Step(method) if processes == 1 else DistributedDataParallel(Step(method))
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05)
    generator = torch.Generator().manual_seed(1)
    for method.batches in range(steps):
        whole = pairs(n, generator)
        mine = slice(rank, None, processes)
        loss = step(Batch(tuple(view[mine].double() for view in whole.views), {}, whole.index[mine]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.after_update()
    return method.state_dict()


def main(rank: int, processes: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=processes)
    states = {name: trained(name, rank, processes) for name in METHODS}
    torch.save(states, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
