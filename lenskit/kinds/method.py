"""Base classes of methods, which train a backbone on the views of lenses."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
from lenskit.kinds.outputs import check_outputs
from lenskit.kinds.pairs import Batch
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Simulator
from lenskit.optimization import make_optimizer
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.settings import OptimizerSettings


@dataclass(frozen=True)
class Budget:
    """Length of a run in batches.

    Attributes:
        batch_size: Lenses per batch, over all processes.
        batches_per_epoch: Batches per epoch.
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
    """Lightning module that trains a backbone on batches of views.

    A subclass sets the number of `views` that it takes and the `optimizer_defaults` of its paper, and implements
    `step`. Its keyword-only constructor arguments are its options. Mixins add abilities: `Scorer`, `Reconstructor`,
    `Predictor`. A method that needs several optimisers, or a different one, implements `configure_optimizers`.

    All quantities that change from batch to batch must be functions of `batches`, the number of batches done. A run
    that is killed and resumed then equals a run without the interruption. Learning rates already follow this rule; see
    `learning_rate`.
    """

    views: int
    """Number of views of each lens that the method takes."""

    optimizer_defaults: ClassVar[Mapping[str, Any] | None] = None
    """Options of the section `optimizer` from the method's paper. None if the method creates its optimisers itself, in
    `configure_optimizers`."""

    default_sections: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """Options of other sections from the method's paper, such as `{"backbone": {"name": ...}, "input": {...}}`. They
    are the defaults of a run with this method."""

    judged_by: ClassVar[str] = ""
    """Name of the evaluation that is suggested at the end of a run, such as `probe`."""

    unused_parameters: bool = False
    """Whether some trained weights may get no gradient in a batch. With `train.strategy=auto`, several processes then
    use `ddp_find_unused_parameters_true`."""

    seed: int
    budget: Budget
    optimizer_settings: OptimizerSettings
    """`seed`, `budget` and `optimizer_settings` are set by the runner before training."""

    batches: int = 0
    """Number of batches done, set by the runner before each batch."""

    backbone: Backbone

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Learn from one batch.

        Returns:
            `loss`; for the collapse monitor also `embedding` (n, features) and `projection` (n, d), if they exist.
            Other scalars are logged under their names.
        """
        raise NotImplementedError

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Call `step` for Lightning, and check its outputs."""
        outputs = self.step(batch)
        check_outputs(self, outputs, len(batch.index))
        return outputs

    def simulated(self, simulator: Simulator | None, preprocess: Preprocess) -> None:
        """Receive the simulator of the lenses.

        It is called once before `prepare`, and when a checkpoint is loaded. Most methods need only images, and ignore
        it.

        Args:
            simulator: The simulator of the run, or the simulator of its stored images; None if there is none.
            preprocess: Preprocessing of simulated images, before the method receives them.

        Raises:
            UsageError: The method cannot use such a simulator or such images.
        """

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        """Receive the recorded parameters of the lenses.

        It is called once before training. Most methods need no parameters. A method that builds layers from parameters
        must be able to rebuild the layers without the training data. It saves the necessary plain values in the
        checkpoint, with Lightning's `on_save_checkpoint` and `on_load_checkpoint`.

        Args:
            parameters: The recorded parameters.
            sample: Function that returns the values (n,) of each parameter for the first n lenses (or for all lenses,
                if there are fewer), on the CPU.

        Raises:
            UsageError: The method cannot learn from lenses with these recorded parameters.
        """

    def check_range(self, low: float, high: float) -> None:
        """Check the range of the pixel values.

        All processes call it, before training and during training, with the same range. Most methods accept any
        range.

        Args:
            low: Lowest pixel value of the images that the method receives.
            high: Highest pixel value.

        Raises:
            UsageError: The method cannot learn from images with such values.
        """

    def after_update(self) -> None:
        """Update momentum encoders.

        It is called once per batch, after the optimiser has changed the weights.
        """

    def rng(self, batch: Batch, name: str) -> KeyedGenerator:
        """Return a generator of random numbers for each lens of a batch.

        Masks, for example, need it. The numbers do not depend on the number of processes that share the batch.
        """
        return KeyedGenerator(
            self.seed, "train", f"method/{name}", batch.index, torch.full_like(batch.index, self.batches)
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups.

        Each group has `modules`, the modules that it trains. A group with `constant_lr` has a learning rate without a
        schedule.
        """
        return [{"modules": [self]}]

    def configure_optimizers(self) -> Any:
        """Return the optimiser; by default the optimiser of the run's settings.

        The `lr` of each parameter group is its peak learning rate, see `learning_rate`.
        """
        return make_optimizer(self.parameter_groups(), self.optimizer_settings, self.budget.batch_size)

    def embed(self, images: Tensor) -> Tensor:
        """Return the representations (n, features) of images (n, channels, height, width)."""
        return self.backbone(images)

    def project(self, features: Tensor) -> Tensor | None:
        """Return the projections (n, d) of the backbone's features (n, features).

        The loss acts on these projections. `step` returns them as `projection`. None if the method has no projections.
        """
        return None

    def learning_rate(self, group: dict[str, Any], batches: int) -> float:
        """Return the learning rate of a parameter group after `batches` batches.

        By default the rate rises linearly to its peak over the group's `warmup_epochs` (0 if not set; at most half of
        the run). It then falls along a half cosine to zero at the end of the run. A group with `constant_lr` keeps its
        peak rate throughout.

        Args:
            group: The optimiser's parameter group. Its `peak_lr` is the `lr` that `configure_optimizers` set.
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
        """Return the weight decay of a parameter group after `batches` batches.

        By default it is constant.

        Args:
            group: The optimiser's parameter group. Its `peak_weight_decay` is the `weight_decay` that
                `configure_optimizers` set.
            batches: Number of batches done.
        """
        return group["peak_weight_decay"]


class Scorer(ABC):
    """Mixin for methods with an anomaly score.

    A score measures the difference of an image from the training images.
    """

    scored_by: ClassVar[str] = ""
    """Name of the score for tables, such as `chi-square`. The default is `the method's score`, or `reconstruction
    error` for a `Reconstructor`."""

    @abstractmethod
    def score(self, images: Tensor) -> Tensor | None:
        """Return the anomaly scores (n,) of images; a higher score is more anomalous.

        None if the method has no score with the options of this run.

        Args:
            images: (n, channels, height, width), stretched and resized for the backbone.
        """

    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return further quantities (n,) of images by name.

        `lenskit anomaly` shows their mean for each class.

        Args:
            images: (n, channels, height, width), as in `score`.
        """
        return {}


class Reconstructor(ABC):
    """Mixin for methods that reconstruct images from their representations."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return reconstructed images, of the same shape and scale.

        Args:
            images: (n, channels, height, width), stretched and resized for the backbone.
        """


class Predictor(ABC):
    """Mixin for methods that predict recorded parameters.

    Attributes:
        classes: Number of classes of each predicted class column, by name.
    """

    classes: Mapping[str, int]

    @abstractmethod
    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Return the predictions (n,) for each target by name.

        A prediction is in the parameter's unit. For a class column it is the number of the most probable class.

        Args:
            images: (n, channels, height, width), stretched and resized for the backbone.
        """

    @abstractmethod
    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        """Return the probabilities (n, classes) of each class column by name.

        The columns have the order of the classes.

        Args:
            images: (n, channels, height, width), as in `predict`.
        """
