"""DINO: a student network predicts its own moving average (Caron et al. 2021).

"The paper" is https://arxiv.org/abs/2104.14294; "the authors' code" is https://github.com/facebookresearch/dino. There
are three differences from both. The pair strategy makes the views: two, or the paper's crops with `--pairs multi-crop`.
The gradient is clipped by its norm over all weights (authors' code: weight by weight). The learning rate falls to zero
(authors' code: to 1e-6).
"""

from __future__ import annotations

import copy
import warnings
from types import MappingProxyType
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, Method, at_most

Width = Annotated[int, Gt(0), at_most(10**6)]
Temperature = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]

GLOBAL_VIEWS = 2
"""Number of views that the teacher sees: the first two."""


class DINO(Method):
    """DINO: make a student's output distribution match that of its moving average.

    The moving average is the teacher. Its outputs for one view are the target for the student's outputs for another
    view. The teacher is saved and evaluated, because it is better than the student throughout training (paper,
    Sec. 5.2).

    Args:
        backbone: Network whose features are learned. It is the teacher; the student starts as its copy.
        local_views: Number of views that only the student sees, after the two that both see. They are the small crops
            of `--pairs multi-crop` (authors' code: 8; use small=8 there).
        output_dim: Number of classes of the distributions (paper: 65536).
        hidden_dim: Width of the head's hidden layers (paper, App. C: 2048).
        bottleneck_dim: Width of the last hidden layer (paper, App. C: 256).
        norm_last_layer: Whether the last layer's weights are normalised to unit length for each class (authors' code:
            more stable; without it a small ViT is slightly better).
        student_temperature: Temperature of the student (paper, Sec. 3.1: 0.1).
        teacher_temperature: Temperature of the teacher after its warm-up (paper: 0.07).
        warmup_temperature: Temperature of the teacher at the start of its warm-up (paper: 0.04).
        warmup_temperature_epochs: Epochs of the teacher's temperature warm-up, at most half of the run (paper: 30).
        center_momentum: Momentum of the centre of the teacher's outputs (paper: 0.9).
        momentum: Momentum of the teacher at the start; it rises to 1 along a cosine (paper: 0.996).
        weight_decay_end: Weight decay at the end of the run. It changes along a cosine from the optimiser's value
            (paper: 0.4; authors' code for ResNets: 1e-4 throughout, with SGD).
        freeze_epochs: Number of first epochs in which the last layer is frozen (authors' code: 1).
    """

    judged_by = "probe"
    # Paper, Sec. 3.1 "Implementation details"; the clipping is from the authors' code.
    optimizer_defaults = MappingProxyType(
        {"name": "adamw", "lr": 5e-4, "weight_decay": 0.04, "warmup_epochs": 10, "clip": 3.0}
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        local_views: Annotated[int, Ge(0), at_most(100)] = 0,
        output_dim: Width = 65536,
        hidden_dim: Width = 2048,
        bottleneck_dim: Width = 256,
        norm_last_layer: bool = True,
        student_temperature: Temperature = 0.1,
        teacher_temperature: Temperature = 0.07,
        warmup_temperature: Temperature = 0.04,
        warmup_temperature_epochs: Annotated[float, Ge(0)] = 30,
        center_momentum: Annotated[float, Ge(0), Lt(1)] = 0.9,
        momentum: Share = 0.996,
        weight_decay_end: Annotated[float, Ge(0), at_most(1e3)] = 0.4,
        freeze_epochs: Annotated[float, Ge(0)] = 1,
    ) -> None:
        super().__init__(backbone)
        self.views = GLOBAL_VIEWS + local_views
        self.student = copy.deepcopy(backbone)
        widths = (backbone.features, hidden_dim, bottleneck_dim, output_dim)
        self.head, self.student_head = (_head(*widths, norm_last_layer) for _ in range(2))
        self.head.load_state_dict(self.student_head.state_dict())
        deactivate_requires_grad(self.backbone)
        deactivate_requires_grad(self.head)
        self.criterion = _Loss(output_dim, student_temp=student_temperature, center_momentum=center_momentum)
        self.temperatures = (warmup_temperature, teacher_temperature)
        self.warmup_temperature_epochs = warmup_temperature_epochs
        self.momentum, self.weight_decay_end, self.freeze_epochs = momentum, weight_decay_end, freeze_epochs

    def project(self, features: Tensor) -> Tensor:
        """Return the teacher's bottleneck (n, bottleneck_dim), of unit length."""
        return _project(self.head, features)[0]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy of teacher and student over pairs of different views.

        The teacher has two views, the student all views (paper, Eq. 3).
        """
        seen = [torch.cat(views) for views in (batch.views[:GLOBAL_VIEWS], batch.views[GLOBAL_VIEWS:]) if views]
        with torch.no_grad():
            embedding = self.backbone(seen[0])
            projection, target = _project(self.head, embedding)
        # Large and small crops go through in two passes, so that each has its own batch norm statistics, as in the
        # authors' code.
        predicted = torch.cat([_project(self.student_head, self.student(views))[1] for views in seen])
        n = len(batch.index)
        with torch.autocast(predicted.device.type, enabled=False):
            outputs = (list(logits.to(self.criterion.center.dtype).split(n)) for logits in (target, predicted))
            loss = self.criterion(*outputs, teacher_temp=self.teacher_temperature())
        return {"loss": loss, "embedding": embedding[:n], "projection": projection[:n]}

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Remove the last layer's gradient in the first epochs (`freeze_epochs`)."""
        if self.batches < self.freeze_epochs * self.budget.batches_per_epoch:
            for parameter in self.student_head.last_layer.parameters():
                parameter.grad = None

    def after_update(self) -> None:
        """Update the teacher from the student, and the centre from the teacher's outputs.

        The formulae are in the paper, Sec. 3.1 and Eq. 4.
        """
        self.criterion.move_center()
        momentum = cosine_schedule(self.batches, self.budget.batches, self.momentum, 1.0)
        update_momentum(self.student, self.backbone, momentum)
        update_momentum(self.student_head, self.head, momentum)

    def teacher_temperature(self) -> float:
        """Return the teacher's temperature: linear in the warm-up, then constant."""
        start, end = self.temperatures
        warmup = min(self.warmup_temperature_epochs * self.budget.batches_per_epoch, self.budget.batches / 2)
        return end if self.batches >= warmup else start + (end - start) * self.batches / warmup

    def weight_decay(self, group: dict[str, Any], batches: int) -> float:
        """Return the weight decay: a cosine to `weight_decay_end`.

        It starts at the optimiser's value. A group without weight decay stays without.
        """
        start = group["peak_weight_decay"]
        return cosine_schedule(batches, self.budget.batches, start, self.weight_decay_end) if start else 0.0


