"""Fast renderer: scenes in batched torch code, on any device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lenskit.toolbox import keep_freed_memory
from lenskit_lensing.isophotes import isophotal_sersic
from lenskit_lensing.light import core_sersic, pixelated, sersic
from lenskit_lensing.mass import epl, epl_terms, shear
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.mass.power_law import TOLERANCE
from lenskit_lensing.render.compiled import compiled
from lenskit_lensing.render.convolution import Convolver
from lenskit_lensing.render.cusp import cusp_rule, put_blocks
from lenskit_lensing.render.supersampling import Rays, averaged

CHUNK = 32
"""Images per chunk on a CPU, with one ray per pixel: large enough for little overhead, small enough for the cache."""

Scene = Mapping[str, Tensor]

_core_sersic, _sersic, _isophotal_sersic = compiled(core_sersic), compiled(sersic), compiled(isophotal_sersic)

SERSIC = {"R_sersic": "R_sersic", "n_sersic": "n", "e1": "e1", "e2": "e2", "center_x": "x", "center_y": "y"}
"""Parameters of a Sersic profile, and the entries of the lens light without `light_`."""

ISOPHOTES = ("twist", "m3", "m3_angle", "m4")
"""Further parameters of isophotes that are not elliptical."""

LENS = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")


def axis(pixels: int, pixel_scale: float, like: Tensor) -> Tensor:
    """Return the centres of pixels along one axis in arcsec, (pixels,).

    The frame is centred on the origin.
    """
    return (torch.arange(pixels, dtype=like.dtype, device=like.device) - (pixels - 1) / 2) * pixel_scale


@compiled
def source_plane(x: Tensor, y: Tensor, scene: Scene, terms: int) -> tuple[Tensor, Tensor]:
    """Return the source-plane positions of rays at (x, y) in arcsec."""
    mass_x, mass_y = epl(x, y, **{name: scene[name] for name in LENS}, terms=terms)
    shear_x, shear_y = shear(x, y, gamma1=scene["gamma1"], gamma2=scene["gamma2"])
    return (x - shear_x).sub_(mass_x), (y - shear_y).sub_(mass_y)


class TorchRenderer:
    """Renderer of the arc and the lens light of scenes.

    `renderer(scene)` returns both after the PSF. Simulators that blend light themselves use `arc` and `lens_light`,
    which are before the PSF, and `convolve`, or their own `Convolver` for each band.

    Tensors of the renderer move to the device of a scene at first use, and stay there. On a GPU no operation
    synchronises with the host.

    Args:
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        ellipticity: Upper limit of the mass's |e| over the complete prior.
        psfs: (k, s, s), s odd.
        stamps: Galaxies (k, size, size) for sources that are images, or None.
        supersampling: Rays along each side of a pixel for the average of the arc, see `averaged`.
    """

    def __init__(
        self,
        *,
        pixels: int,
        pixel_scale: float,
        ellipticity: float,
        psfs: Tensor,
        stamps: Tensor | None = None,
        supersampling: Rays = 1,
    ) -> None:
        self.pixels, self.pixel_scale, self.ellipticity = pixels, pixel_scale, ellipticity
        self.stamps, self.supersampling = stamps, supersampling
        self.convolve = Convolver(psfs, pixels)
        self._stamps: dict[torch.device, Tensor] = {}
        keep_freed_memory()

    def __call__(self, scene: Scene, extra: Tensor | None = None) -> tuple[Tensor, ...]:
        """Render the arc and the lens light after the PSF, (n, pixels, pixels) each.

        Args:
            scene: Entries for n images; `psf` is the number of the PSF.
            extra: (n, c, pixels, pixels), further light before the PSF, such as neighbours.

        Returns:
            The arc, the lens light and, if given, the further light after the PSF (n, c, pixels, pixels), in arbitrary
            units.
        """

        scene = scene if extra is None else {**scene, "extra": extra}
        images = self._in_chunks(self._blurred, scene)
        return (images[:, 0], images[:, 1]) if extra is None else (images[:, 0], images[:, 1], images[:, 2:])

    def arc(self, scene: Scene) -> Tensor:
        """Render the lensed source before the PSF, averaged over pixels.

        The result (n, pixels, pixels) is the surface brightness. The scene needs the entries of the groups `lens` and
        `source`.
        """
        return self._in_chunks(self._arc, scene)

    def traced(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return source-plane positions of rays in arcsec, (n, rays, rays) each.

        Each pixel has `supersampling` x `supersampling` rays, 2 x 2 if their number is adaptive. The scene needs the
        entries of the group `lens`.
        """
        rays = 2 if self.supersampling == "adaptive" else self.supersampling
        terms = epl_terms(self.ellipticity, TOLERANCE[scene["theta_E"].dtype])
        places = axis(self.pixels * rays, self.pixel_scale / rays, scene["theta_E"])
        return source_plane(places[None, :], places[:, None], scene, terms)

    def lens_light(self, scene: Scene) -> Tensor:
        """Render the light of the lens galaxy before the PSF, (n, pixels, pixels).

        The surface brightness is one at R_sersic. The scene needs the entries `light_...`, and may have `disc_...`.
        """
        return self._in_chunks(self._lens_light, scene)

    def averaged(self, profile: Callable[..., Tensor], parameters: Scene) -> Tensor:
        """Render any profile before the PSF, averaged over pixels: (n, pixels, pixels).

        Args:
            profile: Surface brightness at positions x, y in arcsec, with the parameters as keywords.
            parameters: (n,) each.
        """

        def render(some: Scene) -> Tensor:
            middles = axis(self.pixels, self.pixel_scale, next(iter(some.values())))
            return averaged(lambda x, y: profile(x, y, **some), middles, self.pixel_scale, self.supersampling)

        return self._in_chunks(render, parameters)

    def _blurred(self, scene: Scene) -> Tensor:
        images = torch.stack([self._arc(scene), self._lens_light(scene)], dim=1)
        if "extra" in scene:
            images = torch.cat([images, scene["extra"]], dim=1)
        return self.convolve(images, scene["psf"])

    def _in_chunks(self, render: Callable[[Scene], Tensor], scene: Scene) -> Tensor:
        """Render images in chunks if this is faster."""
        entry = next(iter(scene.values()))
        n = max(len(entry), 1)
        rays = 2 if self.supersampling == "adaptive" else self.supersampling
        size = max(CHUNK // rays**2, 1) if entry.device.type == "cpu" else n
        return torch.cat(
            [render({name: values[i : i + size] for name, values in scene.items()}) for i in range(0, n, size)]
        )

    def _arc(self, scene: Scene) -> Tensor:
        terms = epl_terms(self.ellipticity, TOLERANCE[scene["theta_E"].dtype])

        def brightness(x: Tensor, y: Tensor) -> Tensor:
            return self._source(*source_plane(x, y, scene, terms), scene)

        middles = axis(self.pixels, self.pixel_scale, scene["theta_E"])
        return averaged(brightness, middles, self.pixel_scale, self.supersampling)

    def _source(self, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
        """Return the surface brightness of the source at (x, y) in the source plane."""
        brightness = self._source_by_rows if x.device.type == "cpu" else self._source_by_masks
        galaxies = [
            {name.removeprefix(f"{galaxy}_"): values for name, values in scene.items() if name.startswith(f"{galaxy}_")}
            for galaxy in ("source", "companion")
        ]
        return brightness(x, y, galaxies)

    def _source_by_rows(self, x: Tensor, y: Tensor, galaxies: Sequence[Scene]) -> Tensor:
        """Evaluate each profile only for the scenes that have it."""
        total = torch.zeros_like(x)
        for galaxy in galaxies:
            present, is_stamp = galaxy["flux"] > 0, galaxy["stamp"] >= 0
            for having, brightness in ((present & ~is_stamp, self._analytic), (present & is_stamp, self._stamp)):
                rows = having.nonzero().squeeze(1)
                if 0 < len(rows) == len(x):
                    total += brightness(x, y, galaxy) * galaxy["amplitude"][:, None, None]
                elif len(rows):
                    some = {name: values[rows] for name, values in galaxy.items()}
                    total[rows] += brightness(x[rows], y[rows], some) * some["amplitude"][:, None, None]
        return total

    def _source_by_masks(self, x: Tensor, y: Tensor, galaxies: Sequence[Scene]) -> Tensor:
        """Evaluate each profile for all scenes, without synchronising a GPU."""
        total = torch.zeros_like(x)
        for galaxy in galaxies:
            light = self._analytic(x, y, galaxy)
            if "stamp_scale" in galaxy:
                light = torch.where(columns(galaxy["stamp"] >= 0)[0], self._stamp(x, y, galaxy), light)
            total += light * torch.where(galaxy["flux"] > 0, galaxy["amplitude"], 0)[:, None, None]
        return total

    def _analytic(self, x: Tensor, y: Tensor, source: Scene) -> Tensor:
        return _core_sersic(
            x,
            y,
            R_sersic=source["R_sersic"],
            Rb=source["Rb"],
            n_sersic=source["n"],
            gamma=source["core_slope"],
            e1=source["e1"],
            e2=source["e2"],
            center_x=source["x"],
            center_y=source["y"],
        )

    def _stamp(self, x: Tensor, y: Tensor, source: Scene) -> Tensor:
        if self.stamps is None:
            raise ValueError("the scene has real galaxies as sources; create the renderer with stamps=...")
        if x.device not in self._stamps:
            self._stamps[x.device] = self.stamps.to(x.device)
        return pixelated(
            x,
            y,
            images=self._stamps[x.device][source["stamp"].clamp(min=0)].to(x.dtype),
            scale=source["stamp_scale"],
            angle=source["angle"],
            mirror=source["mirror"],
            center_x=source["x"],
            center_y=source["y"],
        )

    def _lens_light(self, scene: Scene) -> Tensor:
        bulge = {theirs: scene[f"light_{ours}"] for theirs, ours in SERSIC.items()}
        if "light_twist" not in scene:
            light = self._averaged(_sersic, bulge)
        else:
            light = self._averaged(_isophotal_sersic, bulge | {name: scene[f"light_{name}"] for name in ISOPHOTES})
        if "disc_amplitude" in scene:
            # A CPU renders existing discs only; on a GPU the selection would synchronise with the host.
            amplitude = scene["disc_amplitude"]
            rows = (amplitude > 0).nonzero().squeeze(1) if light.device.type == "cpu" else slice(None)
            disc = {name: scene[f"disc_{name}"][rows] for name in ("R_sersic", "e1", "e2")}
            disc |= {name: values[rows] for name, values in bulge.items() if name.startswith("center")}
            one = torch.ones_like(disc["R_sersic"])
            light[rows] += amplitude[rows, None, None] * self._averaged(_sersic, disc | {"n_sersic": one})
        return light

    def _averaged(self, profile: Callable[..., Tensor], parameters: Scene) -> Tensor:
        """Return a profile in each pixel, averaged in the pixels around its centre."""
        x, y = parameters["center_x"], parameters["center_y"]
        grid = axis(self.pixels, self.pixel_scale, x)
        rule_x, rule_y = (cusp_rule(center, self.pixels, self.pixel_scale) for center in (x, y))
        values = profile(rule_x.nodes[:, None, :], rule_y.nodes[:, :, None], **parameters)
        return put_blocks(profile(grid[None, :], grid[:, None], **parameters), values, rule_x, rule_y)
