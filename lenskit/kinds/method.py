"""Methods: what learns from the views of a lens, through a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor

from lenskit.generator import KeyedGenerator
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.pairs import Batch
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Simulator
from lenskit.optimization import make_optimizer
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.settings import OptimizerSettings


@dataclass(frozen=True)
class Budget:
    """How long a run is, in the unit that everything counts in: batches.

    Attributes:
        batch_size: Lenses a batch, over all processes.
        batches_per_epoch: Batches an epoch.
        epochs: Epochs of the run.
    """

    batch_size: int
    batches_per_epoch: int
    epochs: int

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        return self.batches_per_epoch * self.epochs


class Method(pl.LightningModule):
    """A Lightning module that is given a backbone and learns from batches of views.

    A subclass states how many `views` it takes, what `optimizer` its paper uses, and implements `training_step`; its
    keyword-only constructor arguments are its options. One that detects anomalies also implements `score`, and one that
    makes images anew `reconstruct`. One that needs several optimisers, or another one, implements
    `configure_optimizers`.

    What changes from batch to batch is a function of the number of batches done, given as `batches`: a run that is
    killed and resumed is then the same run. Learning rates follow that rule by themselves, see `learning_rate`.
    """

    views: int
    """Number of views of each lens that the method takes."""

    optimizer: ClassVar[Mapping[str, Any] | None] = None
    """The options of a run's section `optimizer` as the method's paper has them; None if the method makes its
    optimisers itself, in `configure_optimizers`."""

    usual: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """What its paper has of other sections, such as `{"backbone": {"name": ...}, "input": {...}}`: lenskit's defaults
    for a run with this method."""

    scored_by: ClassVar[str] = ""
    """Name of the score for tables, such as `chi-square`; by default `the method's score`, or `reconstruction error` if
    the method reconstructs."""

    judged_by: ClassVar[str] = ""
    """Name of the evaluation that is suggested when a run ends, such as `probe`."""

    unused_parameters: bool = False
    """Whether some weights that are trained get no gradient in a batch, which several processes have to expect."""

    seed: int
    budget: Budget
    optimization: OptimizerSettings
    """These three are set by the runner before training."""

    batches: int = 0
    """Number of batches done, set by the runner before each batch."""

    backbone: Backbone

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Learns from one batch.

        Returns:
            `loss`, and for the collapse monitor, where they exist, `embedding` (n, features) and `projection` (n, d).
            Other scalars are logged by their names.
        """
        raise NotImplementedError

    def simulated(self, simulator: Simulator | None, preprocess: Preprocess) -> None:
        """Called once before `prepare`, and when a run is opened, with what simulates the lenses. Most methods need
        images alone.

        Args:
            simulator: The run's, or the one that made its stored images; None if there is none.
            preprocess: Applied to simulated images before the method sees them.

        Raises:
            UsageError: The method cannot use such a simulator or such images.
        """

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        """Called once before training, with what is recorded of the lenses. Most methods need nothing of it.

        A method that makes layers of it keeps in a checkpoint, as plain values, what makes them again, and makes them
        of that where it was not prepared: Lightning's `on_save_checkpoint` and `on_load_checkpoint`. Without these a
        run can be opened only where its training data are.

        Args:
            parameters: The recorded parameters.
            sample: Gives the values (n,) of each parameter for the first n lenses (or all there are), on the CPU.

        Raises:
            UsageError: if the method cannot learn from lenses of which this is recorded.
        """

    def check(self, images: Callable[[int], Tensor]) -> None:
        """Called once before training, with a way to look at some images. Most methods take any.

        Args:
            images: Gives about n images (n, channels, height, width), one view of each, on the CPU: of stored ones from
                all parts of the data, of simulated ones, which are all alike, a few.

        Raises:
            UsageError: if the method cannot learn from such images.
        """

    def check_shown(self) -> None:
        """Called now and then while training, and before anything is saved: what a step remembered on the device of the
        images that it was shown may be read back here, by all processes alike. Most methods remember nothing.

        Raises:
            UsageError: if they were none that the method can learn from.
        """

    def after_update(self) -> None:
        """Called once a batch, when the optimiser has changed the weights: momentum encoders follow here."""

    def rng(self, batch: Batch, name: str) -> KeyedGenerator:
        """Random numbers for each lens of a batch, such as masks: the same however many processes share the batch."""
        return KeyedGenerator(
            self.seed, "train", f"method/{name}", batch.index, torch.full_like(batch.index, self.batches)
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser changes: groups of `modules`, with `constant_lr` for a rate without a schedule."""
        return [{"modules": [self]}]

    def configure_optimizers(self) -> Any:
        """The optimiser, by default the run's. The `lr` of each parameter group is its peak; see `learning_rate`."""
        return make_optimizer(self.parameter_groups(), self.optimization, self.budget.batch_size)

    def embed(self, images: Tensor) -> Tensor:
        """The representation of images (n, channels, height, width): (n, features)."""
        return self.backbone(images)

    def project(self, features: Tensor) -> Tensor | None:
        """The projections (n, d) of features (n, features) of the backbone, on which the loss acts; the `projection`
        that `training_step` returns. None for a method that has none."""
        return None

    def reconstruct(self, images: Tensor) -> Tensor | None:
        """Images (n, channels, height, width) as the method makes them anew from its representation of them, the same
        shape and scale. None for a method that makes no images.

        Args:
            images: As the backbone takes them: stretched and resized.
        """
        return None

    def score(self, images: Tensor) -> Tensor | None:
        """How strange images (n, channels, height, width) are beside those trained on: (n,), higher is stranger. None
        for a method that does not say.

        Args:
            images: As the backbone takes them: stretched and resized.
        """
        return None

    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return figures of images (n, channels, height, width) beside their score, (n,) each by name: `lenskit
        anomaly` shows the mean of each class. By default there are none.

        Args:
            images: As the backbone takes them: stretched and resized.
        """
        return {}

    def learning_rate(self, group: dict[str, Any], batches: int) -> float:
        """The learning rate of a parameter group for the batch after `batches` batches.

        By default a linear warm-up over the group's `warmup_epochs` (0 if it has none; at most half of the run) to its
        peak, then a half cosine to zero at the end of the run; a group with `constant_lr` keeps its peak throughout.

        Args:
            group: The optimiser's parameter group; `peak_lr` is the rate that `configure_optimizers` gave it.
            batches: Number of batches done.
        """
        peak = group["peak_lr"]
        if group.get("constant_lr"):
            return peak
        warmup = min(round(group.get("warmup_epochs", 0) * self.budget.batches_per_epoch), self.budget.batches // 2)
        if batches < warmup:
            return peak * (batches + 1) / warmup
        return cosine_schedule(batches - warmup, self.budget.batches - warmup + 1, peak, 0.0)

    def weight_decay(self, group: dict[str, Any], batches: int) -> float:
        """The weight decay of a parameter group for the batch after `batches` batches: by default the same throughout.

        Args:
            group: The optimiser's parameter group; `peak_weight_decay` is what `configure_optimizers` gave it.
            batches: Number of batches done.
        """
        return group["peak_weight_decay"]
