"""Refit: an anomaly detector that fits the macro model of a lens to its image.

A network predicts the parameters of the macro model from an image (Hezaveh et al. 2017,
https://arxiv.org/abs/1708.08842), and a fit with the simulator's renderer refines these parameters. The score is the
chi-square of the residual where there is arc light. Substructure in images of single lenses is searched for in a
similar way (Vegetti & Koopmans 2009, https://arxiv.org/abs/0805.0201).
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
"""Number of lenses that give the mean and the standard deviation of each parameter (to 3 %)."""

TARGETS = "refit_targets"
"""Key of the names of the predicted parameters in a checkpoint."""


class Refit(Method, Scorer, Reconstructor):
    """Refit: score an image by the chi-square of the residual of a fitted macro model.

    A network predicts the macro model and a fit refines the prediction. The network is trained on lenses without
    substructure and needs no labels. Unlike detectors that see images only, the method uses the simulator: the model of
    lens, source and lens light, the PSF and the noise. An image outside this model has a high score, with or without
    substructure.

    Args:
        backbone: Network that predicts the parameters from an image.
        steps: Largest number of Levenberg-Marquardt steps.
        bin: Width in pixels of the bins over which residuals are averaged.
        arc: Smallest brightness of the model's arc in a bin that enters the chi-square, as a fraction of the brightest
            bin.
        free: Names of parameters to fit although the simulator fixes them, such as `source_n` or `light_radius`. By
            default the parameters that are never known for a real lens, such as `theta_E`. `psf_sigma` is the width of
            a Gaussian that broadens the simulator's PSF.
        noise: Source of the noise variance: `simulator`, if all images have the same noise, or `image`, estimated from
            the residual of each image.
        jacobian: Derivatives of images: `differences` for finite differences, three times as fast on a CPU, or
            `autodiff` for automatic differentiation.
        source: Model of the source: `simulator` for the simulator's profile, `shapelets` for a sum of shapelets, which
            can have any form, or `both` for the sum of the two.
        shapelet_order: Highest order of the shapelets; their number is (order + 1) (order + 2) / 2.
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
            UsageError: The simulator has no macro model, or the images differ from its images by more than their unit.
        """
        of_model = None if self.free is None else [name for name in self.free if name != PSF_SIGMA]
        model = simulator.macro_model(of_model) if simulator is not None else None
        if model is None:
            why = "but this simulator has none" if simulator is not None else "but these images have no simulator"
            raise UsageError(
                f"method 'refit' fits the simulator's macro model, {why}: use --simulator deeplense-a, deeplense-b, "
                "deeplense-1, deeplense-2, deeplense-3, substructure or hst"
            )
        if preprocess.stretch != "linear":
            raise UsageError(
                f"method 'refit' fits unstretched images, but these are stretched by {preprocess.stretch}: "
                "use --set input.stretch=linear"
            )
        if self.backbone.size != model.pixels:
            raise UsageError(
                f"method 'refit' fits images of {model.pixels} pixels as they are simulated, not resized to "
                f"{self.backbone.size}: leave out input.size, and use a backbone for any size: --backbone resnet18"
            )
        if self.source != "simulator" and not model.traced_by:
            raise UsageError(f"the simulator's macro model traces no rays: leave out method.source={self.source}")
        if self.source == "simulator" and model.other_sources:
            raise UsageError(
                "the simulator's sources differ in form from the sources of its macro model: use "
                "method.source=shapelets, or "
                f"simulator.{', simulator.'.join(model.other_sources)}"
            )
        self.model = model
        broad = PSF_SIGMA in (self.free or ())
        self.rendered = Rendered(model, self.jacobian, self.source, self.shapelet_order, broad)
        if not model.noise_is_known and self.noise == "simulator":
            log.info("the noise differs from image to image: method 'refit' estimates it from each image's residual")

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        """Make the layer that predicts parameters; store means and deviations."""
        values = {name: value.double() for name, value in sample(SAMPLE).items() if name in self.model.bounds}
        values = {name: value[value.isfinite()] for name, value in values.items()}
        varied = {name: value for name, value in values.items() if len(value) > 1 and value.min() < value.max()}
        if not varied:
            raise UsageError("method 'refit' predicts parameters that differ between lenses, but here all are constant")
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
        """Make the layers of a loaded run, for which `prepare` does not run."""
        if not self.targets and TARGETS in checkpoint:
            self._make_layers(tuple(checkpoint[TARGETS]))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the mean squared error of all parameters, in standard deviations."""
        features = self.backbone(batch.views[0])
        values = torch.stack([batch.parameters[name][:, 0] for name in self.targets], 1)
        target = ((values - self.mean) / self.std).to(features.dtype)
        loss = F.mse_loss(self.head(features), target)
        return {"loss": loss, "r2": 1 - loss.detach(), "embedding": features.detach()}

    def predict_macro(self, images: Tensor) -> dict[str, Tensor]:
        """Return the network's values (n,) of the predicted parameters.

        Args:
            images: Images (n, channels, pixels, pixels), preprocessed as for the backbone.
        """
        values = self.head(self.backbone(images)) * self.std + self.mean
        return dict(zip(self.targets, values.unbind(1), strict=True))

    @torch.no_grad()
    def fit(self, images: Tensor, start: Mapping[str, Tensor] | None = None) -> Fit:
        """Fit the macro model to the first channel of images.

        Args:
            images: Images (n, channels, pixels, pixels), preprocessed as for the backbone.
            start: Parameters (n,) to start from, by name; by default the network's predictions. Missing parameters
                start from the middle of their range.
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
        """Return the chi-square (n,) of the fits: 1 on average for noise alone."""
        return self.chi2(images, self.fit(images))

    def chi2(self, images: Tensor, found: Fit) -> Tensor:
        """Return the chi-square (n,) of the binned residual where there is arc light.

        Args:
            images: Images, preprocessed as for the backbone.
            found: Fits of these images.
        """
        residual, light = images[:, 0] - found.image, found.light.sum(1)
        if self.noise == "simulator" and self.model.noise_is_known:
            variance = self.model.variance(light)
        else:
            variance = estimated_variance(residual, light)
        arc = found.light[:, list(self.rendered.parts).index(MacroModel.ARC)]
        return binned_chi2(residual, variance, arc, bin=self.bin, fraction=self.arc)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the fitted model images."""
        return self._fitted(images).image[:, None].expand_as(images)

    def figures(self, images: Tensor) -> dict[str, Tensor]:
        """Return `failed fits`: 1 for fits that have not converged, else 0."""
        return {"failed fits": (~self._fitted(images).converged).double()}

    def _fitted(self, images: Tensor) -> Fit:
        """Return the fits of images; do not repeat the last fit for the same images."""
        if self._last is not None and self._last[0].shape == images.shape and torch.equal(self._last[0], images):
            return self._last[1]
        return self.fit(images)
