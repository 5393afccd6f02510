"""Simulator of rings."""

from typing import Annotated

import torch
from annotated_types import Ge
from lenskit.plugin import Distribution, Parameter, Simulator


class PinnedSimulator(Simulator):
    """Rings of random radius around a round lens galaxy, with noise.

    Args:
        theta_E: Radius of the ring in arcsec.
        width: Width of the ring in arcsec, as the standard deviation of a Gaussian.
        pixels: Height and width of an image.
        noise: Standard deviation of the noise; the peak of the ring is 1.
    """

    groups = ("lens", "source", "instrument")        # in the order of drawing; pairs can share any group
    removable = frozenset({"source"})                # `render` can leave its light out
    parameters = (
        Parameter("theta_E", "arcsec", r"$\theta_E$", "lens", headline=True),
        Parameter("width", "arcsec", "$w$", "source"),
    )
    pixel_scale = 0.1

    def __init__(
        self,
        *,
        theta_E: Distribution = "uniform(0.5, 1.2)",
        width: Distribution = "uniform(0.1, 0.2)",
        pixels: Annotated[int, Ge(8)] = 32,
        noise: Annotated[float, Ge(0)] = 0.05,
    ) -> None:
        self.theta_E, self.width = Distribution.parse(theta_E), Distribution.parse(width)
        self.noise = noise
        self.image_shape = (1, pixels, pixels)
        axis = self.pixel_scale * (torch.arange(pixels) - (pixels - 1) / 2)
        self.radius = torch.hypot(axis, axis[:, None])   # attributes move to the device of the training

    def draw(self, group, rng, scene):
        if group == "lens":
            return {"theta_E": rng.sample("theta_E", self.theta_E)}
        if group == "source":
            return {"width": rng.sample("width", self.width)}
        return {"noise": rng.noise("noise", *self.image_shape)}

    def render(self, scene, omit=()):
        theta_E, width = (scene[name][:, None, None, None] for name in ("theta_E", "width"))
        radius = self.radius.to(theta_E)
        galaxy = torch.exp(-(radius**2) / 0.1).expand(len(theta_E), 1, -1, -1)
        ring = torch.exp(-((radius - theta_E) ** 2) / (2 * width**2))
        return galaxy + ring * ("source" not in omit) + self.noise * scene["noise"]
