"""DINO (Caron et al. 2021, https://arxiv.org/abs/2104.14294): a student learns what its own running average says.

"The paper" below is that one, "the authors' code" https://github.com/facebookresearch/dino. It departs from both in
these: the views are the pair strategy's (two, or with `--pairs multi-crop` the paper's crops), the gradient is clipped
by its norm over all weights (authors' code: weight by weight), and the learning rate falls to zero (authors' code: to
1e-6).
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
"""Views that the teacher sees: the first two."""


class DINO(Method):
    """DINO: the student's distribution of one view follows the teacher's of another; the teacher is its average.

    What is saved and evaluated is the teacher, which is better than the student throughout training (paper, Sec. 5.2).

    Args:
        backbone: Network whose features are learned. It is the teacher's; the student begins as its copy.
        local_views: Views beyond the two that student and teacher see: of these only the student learns, as of the
            small crops of `--pairs multi-crop` (authors' code: 8, with small=8 of those pairs).
        output_dim: Number of classes of the distributions (paper: 65536).
        hidden_dim: Width of the head's hidden layers (paper, App. C: 2048).
        bottleneck_dim: Width of the layer before the last (paper, App. C: 256).
        norm_last_layer: Whether the weights of the last layer have unit length for each class (authors' code:
            steadier; without it somewhat better for a small ViT).
        student_temperature: Temperature of the student (paper, Sec. 3.1: 0.1).
        teacher_temperature: Temperature of the teacher, after its warm-up (paper: 0.07).
        warmup_temperature: The temperature that it starts from (paper: 0.04).
        warmup_temperature_epochs: Epochs over which it rises, at most half of the run (paper: 30).
        center_momentum: How slowly the centre follows the teacher's outputs (paper: 0.9).
        momentum: How slowly the teacher follows the student at first; to 1 along a cosine (paper: 0.996).
        weight_decay_end: Weight decay at the end of the run, along a cosine from the optimiser's (paper: 0.4; authors'
            code for ResNets: 1e-4 throughout, with SGD).
        freeze_epochs: Epochs in which the last layer is held still (authors' code: 1).
    """

    judged_by = "probe"
    # Paper, Sec. 3.1 "Implementation details"; the clipping from the authors' code.
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
        """The bottleneck of the teacher's head, on the unit sphere (n, bottleneck_dim)."""
        return _project(self.head, features)[0]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the teacher's two views with all the student's but the same (paper, Eq. 3)."""
        seen = [torch.cat(views) for views in (batch.views[:GLOBAL_VIEWS], batch.views[GLOBAL_VIEWS:]) if views]
        with torch.no_grad():
            embedding = self.backbone(seen[0])
            projection, target = _project(self.head, embedding)
        # The large crops together, then the small ones: batch norm's statistics are theirs, as in the authors' code.
        predicted = torch.cat([_project(self.student_head, self.student(views))[1] for views in seen])
        n = len(batch.index)
        with torch.autocast(predicted.device.type, enabled=False):
            outputs = (list(logits.to(self.criterion.center.dtype).split(n)) for logits in (target, predicted))
            loss = self.criterion(*outputs, teacher_temp=self.teacher_temperature())
        return {"loss": loss, "embedding": embedding[:n], "projection": projection[:n]}

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """In the first epoch the last layer gets no gradient."""
        if self.batches < self.freeze_epochs * self.budget.batches_per_epoch:
            for parameter in self.student_head.last_layer.parameters():
                parameter.grad = None

    def after_update(self) -> None:
        """The teacher follows the student (paper, Sec. 3.1), and the centre the teacher's outputs (Eq. 4)."""
        self.criterion.move_center()
        momentum = cosine_schedule(self.batches, self.budget.batches, self.momentum, 1.0)
        update_momentum(self.student, self.backbone, momentum)
        update_momentum(self.student_head, self.head, momentum)

    def teacher_temperature(self) -> float:
        """The teacher's temperature for this batch: linear over its warm-up."""
        start, end = self.temperatures
        warmup = min(self.warmup_temperature_epochs * self.budget.batches_per_epoch, self.budget.batches / 2)
        return end if self.batches >= warmup else start + (end - start) * self.batches / warmup

    def weight_decay(self, group: dict[str, Any], batches: int) -> float:
        """A cosine from the optimiser's to `weight_decay_end`; none where there is none at first."""
        start = group["peak_weight_decay"]
        return cosine_schedule(batches, self.budget.batches, start, self.weight_decay_end) if start else 0.0


class _Loss(DINOLoss):
    """lightly's loss, but its centre, a buffer, moves once a batch instead of with each part of one."""

    def __init__(self, output_dim: int, **options: Any) -> None:
        super().__init__(output_dim, **options)
        self._means: list[Tensor] = []

    @torch.no_grad()
    def update_center(self, teacher_out: Tensor) -> None:
        """Keeps the mean (1, 1, output_dim) of one part's outputs, for `move_center`."""
        self._means.append(teacher_out.mean((0, 1), keepdim=True))

    def move_center(self) -> None:
        """Moves on by the mean over the batch's parts, which are equally large, and over all processes."""
        super().update_center(torch.cat(self._means))
        self._means.clear()


def _head(features: int, hidden: int, bottleneck: int, output: int, normed: bool) -> DINOProjectionHead:
    with warnings.catch_warnings():
        # lightly uses the older of torch's two weight norms.
        warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
        return DINOProjectionHead(features, hidden, bottleneck, output, norm_last_layer=normed)


def _project(head: DINOProjectionHead, features: Tensor) -> tuple[Tensor, Tensor]:
    """The head's bottleneck on the unit sphere (n, bottleneck_dim), and its outputs (n, output_dim)."""
    bottleneck = F.normalize(head.layers(features), dim=-1)
    return bottleneck, head.last_layer(bottleneck)