class _Loss(DINOLoss):
    """Loss of lightly with a centre that is updated once per batch.

    lightly's centre, a buffer, would be updated with each part of a batch.
    """

    def __init__(self, output_dim: int, **options: Any) -> None:
        super().__init__(output_dim, **options)
        self._means: list[Tensor] = []

    @torch.no_grad()
    def update_center(self, teacher_out: Tensor) -> None:
        """Store the mean (1, 1, output_dim) of one part's outputs, for `move_center`."""
        self._means.append(teacher_out.mean((0, 1), keepdim=True))

    def move_center(self) -> None:
        """Update the centre with the mean over the batch's parts and over all processes.

        All parts of a batch have the same size.
        """
        super().update_center(torch.cat(self._means))
        self._means.clear()


def _head(features: int, hidden: int, bottleneck: int, output: int, normed: bool) -> DINOProjectionHead:
    with warnings.catch_warnings():
        # lightly uses torch's deprecated weight norm.
        warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
        return DINOProjectionHead(features, hidden, bottleneck, output, norm_last_layer=normed)


def _project(head: DINOProjectionHead, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the head's bottleneck (n, bottleneck_dim) and outputs (n, output_dim).

    The bottleneck has unit length.
    """
    bottleneck = F.normalize(head.layers(features), dim=-1)
    return bottleneck, head.last_layer(bottleneck)
