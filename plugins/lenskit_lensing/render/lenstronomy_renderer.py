"""Reference renderer, which renders scenes one by one with lenstronomy.

See https://lenstronomy.readthedocs.io. All light is evaluated by lenstronomy. As in the fast renderer, the pixels
around the centre of the lens light are averaged by the rule of `lenskit_lensing.render.cusp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lenstronomy.Data.pixel_grid import PixelGrid
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from torch import Tensor

from lenskit_lensing.render.cusp import cusp_rule, put_blocks
from lenskit_lensing.render.supersampling import Rays, averaged

EPL = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")


class LenstronomyRenderer:
    """Renderer of the arc and the lens light of scenes, in float64 on the CPU.

    Args:
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        psfs: (k, s, s), s odd.
        stamps: Galaxies (k, size, size) for sources that are images, or None.
        supersampling: Rays along each side of a pixel for the average of the arc, see `averaged`.
        ellipticity: Not used, because lenstronomy's power law has no limit.
    """

    def __init__(
        self,
        *,
        pixels: int,
        pixel_scale: float,
        psfs: Tensor,
        stamps: Tensor | None = None,
        supersampling: Rays = 1,
        ellipticity: float | None = None,
    ) -> None:
        self.pixels, self.pixel_scale, self.supersampling = pixels, pixel_scale, supersampling
        self.psfs, self.stamps = psfs.cpu().double().numpy(), stamps
        corner = -(pixels - 1) / 2 * pixel_scale
        self._grid = PixelGrid(pixels, pixels, np.eye(2) * pixel_scale, corner, corner)
        rays = 1 if supersampling == "adaptive" else supersampling
        self._numerics = {"supersampling_factor": rays, "supersampling_convolution": False}
        self._lens = LensModel(["EPL", "SHEAR"])
        self._light, self._light_and_disc = (LightModel(["SERSIC_ELLIPSE"] * number) for number in (1, 2))
        self._models: dict[tuple[int, tuple[str, ...]], ImageModel] = {}

    def __call__(self, scene: Mapping[str, Tensor], extra: Tensor | None = None) -> tuple[Tensor, ...]:
        """Render the arc and the lens light after the PSF, (n, pixels, pixels) each.

        Args:
            scene: Entries for n images; `psf` is the number of the PSF.
            extra: (n, c, pixels, pixels), further light before the PSF, such as neighbours.

        Returns:
            The arc, the lens light and, if given, the further light after the PSF (n, c, pixels, pixels), in arbitrary
            units.
        """
        like, rows = scene["theta_E"], _rows(scene)
        further = np.zeros((len(rows), 0)) if extra is None else extra.cpu().double().numpy()
        images = [self._render(row, light) for row, light in zip(rows, further, strict=True)]
        channels = 2 + further.shape[1]
        blurred = torch.from_numpy(np.reshape(images, (-1, channels, self.pixels, self.pixels))).to(like)
        return (blurred[:, 0], blurred[:, 1]) if extra is None else (blurred[:, 0], blurred[:, 1], blurred[:, 2:])

    def lens_light(self, scene: Mapping[str, Tensor]) -> Tensor:
        """Render the light of the lens galaxy before the PSF, (n, pixels, pixels).

        The surface brightness is one at R_sersic. The scene needs the entries `light_...`, and may have `disc_...`.
        lenstronomy has no profile with isophotes that are not elliptical.
        """
        images = [self._lens_light(row) for row in _rows(scene)]
        return torch.from_numpy(np.reshape(images, (-1, self.pixels, self.pixels))).to(scene["light_x"])

    def _render(self, scene: dict[str, Any], extra: np.ndarray) -> list[np.ndarray]:
        galaxies = [self._galaxy(scene, name) for name in ("source", "companion") if scene[f"{name}_flux"] > 0]
        model = self._model(scene["psf"], tuple(profile for profile, _ in galaxies))
        lens = [{name: scene[name] for name in EPL}, {name: scene[name] for name in ("gamma1", "gamma2")}]
        # An INTERPOL profile caches its first image.
        model.SourceModel.delete_interpol_caches()
        source = [arguments for _, arguments in galaxies]
        blur = model.ImageNumerics.convolution_class.convolution2d
        if self.supersampling == "adaptive":
            arc = blur(self._adaptive_arc(model, lens, source))
        else:
            arc = model.source_surface_brightness(source, lens)
        return [arc, *(blur(light) for light in (self._lens_light(scene), *extra))]

    def _adaptive_arc(self, model: ImageModel, lens: list[dict[str, Any]], source: list[dict[str, Any]]) -> np.ndarray:
        """Return the arc before the PSF with adaptive rays, which lenstronomy lacks."""

        def brightness(x: Tensor, y: Tensor) -> Tensor:
            x, y = torch.broadcast_tensors(x, y)
            behind = self._lens.ray_shooting(x.numpy().ravel(), y.numpy().ravel(), lens)
            light = model.SourceModel.surface_brightness(*behind, source)
            return torch.from_numpy(light).view(1, *x.shape[-2:])

        middles = (torch.arange(self.pixels, dtype=torch.float64) - (self.pixels - 1) / 2) * self.pixel_scale
        return averaged(brightness, middles, self.pixel_scale, self.supersampling)[0].numpy()

    def _model(self, psf: int, profiles: tuple[str, ...]) -> ImageModel:
        """Return a cached image model, because its construction is slower than its use."""
        key = psf, profiles
        if key not in self._models:
            kernel = PSF("PIXEL", kernel_point_source=self.psfs[psf])
            source = LightModel(list(profiles))
            self._models[key] = ImageModel(self._grid, kernel, self._lens, source, kwargs_numerics=self._numerics)
        return self._models[key]

    def _galaxy(self, scene: dict[str, Any], galaxy: str) -> tuple[str, dict[str, Any]]:
        """Return a component of the source as lenstronomy's profile name and arguments."""
        entries = {name.removeprefix(f"{galaxy}_"): value for name, value in scene.items() if name.startswith(galaxy)}
        arguments = {"amp": entries["amplitude"], "center_x": entries["x"], "center_y": entries["y"]}
        if entries["stamp"] < 0:
            names = {"R_sersic": "R_sersic", "Rb": "Rb", "n_sersic": "n", "gamma": "core_slope", "e1": "e1", "e2": "e2"}
            return "CORE_SERSIC", arguments | {theirs: entries[ours] for theirs, ours in names.items()}
        if self.stamps is None:
            raise ValueError("the scene has real galaxies as sources; create the renderer with stamps=...")
        image = self.stamps[entries["stamp"]].cpu().double().numpy()
        if entries["mirror"] < 0:
            image = image[:, ::-1]
        return "INTERPOL", arguments | {"image": image, "phi_G": entries["angle"], "scale": entries["stamp_scale"]}

    def _lens_light(self, scene: dict[str, Any]) -> np.ndarray:
        """Return the surface brightness of the lens light in each pixel, before the PSF."""
        names = {"R_sersic": "R_sersic", "n_sersic": "n", "e1": "e1", "e2": "e2", "center_x": "x", "center_y": "y"}
        arguments = [{"amp": 1.0} | {theirs: scene[f"light_{ours}"] for theirs, ours in names.items()}]
        model = self._light
        if "disc_amplitude" in scene:
            disc = {name: scene[f"disc_{name}"] for name in ("R_sersic", "e1", "e2")}
            arguments.append(arguments[0] | disc | {"amp": scene["disc_amplitude"], "n_sersic": 1.0})
            model = self._light_and_disc
        x, y = self._grid.pixel_coordinates
        light = model.surface_brightness(x.ravel(), y.ravel(), arguments).reshape(1, *x.shape)

        center = torch.tensor([[scene["light_x"]], [scene["light_y"]]], dtype=torch.float64)
        rule_x, rule_y = (cusp_rule(part, self.pixels, self.pixel_scale) for part in center)
        x, y = np.meshgrid(rule_x.nodes[0].numpy(), rule_y.nodes[0].numpy())
        values = model.surface_brightness(x.ravel(), y.ravel(), arguments).reshape(1, *x.shape)
        return put_blocks(torch.from_numpy(light), torch.from_numpy(values), rule_x, rule_y).numpy()[0]


def _rows(scene: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Return the entries of a scene image by image."""
    columns = {name: values.tolist() for name, values in scene.items() if values.ndim == 1}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
