"""MoCo v2: a query finds its key among a queue of earlier keys (Chen et al. 2020).

"The paper" is https://arxiv.org/abs/2003.04297; "MoCo" is the first version, https://arxiv.org/abs/1911.05722 (He et
al. 2020); "the authors' code" is https://github.com/facebookresearch/moco.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from lenskit.plugin import Backbone, Batch, Method, Parameter, UsageError, at_most
from lenskit.toolbox import gather

log = logging.getLogger("lenskit")

Width = Annotated[int, Gt(0), at_most(10**6)]


class MoCo(Method):
    """MoCo v2: match the query of one view to the key of the other view.

    The negatives are a queue of earlier keys.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of queries and keys (MoCo, Sec. 3.3: 128).
        hidden_dim: Width of the projector's hidden layer (paper, Sec. 3: 2048).
        temperature: Divisor of the similarities (paper, Sec. 3: 0.2).
        momentum: Momentum of the key encoder (MoCo, Sec. 4.1: 0.999).
        queue: Number of earlier keys used as negatives (MoCo, Sec. 4.1: 65536). With stored lenses, use fewer keys than
            there are lenses: otherwise the queue holds an earlier key of the same lens, as a negative.
        shuffle: Number of parts into which a process's keys are divided after a shuffle. Each part has its own batch
            norm statistics (MoCo, Sec. 3.3, which uses 8 GPUs). Without this, a query and its key share statistics of
            the same lenses, which reveal the positive key. Use 1 for no division. A part has at least two lenses.
            Backbones without batch norm ignore this.
    """

    views = 2
    judged_by = "probe"
    # MoCo, Sec. 4, and paper, Sec. 3: a cosine schedule, no warm-up. In both, weight decay also acts on norms
    # and biases; use `--set optimizer.decay_all=true` for this.
    optimizer_defaults = MappingProxyType({"name": "sgd", "lr": 0.03, "weight_decay": 1e-4, "warmup_epochs": 0})

    queue: Tensor
    """Keys (size, projection_dim) of unit length, latest first; random at the start, as in the authors' code."""

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 128,
        hidden_dim: Width = 2048,
        temperature: Annotated[float, Gt(0)] = 0.2,
        momentum: Annotated[float, Ge(0), Le(1)] = 0.999,
        queue: Annotated[int, Gt(0), at_most(10**8)] = 65536,
        shuffle: Annotated[int, Gt(0), at_most(10**6)] = 8,
    ) -> None:
        super().__init__(backbone)
        self.projector = MoCoProjectionHead(backbone.features, hidden_dim, projection_dim)
        self.key_encoder = nn.Sequential(deepcopy(self.backbone), deepcopy(self.projector))
        deactivate_requires_grad(self.key_encoder)
        # Not lightly's memory bank: it is not part of the state, it loses keys when it is full, and at each step it
        # reads its position from the GPU.
        self.register_buffer("queue", F.normalize(torch.randn(queue, projection_dim), dim=1))
        self.temperature, self.momentum = temperature, momentum
        normalises = any(isinstance(module, _BatchNorm) for module in self.key_encoder.modules())
        self.shuffle = shuffle if normalises else 1
        self._new: list[Tensor] = []

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        size, lenses = len(self.queue), self.budget.batches * self.budget.batch_size
        if self.budget.batch_size > size:
            smaller = f"--batch-size {size} or less, or " if size >= 2 else ""
            raise UsageError(
                f"a batch of {self.budget.batch_size} lenses does not fit into MoCo's queue of {size}: use "
                f"{smaller}--set method.queue={self.budget.batch_size} or more"
            )
        if lenses < size:
            log.warning(
                "MoCo's queue of %d keys will not be full within this run, which sees %d lenses: the other keys are "
                "random negatives. Try --set method.queue=%d.", size, lenses, max(lenses // 4, self.budget.batch_size),
            )  # fmt: skip

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the InfoNCE loss: the first view is the query, the second the key.

        See MoCo, Eq. 1 and Algorithm 1.
        """
        features = self.backbone(batch.views[0])
        projection = self.project(features)
        queries, keys = F.normalize(projection, dim=1), self.keys(batch.views[1])
        positive = (queries * keys).sum(1, keepdim=True)
        logits = torch.cat([positive, queries @ self.queue.T], 1) / self.temperature
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
        self._new.append(keys)
        return {"loss": loss, "embedding": features.detach(), "projection": projection.detach()}

    @torch.no_grad()
    def keys(self, images: Tensor) -> Tensor:
        """Return the keys (n, projection_dim) of images, of unit length.

        The authors' code shuffles images between GPUs, and each GPU has its own batch norm statistics. Here batch norm
        is synchronised between processes, and a run may have only one process. So the keys are computed in parts.
        """
        parts = max(min(self.shuffle, len(images) // 2), 1)
        order = torch.randperm(len(images), device=images.device)
        keys = torch.cat([self.key_encoder(part) for part in images[order].tensor_split(parts)])
        return F.normalize(keys, dim=1)[order.argsort()]

    def after_update(self) -> None:
        """Put the batch's keys of all processes into the queue and update the key encoder.

        The new keys replace the oldest. The key encoder keeps batch norm statistics of its own inputs, as in the
        authors' code.
        """
        with torch.no_grad():
            keys = gather(torch.cat(self._new))
            self.queue.copy_(torch.cat([keys, self.queue])[: len(self.queue)])
        self._new.clear()
        for online, key in zip((self.backbone, self.projector), self.key_encoder, strict=True):
            update_momentum(online, key, self.momentum)
