"""A detector of anomalies that fits the macro model of a lens to its image.

A network reads the parameters of the macro model off an image (Hezaveh et al. 2017, https://arxiv.org/abs/1708.08842),
and a fit with the simulator's own renderer refines them. The score is the chi-square of the residual where there is arc
light, as substructure is looked for in images of single lenses (Vegetti & Koopmans 2009,
https://arxiv.org/abs/0805.0201).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, Method, Parameter, Reconstructor, Scorer, Simulator, UsageError, at_most
from lenskit.toolbox import MacroModel, Preprocess
from lenskit_deeplense.refit.fit import Fit, fit
from lenskit_deeplense.refit.rendered import PSF_SIGMA, Jacobian, Rendered, Source
from lenskit_deeplense.refit.residuals import binned_chi2, estimated_variance

log = logging.getLogger("lenskit")

SAMPLE = 1024
"""Lenses that give the mean and the standard deviation of each parameter: to 3 % of the latter."""

TARGETS = "refit_targets"
"""Key of the names of the predicted parameters in a checkpoint."""


class Refit(Method, Scorer, Reconstructor):
    """Refit: a network predicts the macro model of an image, a fit refines it, and the residual's chi-square is the
    score.

    It is trained on lenses without substructure and needs no class label. Other than detectors that see images alone it
    knows the simulator: the family of lens, source and lens light, the PSF and the noise. An image that lies outside
    this family has a high score whether it has substructure or not.

    Args:
        backbone: Network whose features the parameters are predicted from.
        steps: Largest number of Levenberg-Marquardt steps.
        bin: Pixels along each side of the bins that residuals are averaged in.
        arc: Bins count in which the model's arc is brighter than this fraction of its brightest bin.
        free: Parameters to be fitted although the simulator fixes them, such as `source_n` or `light_radius`; if not
            given, those that nobody knows of a real lens, such as `theta_E`. `psf_sigma` is the width of a Gaussian
            that broadens the simulator's PSF.
        noise: Variance of the noise by the simulator, where it gives all images the same noise; or estimated from the
            residual of each image.
        jacobian: Derivatives of images by finite differences, which are three times as fast on a CPU, or by automatic
            differentiation.
        source: Form of the source: the simulator's profile, a sum of shapelets, which has any form, or the sum of both.
        shapelet_order: Highest order of the shapelets; there are (order + 1) (order + 2) / 2 of them.
    """

    views = 1
    judged_by = "anomaly"
    scored_by = "chi-square of the fit's residual"
    optimizer_defaults = MappingProxyType(
        {"name": "adamw", "lr": 5e-4, "lr_batch": 0, "weight_decay": 0.05, "warmup_epochs": 0}
    )
    default_sections = MappingProxyType({
        "pairs": {"name": "single"},
        "simulator": {"name": "deeplense-a"},
        "input": {"stretch": "linear", "normalise": "none"},
    })  # fmt: skip

    mean: Tensor
    std: Tensor
    model: MacroModel
    rendered: Rendered

    def __init__(
        self,
        backbone: Backbone,
        *,
        steps: Annotated[int, Ge(0), at_most(1000)] = 12,
        bin: Annotated[int, Ge(1), at_most(1000)] = 4,
        arc: Annotated[float, Gt(0), Lt(1)] = 0.05,
        free: tuple[str, ...] | str | None = None,
        noise: Literal["simulator", "image"] = "simulator",
        jacobian: Jacobian = "differences",
        source: Source = "simulator",
        shapelet_order: Annotated[int, Ge(0), at_most(30)] = 10,
    ) -> None:
        super().__init__(backbone)
        if bin > backbone.size:
            raise UsageError(f"option bin: {bin} pixels are more than the {backbone.size} of an image")
        self.steps, self.bin, self.arc = steps, bin, arc
        self.free = tuple(name.strip() for name in free.split(",")) if isinstance(free, str) else free
        self.noise, self.jacobian = noise, jacobian
        self.source, self.shapelet_order = source, shapelet_order
        self.targets: tuple[str, ...] = ()
        self._last: tuple[Tensor, Fit] | None = None

    def simulated(self, simulator: Simulator | None, preprocess: Preprocess) -> None:
        """Take the macro model of the simulator.

        Raises:
            UsageError: There is none, or images are not what it renders but for their unit.
        """
        of_model = None if self.free is None else [name for name in self.free if name != PSF_SIGMA]
        model = simulator.macro_model(of_model) if simulator is not None else None
        if model is None:
            what = "and this one has none" if simulator is not None else "and these images come without one"
            raise UsageError(
                f"method 'refit' fits the simulator's macro model, {what}: use --simulator deeplense-a, deeplense-b, "
                "deeplense-1, deeplense-2, deeplense-3, substructure or hst"
            )
        if preprocess.stretch != "linear":
            raise UsageError(
                f"method 'refit' fits brightness as it is, not stretched by {preprocess.stretch}: "
                "use --set input.stretch=linear"
            )
        if self.backbone.size != model.pixels:
            raise UsageError(
                f"method 'refit' fits images of {model.pixels} pixels as they are simulated, not resized to "
                f"{self.backbone.size}: leave out input.size, and use a backbone of any size, as --backbone resnet18"
            )
        if self.source != "simulator" and not model.traced_by:
            raise UsageError(f"the simulator's macro model traces no rays: leave out method.source={self.source}")
        if self.source == "simulator" and model.other_sources:
            raise UsageError(
                "sources of the simulator have other forms than its macro model's: use method.source=shapelets, or "
                f"simulator.{', simulator.'.join(model.other_sources)}"
            )
        self.model = model
        broad = PSF_SIGMA in (self.free or ())
        self.rendered = Rendered(model, self.jacobian, self.source, self.shapelet_order, broad)
        if not model.noise_is_known and self.noise == "simulator":
            log.info("the noise differs from image to image: method 'refit' estimates it from each image's residual")

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        """Make the layer that predicts parameters, with the mean and standard deviation of each."""
        values = {name: value.double() for name, value in sample(SAMPLE).items() if name in self.model.bounds}
        values = {name: value[value.isfinite()] for name, value in values.items()}
        varied = {name: value for name, value in values.items() if len(value) > 1 and value.min() < value.max()}
        if not varied:
            raise UsageError("method 'refit' predicts parameters of lenses, and all lenses have the same")
        self._make_layers(tuple(varied))
        for i, value in enumerate(varied.values()):
            self.mean[i], self.std[i] = value.mean(), value.std()

    def _make_layers(self, targets: tuple[str, ...]) -> None:
        self.targets = targets
        self.register_buffer("mean", torch.zeros(len(targets)))
        self.register_buffer("std", torch.ones(len(targets)))
        self.head = nn.Linear(self.backbone.features, len(targets))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[TARGETS] = self.targets

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the layers of a run that is opened, which `prepare` has not made."""
        if not self.targets and TARGETS in checkpoint:
            self._make_layers(tuple(checkpoint[TARGETS]))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """The mean squared error of all parameters in units of their standard deviation."""
        features = self.backbone(batch.views[0])
        values = torch.stack([batch.parameters[name][:, 0] for name in self.targets], 1)
        target = ((values - self.mean) / self.std).to(features.dtype)
        loss = F.mse_loss(self.head(features), target)
        return {"loss": loss, "r2": 1 - loss.detach(), "embedding": features.detach()}

    def predict_macro(self, images: Tensor) -> dict[str, Tensor]:
        """Return the network's values (n,) of the parameters that vary, for images as the backbone takes them."""
        values = self.head(self.backbone(images)) * self.std + self.mean
        return dict(zip(self.targets, values.unbind(1), strict=True))

    @torch.no_grad()
    def fit(self, images: Tensor, start: Mapping[str, Tensor] | None = None) -> Fit:
        """Fit the macro model to images (n, channels, pixels, pixels), of which the first channel counts.

        Args:
            images: As the backbone takes them.
            start: Parameters (n,) to start from; by default the network's. Parameters that are not named start from
                the middle of their range.
        """
        start = self.predict_macro(images) if start is None else start
        plane = images[:, 0]
        columns = [
            start[name].to(plane) if name in start else plane.new_full((len(plane),), (low + high) / 2)
            for name, (low, high) in self.rendered.bounds.items()
        ]
        fits = fit(self.rendered, plane, torch.stack(columns, 1), self.steps)
        self._last = images, fits
        return fits

    def score(self, images: Tensor) -> Tensor:
        """The chi-square of the fits: (n,), 1 on average for noise alone."""
        return self.chi2(images, self.fit(images))

    def chi2(self, images: Tensor, found: Fit) -> Tensor:
        """Return the chi-square (n,) of the binned residual where there is arc light.

        Args:
            images: As the backbone takes them.
            found: Their fits.
        """
        residual, light = images[:, 0] - found.image, found.light.sum(1)
        if self.noise == "simulator" and self.model.noise_is_known:
            variance = self.model.variance(light)
        else:
            variance = estimated_variance(residual, light)
        arc = found.light[:, list(self.rendered.parts).index(MacroModel.ARC)]
        return binned_chi2(residual, variance, arc, bin=self.bin, fraction=self.arc)

    def reconstruct(self, images: Tensor) -> Tensor:
        """The fitted models."""
        return self._fitted(images).image[:, None].expand_as(images)

    def figures(self, images: Tensor) -> dict[str, Tensor]:
        """Whether a fit had not converged after all steps."""
        return {"failed fits": (~self._fitted(images).converged).double()}

    def _fitted(self, images: Tensor) -> Fit:
        """The fits of images, which were mostly scored just before."""
        if self._last is not None and self._last[0].shape == images.shape and torch.equal(self._last[0], images):
            return self._last[1]
        return self.fit(images)
