"""Methods: what learns from the views of a lens, through a backbone."""

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

    A subclass states how many `views` it takes and what `optimizer_defaults` its paper uses, and implements `step`. Its
    keyword-only constructor arguments are its options. Further abilities are mixins: `Scorer`, `Reconstructor`. A
    method that needs several optimisers, or another one, implements `configure_optimizers`.

    Everything that changes from batch to batch is a function of the number of batches done, given as `batches`: a run
    that is killed and resumed is then the same run. Learning rates follow that rule by themselves, see `learning_rate`.
    """

    views: int
    """Number of views of each lens that the method takes."""

    optimizer_defaults: ClassVar[Mapping[str, Any] | None] = None
    """The options of a run's section `optimizer` as the method's paper has them; None if the method makes its
    optimisers itself, in `configure_optimizers`."""

    default_sections: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """Options of other sections that its paper has, such as `{"backbone": {"name": ...}, "input": {...}}`: defaults of
    a run with this method."""

    judged_by: ClassVar[str] = ""
    """Name of the evaluation that is suggested when a run ends, such as `probe`."""

    unused_parameters: bool = False
    """Whether some weights that are trained get no gradient in a batch, which several processes have to expect."""

    seed: int
    budget: Budget
    optimizer_settings: OptimizerSettings
    """These three are set by the runner before training."""

    batches: int = 0
    """Number of batches done, set by the runner before each batch."""

    backbone: Backbone

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Learn from one batch.

        Returns:
            `loss`, and for the collapse monitor, where they exist, `embedding` (n, features) and `projection` (n, d).
            Other scalars are logged by their names.
        """
        raise NotImplementedError

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Call `step`, as Lightning wants it, and check what it returns."""
        outputs = self.step(batch)
        check_outputs(self, outputs, len(batch.index))
        return outputs

    def simulated(self, simulator: Simulator | None, preprocess: Preprocess) -> None:
        """Take the simulator of the lenses. It is called once before `prepare`, and when a run is opened.

        Most methods need images alone.

        Args:
            simulator: The run's, or the one that made its stored images; None if there is none.
            preprocess: Applied to simulated images before the method sees them.

        Raises:
            UsageError: The method cannot use such a simulator or such images.
        """

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        """Take the recorded parameters of the lenses. It is called once before training.

        Most methods need none. A method that makes layers of them keeps in a checkpoint, as plain values, all that is
        needed to make the layers without the training data: Lightning's `on_save_checkpoint` and `on_load_checkpoint`.

        Args:
            parameters: The recorded parameters.
            sample: Gives the values (n,) of each parameter for the first n lenses (or all there are), on the CPU.

        Raises:
            UsageError: The method cannot learn from lenses of which this is recorded.
        """

    def check_range(self, low: float, high: float) -> None:
        """Refuse images by their values. It is called before training and while training, by all processes alike.

        Most methods take any images.

        Args:
            low: Lowest pixel of images that the method is given.
            high: Highest pixel.

        Raises:
            UsageError: The method cannot learn from images of such values.
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
        return make_optimizer(self.parameter_groups(), self.optimizer_settings, self.budget.batch_size)

    def embed(self, images: Tensor) -> Tensor:
        """The representation of images (n, channels, height, width): (n, features)."""
        return self.backbone(images)

    def project(self, features: Tensor) -> Tensor | None:
        """The projections (n, d) of features (n, features) of the backbone, on which the loss acts; the `projection`
        that `step` returns. None for a method that has none."""
        return None

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


class Scorer(ABC):
    """Mixin of a method that scores how unlike the training images others are: a detector of anomalies."""

    scored_by: ClassVar[str] = ""
    """Name of the score for tables, such as `chi-square`; by default `the method's score`, or `reconstruction error` of
    a `Reconstructor`."""

    @abstractmethod
    def score(self, images: Tensor) -> Tensor | None:
        """Return the scores (n,) of images, higher is stranger; None if this run's options leave it without a score.

        Args:
            images: (n, channels, height, width), stretched and resized, as the backbone takes them.
        """

    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return further figures (n,) of images by name: `lenskit anomaly` shows the mean of each class.

        Args:
            images: (n, channels, height, width), as `score` takes them.
        """
        return {}


class Reconstructor(ABC):
    """Mixin of a method that reconstructs images from its representation of them."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return reconstructed images, of the same shape and scale.

        Args:
            images: (n, channels, height, width), stretched and resized, as the backbone takes them.
        """


class Predictor(ABC):
    """Mixin of a method that predicts recorded parameters.

    Attributes:
        classes: For each predicted class column, the number of its classes.
    """

    classes: Mapping[str, int]

    @abstractmethod
    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Return predictions (n,) for each target, in the parameter's unit; of a class column, the likeliest class.

        Args:
            images: (n, channels, height, width), stretched and resized, as the backbone takes them.
        """

    @abstractmethod
    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        """Return the probabilities (n, classes) of each class column, in the order of its classes.

        Args:
            images: (n, channels, height, width), as `predict` takes them.
        """
