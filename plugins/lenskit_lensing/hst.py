"""HST-like galaxy-scale lenses: the scene of LenSiam (Chang et al. 2023, https://arxiv.org/abs/2311.10100)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Parameter, Scene, Simulator
from lenskit_lensing.priors import DOMAINS, Prior, largest_norm, parse_priors, width
from lenskit_lensing.sources import SourcePopulation

Fraction = Annotated[float, Ge(0), Le(1)]

MAX_LIGHT_ELLIPTICITY = 0.95
"""Bound of the lens light's |e|, where its deviation from the mass leads beyond."""

LENS = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y", "gamma1", "gamma2")

STANDARD_NORMAL = Distribution.parse("normal(0, 1)")

log = logging.getLogger("lenskit")


class HST(Simulator):
    """HST-like images of galaxy-scale lenses.

    An elliptical power law with external shear lenses a source: a core-Sersic profile, the image of a real galaxy, or
    two of these. The lens light is a Sersic profile that follows the mass but for a small deviation. Both are blurred
    by a PSF; the image is

        arc / max(arc) + 10^log_light_to_arc light / max(light),

    divided by its maximum, plus white noise of rms 10^log_noise, and again divided by its maximum.

    Source positions are drawn relative to the point behind the lens's centre, and drawn again (from 16 candidates, the
    most magnified one if none will do) where the magnification is below `min_magnification`. It is estimated as the
    flux within the frame over that without a lens, of a round Gaussian with the source's half-light radius on rays
    0.125 arcsec apart.
    """

    groups = ("lens", "source", "lens_light", "instrument")
    removable = frozenset({"source", "lens_light"})

    def __init__(
        self,
        *,
        pixels: Annotated[int, Ge(16)] = 110,
        pixel_scale: Annotated[float, Gt(0)] = 0.05,
        renderer: Literal["torch", "lenstronomy"] = "torch",
        supersampling: Annotated[int, Ge(1)] = 1,
        psf: str | None = None,
        cosmos: str | None = None,
        cosmos_fraction: Fraction = 0.75,
        cosmos_min_pixels: Annotated[int, Ge(16)] = 50,
        cosmos_max_noise: Annotated[float, Gt(0)] = 0.05,
        merger_fraction: Fraction = 0.1,
        min_magnification: Annotated[float, Ge(0)] = 3.0,
        theta_E: Prior = "uniform(0.8, 1.8)",
        gamma: Prior = "uniform(1.5, 2.5)",
        e1: Prior = "uniform(-0.5, 0.5)",
        e2: Prior = "uniform(-0.5, 0.5)",
        center_x: Prior = "uniform(-0.15, 0.15)",
        center_y: Prior = "uniform(-0.15, 0.15)",
        gamma1: Prior = "uniform(-0.12, 0.12)",
        gamma2: Prior = "uniform(-0.12, 0.12)",
        source_dx: Prior = "uniform(-0.35, 0.35)",
        source_dy: Prior = "uniform(-0.35, 0.35)",
        source_half_light_radius: Prior = "uniform(0.1, 0.4)",
        source_n: Prior = "uniform(1, 4)",
        source_e1: Prior = "uniform(-0.3, 0.3)",
        source_e2: Prior = "uniform(-0.3, 0.3)",
        source_core_radius: Prior = "uniform(0.05, 0.25)",
        source_core_slope: Prior = "uniform(0, 0.3)",
        merger_distance: Prior = "uniform(0.5, 2.5)",
        merger_flux_ratio: Prior = "uniform(0.2, 1)",
        light_deviation: Annotated[float, Ge(0)] = 0.025,
        light_n: Prior = "uniform(3, 8)",
        light_radius: Prior = "uniform(0.5, 2.6)",
        log_light_to_arc: Prior = "uniform(-0.1, 2)",
        log_noise: Prior = "uniform(-3.25, -2.25)",
    ) -> None:
        """Args:
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        renderer: What renders: batched torch code, or lenstronomy as the reference.
        supersampling: Rays along each side of a pixel, over which the arc is averaged, at a cost that grows as the
            square. One ray gives the maximum of an analytic source's arc to 3 % (median; 95 %: 20 %), 2 x 2 to 0.6 %
            (3 %), 4 x 4 to 0.1 % (0.8 %).
        psf: FITS or numpy file of PSFs, or a folder of them; the bundled ones of HST ACS F814W if not given.
        cosmos: Folder of a COSMOS real-galaxy catalogue; without it all sources are core-Sersic profiles.
        cosmos_fraction: Fraction of source galaxies that are real ones.
        cosmos_min_pixels: Real galaxies with smaller cutouts are left out.
        cosmos_max_noise: Real galaxies with noise above this fraction of their maximum are left out.
        merger_fraction: Fraction of sources that are two galaxies put together.
        min_magnification: Magnification below which a source's position is drawn again.
        theta_E: Einstein radius in arcsec.
        gamma: Slope of the mass density, 2 is isothermal.
        e1: Ellipticity of the mass.
        e2: Ellipticity of the mass.
        center_x: Centre of the mass in arcsec.
        center_y: Centre of the mass in arcsec.
        gamma1: External shear.
        gamma2: External shear.
        source_dx: Source position in arcsec, from the point behind the lens's centre.
        source_dy: Source position in arcsec.
        source_half_light_radius: Half-light radius of a source galaxy in arcsec.
        source_n: Sersic index of a core-Sersic source.
        source_e1: Ellipticity of a core-Sersic source.
        source_e2: Ellipticity of a core-Sersic source.
        source_core_radius: Break radius of a core-Sersic source in units of its Sersic radius.
        source_core_slope: Slope of a core-Sersic source inside the break radius.
        merger_distance: Distance of a merger's second galaxy in units of the first one's half-light radius.
        merger_flux_ratio: Flux of a merger's second galaxy over that of the first.
        light_deviation: Standard deviation of the lens light's centre and ellipticities from those of the mass, as a
            fraction of the width of their priors.
        light_n: Sersic index of the lens light.
        light_radius: Half-light radius of the lens light in units of theta_E.
        log_light_to_arc: Decimal logarithm of the lens light's maximum over the arc's.
        log_noise: Decimal logarithm of the noise's rms over the image's maximum.
        """
        given = {name: value for name, value in locals().items() if name in DOMAINS}
        self.priors = parse_priors(given)
        self.pixels, self.light_deviation = pixels, light_deviation
        self.image_shape = (1, pixels, pixels)
        ellipticity = largest_norm(self.priors, "e1", "e2")

        from lenskit_lensing.psf import load_psfs

        psfs = load_psfs(psf, pixel_scale)
        self.psfs = len(psfs)
        stamps, stamp_radii = None, None
        if cosmos is None:
            log.info("no COSMOS galaxies given (option cosmos): all sources are core-Sersic profiles")
        else:
            from lenskit_lensing.cosmos import load_cosmos

            galaxies = load_cosmos(cosmos, min_pixels=cosmos_min_pixels, max_noise=cosmos_max_noise)
            stamps, stamp_radii = galaxies.images, galaxies.half_light
        self.sources = SourcePopulation(
            priors=self.priors,
            merger_fraction=merger_fraction,
            stamp_fraction=cosmos_fraction,
            stamp_radii=stamp_radii,
            min_magnification=min_magnification,
            frame=pixels * pixel_scale,
            ellipticity=ellipticity,
        )
        self.renderer = renderer_class(renderer)(
            pixels=pixels,
            pixel_scale=pixel_scale,
            ellipticity=ellipticity,
            psfs=psfs,
            stamps=stamps,
            supersampling=supersampling,
        )
        self.parameters = _parameters(only_profiles=stamps is None, psfs=self.psfs)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Draws one group; see the recorded parameters, and `SourcePopulation` for the sources' entries."""
        if group == "lens":
            return rng.samples({name: self.priors[name] for name in LENS})
        if group == "source":
            return self.sources.draw(rng, scene)
        if group == "lens_light":
            return self._draw_lens_light(rng, scene)
        return rng.samples({"log_noise": self.priors["log_noise"]}) | {
            "psf": rng.integers("psf", self.psfs),
            "noise": rng.noise("noise", self.pixels, self.pixels),
        }

    def _draw_lens_light(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Light that follows the mass but for Gaussian deviations."""
        own = ("light_n", "light_radius", "log_light_to_arc")
        follows = {"light_e1": "e1", "light_e2": "e2", "light_x": "center_x", "light_y": "center_y"}
        light = rng.samples({name: self.priors[name] for name in own} | dict.fromkeys(follows, STANDARD_NORMAL))
        for name, of_mass in follows.items():
            light[name] = scene[of_mass] + self.light_deviation * width(self.priors[of_mass]) * light[name]
        excess = torch.hypot(light["light_e1"], light["light_e2"]) / MAX_LIGHT_ELLIPTICITY
        for name in ("light_e1", "light_e2"):
            light[name] = light[name] / excess.clamp(min=1)
        return light | {"light_R_sersic": light["light_radius"] * scene["theta_E"]}

    def render(self, scene: Scene, without: Iterable[str] = ()) -> Tensor:
        """Renders scenes: (n, 1, pixels, pixels), the maximum of each image is one.

        Args:
            scene: All groups' entries for n images.
            without: What to leave out: `source` or `lens_light`; noise keeps its level relative to what is left.
        """
        arc, light = self.renderer(scene)
        ratio, noise_rms = (10 ** scene[name][:, None, None] for name in ("log_light_to_arc", "log_noise"))
        image = torch.zeros_like(arc)
        if "source" not in without:
            image = image + normalised(arc)
        if "lens_light" not in without:
            image = image + ratio * normalised(light)
        return normalised(normalised(image) + noise_rms * scene["noise"])[:, None]


def normalised(images: Tensor) -> Tensor:
    """Images (n, height, width) divided by their maxima, where these are above zero."""
    peak = images.amax((1, 2), keepdim=True)
    return images / torch.where(peak > 0, peak, 1)


def renderer_class(name: str) -> type:
    """The renderer of that name, imported when it is used."""
    if name == "torch":
        from lenskit_lensing.render_torch import TorchRenderer

        return TorchRenderer
    from lenskit_lensing.render_lenstronomy import LenstronomyRenderer

    return LenstronomyRenderer


def _parameters(only_profiles: bool, psfs: int) -> Sequence[Parameter]:
    """What is recorded. A source's index is, if every source has one; its PSF, if there are several."""
    parameters = [
        Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),
        Parameter("gamma", "", r"$\gamma$", headline=True),
        Parameter("gamma1", "", r"$\gamma_1$", headline=True),
        Parameter("gamma2", "", r"$\gamma_2$", headline=True),
        Parameter("e1", "", "$e_1$"),
        Parameter("e2", "", "$e_2$"),
        Parameter("center_x", "arcsec", "$x_c$"),
        Parameter("center_y", "arcsec", "$y_c$"),
        Parameter("source_dx", "arcsec", r"$\Delta x_s$", "source"),
        Parameter("source_dy", "arcsec", r"$\Delta y_s$", "source"),
        Parameter("source_half_light_radius", "arcsec", "$R_s$", "source"),
        Parameter("source_magnification", "", r"$\mu$", "source"),
        Parameter("light_n", "", "$n_l$", "lens_light"),
        Parameter("light_radius", "", r"$R_l / \theta_E$", "lens_light"),
        Parameter("log_light_to_arc", "", r"$\log_{10}$ light/arc", "lens_light"),
        Parameter("log_noise", "", r"$\log_{10}$ noise", "instrument"),
    ]
    if only_profiles:
        parameters.append(Parameter("source_n", "", "$n_s$", "source"))
    if psfs > 1:
        parameters.append(Parameter("psf", "", "PSF", "instrument", classes=tuple(map(str, range(psfs)))))
    return parameters
