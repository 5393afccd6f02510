"""Simulator of Euclid images as in the Lens Finding Challenge 2.

The challenge (http://metcalf1.difa.unibo.it/blf-portal/gg_challenge.html; first round: Metcalf et al. 2019,
https://arxiv.org/abs/1802.03609) took its galaxies and haloes from cosmological simulations, which cannot be run
during training. Here scenes are sampled from priors. docs/guides/euclid.md lists the assumptions and
the origin of the priors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn.functional import pad

from lenskit.plugin import KeyedGenerator, Scene, Simulator, UsageError, at_most
from lenskit_lensing.given import refused
from lenskit_lensing.instruments.instrument import load_instrument
from lenskit_lensing.instruments.noise import correlated_noise, noise_sigma
from lenskit_lensing.priors import DOMAINS, Prior, largest_norm, parse_priors
from lenskit_lensing.render.torch_renderer import TorchRenderer
from lenskit_lensing.scenes.field import Neighbours, neighbour_light
from lenskit_lensing.scenes.lens_light import LensLight, total_light
from lenskit_lensing.scenes.lens_population import LensPopulation
from lenskit_lensing.scenes.look_alikes import LookAlikes, look_alike_light
from lenskit_lensing.simulators.euclid_labels import measure
from lenskit_lensing.simulators.euclid_population import (
    PHOTOMETRY,
    ChallengeSources,
    rates,
    recorded_parameters,
    theta_E_prior,
)
from lenskit_lensing.sources.population import real_galaxies

Fraction = Annotated[float, Ge(0), Le(1)]

BANDS = {"nisp": ("H", "J", "Y"), "vis": ("VIS",)}
"""Channels of each instrument, in the order that LenSiam's authors used."""

SIZES = {"nisp": (66, 0.3, 3), "vis": (200, 0.1, 2)}
"""The challenge's pixels and arcsec per pixel, and the rays along each side of a pixel."""

TASKS = {
    "regression": ("lognormal(0.7419, 0.38)", 0.5, 5.0, 1.0),
    "detection": ("loguniform(0.15, 5)", 0.15, 5.0, 0.7),
}
"""Prior of the Einstein radius, its bounds, and the fraction of scenes intended as lenses."""

MIN_LIGHT_RADIUS = 0.1
"""Smallest half-light radius of a lens galaxy in arcsec."""


class EuclidChallenge(Simulator):
    """Lenses and non-lenses as in the Lens Finding Challenge 2.

    Images are those of Euclid NISP in H, J and Y, or of Euclid VIS. A red galaxy lenses a blue source. Its mass is an
    elliptical power law with external shear. Images are in electrons per second, with noise of the sky, the readout and
    the photons. The challenge's own rule decides whether a scene is a lens. The rule is applied to the source's
    noise-free pixels (see `lenskit_lensing.simulators.euclid_labels`). The entry `source_candidate` records whether the
    scene was intended as a lens.

    A scene has the same parameters in both instruments. Its label depends on the pixels of the instrument.
    """

    groups = ("lens", "source", "lens_light", "field", "instrument")
    removable = frozenset({"source", "lens_light", "field"})
    natural_correlations = MappingProxyType({"theta_E": "brighter and larger lens galaxies are more massive"})

    def __init__(
        self,
        *,
        bands: Literal["nisp", "vis"] = "nisp",
        task: Literal["regression", "detection"] = "regression",
        instrument: str | None = None,
        supersampling: Annotated[int, Ge(1), at_most(64)] | None = None,
        cosmos: str | None = None,
        cosmos_min_pixels: Annotated[int, Ge(16), at_most(4096)] = 50,
        cosmos_max_noise: Annotated[float, Gt(0)] = 0.05,
        cosmos_good_stamps: bool = False,
        stamps: str | None = None,
        stamps_clean: bool = False,
        real_fraction: Fraction = 0.75,
        lens_fraction: Fraction | None = None,
        absent_fraction: Fraction = 0.5,
        look_alike_ring: Fraction = 0.1,
        look_alike_spiral: Fraction = 0.2,
        look_alike_merger: Fraction = 0.15,
        look_alike_edge_on: Fraction = 0.15,
        theta_E: Prior | None = None,
        theta_E_min: Annotated[float, Gt(0)] | None = None,
        theta_E_max: Annotated[float, Gt(0)] | None = None,
        velocity_dispersion: Prior | None = None,
        z_lens: Prior | None = None,
        z_source: Prior | None = None,
        cosmology: str = "Planck18",
        gamma: Prior = "normal(2.08, 0.13)",
        e1: Prior = "uniform(-0.25, 0.25)",
        e2: Prior = "uniform(-0.25, 0.25)",
        center_x: Prior = "normal(0, 0.05)",
        center_y: Prior = "normal(0, 0.05)",
        gamma1: Prior = "normal(0, 0.03)",
        gamma2: Prior = "normal(0, 0.03)",
        source_offset_x: Prior = "uniform(-0.7, 0.7)",
        source_offset_y: Prior = "uniform(-0.7, 0.7)",
        source_half_light_radius: Prior = "lognormal(-1.4, 0.35)",
        source_n: Prior = "uniform(0.8, 2.5)",
        source_e1: Prior = "uniform(-0.3, 0.3)",
        source_e2: Prior = "uniform(-0.3, 0.3)",
        source_core_radius: Prior = "uniform(0, 0.1)",
        source_core_slope: Prior = "uniform(0, 0.3)",
        source_magnitude: Prior = "uniform(22.5, 25.5)",
        source_I_Y: Prior = "normal(0.3, 0.25)",
        source_Y_J: Prior = "normal(0.15, 0.15)",
        source_J_H: Prior = "normal(0.15, 0.15)",
        merger_fraction: Fraction = 0.2,
        merger_distance: Prior = "uniform(0.5, 2.5)",
        merger_flux_ratio: Prior = "uniform(0.2, 1)",
        lens_magnitude: Prior = "normal(19.8, 0.8)",
        lens_brightening: float = 1.5,
        lens_I_Y: Prior = "normal(1.0, 0.15)",
        lens_Y_J: Prior = "normal(0.35, 0.07)",
        lens_J_H: Prior = "normal(0.35, 0.07)",
        light_n: Prior = "uniform(2.5, 6)",
        light_radius: Prior = "lognormal(0, 0.35)",
        light_ellipticity_scatter: Annotated[float, Ge(0)] = 0.08,
        light_center_scatter: Annotated[float, Ge(0)] = 0.02,
        neighbours: Prior = "uniform(0, 7)",
        neighbour_x: Prior = "uniform(-0.5, 0.5)",
        neighbour_y: Prior = "uniform(-0.5, 0.5)",
        neighbour_magnitude: Prior = "normal(23.3, 1)",
        neighbour_radius: Prior = "lognormal(-1, 0.4)",
        neighbour_n: Prior = "uniform(0.8, 4)",
        neighbour_e1: Prior = "uniform(-0.4, 0.4)",
        neighbour_e2: Prior = "uniform(-0.4, 0.4)",
        neighbour_I_Y: Prior = "normal(0.6, 0.35)",
        neighbour_Y_J: Prior = "normal(0.25, 0.15)",
        neighbour_J_H: Prior = "normal(0.25, 0.15)",
    ) -> None:
        """Args:
        bands: `nisp` for H, J and Y with 66 pixels of 0.3 arcsec; `vis` for VIS with 200 pixels of 0.1 arcsec.
        task: `regression` for lenses only, with Einstein radii from a lognormal distribution around 2.1 arcsec;
            `detection` for lenses and non-lenses in similar scenes, log-uniform from 0.15 to 5 arcsec.
        instrument: A different instrument with these bands; by default `euclid-nisp` or `euclid-vis`.
        supersampling: Rays along each side of a pixel; the arc is averaged over them. By default 3 for NISP and 2
            for VIS.
        cosmos: Folder of a COSMOS real-galaxy catalogue. Without it and without `stamps`, all sources are core-Sersic
            profiles.
        cosmos_min_pixels: Smallest cutout in pixels; real galaxies with smaller cutouts are left out.
        cosmos_max_noise: Largest noise as a fraction of the galaxy's maximum; noisier real galaxies are left out.
        cosmos_good_stamps: Leave out the cutouts that the catalogue's selection table marks as suspect.
        stamps: Folder of FITS or numpy images of galaxies, instead of a COSMOS catalogue.
        stamps_clean: Whether the images in `stamps` already show galaxies on an empty sky. Otherwise sky, noise and
            neighbours are removed, as for COSMOS cutouts.
        real_fraction: Fraction of source galaxies that are real galaxies.
        lens_fraction: Fraction of scenes that are intended as lenses. By default 1 for regression and 0.7 for
            detection.
        absent_fraction: Fraction of scenes without a source, among the scenes that are not intended as lenses and have
            no look-alike. In the remaining scenes the source lies 2 to 4 Einstein radii away.
        look_alike_ring: Fraction of scenes with a ring around the galaxy, among the scenes that are not intended as
            lenses. A look-alike replaces the source and has the flux that the source's images would have.
        look_alike_spiral: Fraction of these scenes with a disc and spiral arms.
        look_alike_merger: Fraction of these scenes with one or two companions and a tidal arc.
        look_alike_edge_on: Fraction of these scenes with a disc seen edge-on.
        theta_E: Einstein radius in arcsec; the default depends on the task.
        theta_E_min: Smallest Einstein radius in arcsec. By default 0.5 for regression and 0.15 for detection.
        theta_E_max: Largest Einstein radius in arcsec; by default 5.
        velocity_dispersion: Velocity dispersion of the lens in km/s. With the two redshifts it determines theta_E, as
            for a singular isothermal sphere. `theta_E_min` and `theta_E_max` then have no effect.
        z_lens: Redshift of the lens, needed with a velocity dispersion.
        z_source: Redshift of the source, needed with a velocity dispersion; larger than every `z_lens`.
        cosmology: Cosmology for theta_E from a velocity dispersion: a name in astropy, or `FlatLambdaCDM(H0, Om0)`.
        gamma: Slope of the mass density; 2 is isothermal.
        e1: Ellipticity of the mass.
        e2: Ellipticity of the mass.
        center_x: Centre of the mass in arcsec.
        center_y: Centre of the mass in arcsec.
        gamma1: External shear.
        gamma2: External shear.
        source_offset_x: Source position in units of theta_E, from the point behind the lens's centre.
        source_offset_y: Source position in units of theta_E.
        source_half_light_radius: Half-light radius of a source galaxy in arcsec.
        source_n: Sersic index of a source.
        source_e1: Ellipticity of a source.
        source_e2: Ellipticity of a source.
        source_core_radius: Break radius of a source in units of its Sersic radius.
        source_core_slope: Slope of a source inside the break radius.
        source_magnitude: AB magnitude of the unlensed source in VIS.
        source_I_Y: Colour of the source, VIS - Y.
        source_Y_J: Colour of the source, Y - J.
        source_J_H: Colour of the source, J - H.
        merger_fraction: Fraction of sources that consist of two galaxies.
        merger_distance: Distance between the galaxies of a merger in units of the first galaxy's half-light radius.
        merger_flux_ratio: Flux of the second galaxy of a merger divided by the flux of the first galaxy.
        lens_magnitude: AB magnitude in VIS of a lens galaxy with an Einstein radius of 1 arcsec.
        lens_brightening: Exponent of the growth of the lens galaxy's flux with theta_E. The relation of Faber and
            Jackson, L ~ sigma^4, would be 2.
        lens_I_Y: Colour of the lens galaxy, VIS - Y.
        lens_Y_J: Colour of the lens galaxy, Y - J.
        lens_J_H: Colour of the lens galaxy, J - H.
        light_n: Sersic index of the lens galaxy.
        light_radius: Half-light radius of the lens galaxy in units of theta_E, but at least 0.1 arcsec.
        light_ellipticity_scatter: Standard deviation of the difference between light and mass in e1 and in e2.
        light_center_scatter: Standard deviation of the difference between the centres of light and mass in arcsec.
        neighbours: Number of other galaxies in the frame, rounded down.
        neighbour_x: Position of a neighbour relative to the middle of the frame, in units of the frame's width.
        neighbour_y: Position of a neighbour, in the same units.
        neighbour_magnitude: AB magnitude of a neighbour in VIS.
        neighbour_radius: Half-light radius of a neighbour in arcsec.
        neighbour_n: Sersic index of a neighbour.
        neighbour_e1: Ellipticity of a neighbour.
        neighbour_e2: Ellipticity of a neighbour.
        neighbour_I_Y: Colour of a neighbour, VIS - Y.
        neighbour_Y_J: Colour of a neighbour, Y - J.
        neighbour_J_H: Colour of a neighbour, J - H.
        """
        given = {name: value for name, value in locals().items() if name in DOMAINS and value is not None}
        default, low, high, fraction = TASKS[task]
        bounds = low if theta_E_min is None else theta_E_min, high if theta_E_max is None else theta_E_max
        self.priors = parse_priors(given | {"theta_E": theta_E_prior(theta_E, default, *bounds)})
        self.lenses = LensPopulation(self.priors, cosmology, chosen=theta_E is not None)
        self.brightening = lens_brightening
        tilt, shift = light_ellipticity_scatter, light_center_scatter
        self.lens_light = LensLight(
            self.priors,
            {"light_e1": tilt, "light_e2": tilt, "light_x": shift, "light_y": shift},
            ("light_n", "light_radius", *(f"lens_{name}" for name in PHOTOMETRY)),
            MIN_LIGHT_RADIUS,
        )

        pixels, pixel_scale, rays = SIZES[bands]
        camera = load_instrument(instrument or f"euclid-{bands}")
        self.bands = [camera.band(name).at(pixels=pixels, pixel_scale=pixel_scale) for name in BANDS[bands]]
        for band in self.bands:
            if band.missing_for_noise:
                raise UsageError(f"instrument {camera.name!r}: band {band.name} lacks {band.missing_for_noise}")
        self.image_shape, self.pixel_scale = (len(self.bands), pixels, pixels), pixel_scale
        ellipticity = largest_norm(self.priors, "e1", "e2")
        galaxies = real_galaxies(
            cosmos=cosmos,
            min_pixels=cosmos_min_pixels,
            max_noise=cosmos_max_noise,
            good_stamps=cosmos_good_stamps,
            stamps=stamps,
            clean=stamps_clean,
        )
        self.sources = ChallengeSources(
            priors=self.priors,
            merger_fraction=merger_fraction,
            stamp_fraction=real_fraction,
            stamps=galaxies,
            min_magnification=0,
            frame=pixels * pixel_scale,
            ellipticity=ellipticity,
            lens_fraction=fraction if lens_fraction is None else lens_fraction,
            absent_fraction=absent_fraction,
            look_alikes=LookAlikes((look_alike_ring, look_alike_spiral, look_alike_merger, look_alike_edge_on)),
        )
        self.neighbours = Neighbours(self.priors, pixels * pixel_scale, PHOTOMETRY)
        psfs = [band.psfs() for band in self.bands]
        self.psf_counts = [len(of_band) for of_band in psfs]
        self.renderer = TorchRenderer(
            pixels=pixels,
            pixel_scale=pixel_scale,
            ellipticity=ellipticity,
            psfs=_stacked(psfs),
            stamps=None if galaxies is None else galaxies.images,
            supersampling=supersampling or rays,
        )
        self.parameters = recorded_parameters(
            self.lenses.is_physical,
            task == "detection",
            stamps=galaxies is not None,
            mergers=merger_fraction > 0,
            look_alikes=self.sources.has_look_alikes,
        )

    def refuses(self, given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
        """Yield the given values that cannot be rendered; see `Simulator.refuses`."""
        return refused(self.priors, given, merger_fraction=self.sources.merger_fraction)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample one group of scene entries.

        The group `instrument` also holds the blurred arc, on which the labels are measured.
        """
        if group == "lens":
            return self.lenses.draw(rng) | self.sources.intend(rng)
        if group == "source":
            seen = rng.samples({f"source_{name}": self.priors[f"source_{name}"] for name in PHOTOMETRY})
            return self.sources.draw(rng, scene) | seen
        if group == "lens_light":
            return self._draw_lens_light(rng, scene)
        if group == "field":
            return self.neighbours.draw(rng)
        return self._draw_instrument(rng, scene)

    def _draw_lens_light(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample the lens light, brighter for a larger theta_E."""
        light = self.lens_light.draw(rng, scene)
        brighter = 2.5 * self.brightening * scene["theta_E"].log10()
        return light | {"lens_magnitude": light["lens_magnitude"] - brighter}

    def _draw_instrument(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        psf, noise, first = [], [], 0
        for band, count in zip(self.bands, self.psf_counts, strict=True):
            psf.append(first + rng.integers(f"psf/{band.name}", count))
            noise.append(correlated_noise(rng, f"noise/{band.name}", band.pixels, band.noise_correlation))
            first += count
        seen = {"psf": torch.stack(psf, dim=1), "noise": torch.stack(noise, dim=1)}

        arc = self._arc(scene, seen["psf"])
        sigma = [band.background_sigma for band in self.bands]
        return seen | {"arc": arc} | measure(arc, sigma, self._source_flux(scene))

    def _source_flux(self, scene: Scene) -> Tensor:
        """Return the flux of the unlensed source in electrons per second, (n, bands).

        The flux is 0 where there is no source.
        """
        return rates(scene, "source", self.bands) * (scene["source_flux"] > 0)[:, None]

    def _arc(self, scene: Scene, psf: Tensor) -> Tensor:
        """Return the blurred lensed source in electrons per second.

        The shape is (n, bands, pixels, pixels).
        """
        whole = (scene["source_flux"] + scene["companion_flux"]).clamp(min=1e-6)
        flux = self._source_flux(scene) / whole[:, None]
        return self.renderer.convolve(self._in_bands(self.renderer.arc(scene), flux), psf)

    def _lens_light(self, scene: Scene) -> Tensor:
        """Return the lens galaxy before the PSF in electrons per second.

        The shape is (n, bands, pixels, pixels).
        """
        flux = rates(scene, "lens", self.bands) / total_light(scene["light_R_sersic"], scene["light_n"])[:, None]
        return self._in_bands(self.renderer.lens_light(scene), flux)

    def _field(self, scene: Scene) -> Tensor:
        """Return the neighbours before the PSF in electrons per second.

        The shape is (n, bands, pixels, pixels).
        """
        flux = self.renderer.pixel_scale**2 * rates(scene, "neighbour", self.bands)
        return neighbour_light(scene, self.renderer, flux)

    def _look_alike(self, scene: Scene) -> Tensor:
        """Return the look-alikes before the PSF in electrons per second.

        The shape is (n, bands, pixels, pixels).
        """
        flux = rates(scene, "source", self.bands) * scene["look_alike_magnification"][:, None]
        return self._in_bands(look_alike_light(scene, self.renderer), flux)

    def _in_bands(self, profile: Tensor, flux: Tensor) -> Tensor:
        """Return the light in each pixel from surface brightness and flux.

        Args:
            profile: Surface brightness (n, pixels, pixels) per square arcsec.
            flux: Factor (n, bands) for each band.

        Returns:
            (n, bands, pixels, pixels).
        """
        return profile[:, None] * (self.renderer.pixel_scale**2 * flux)[:, :, None, None]

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Render scenes in electrons per second, with the sky subtracted.

        Args:
            scene: Entries of all groups for n images.
            omit: Parts to leave out: `source` (or the look-alike that replaces it), `lens_light` or `field`. The photon
                noise of these parts is left out, too.

        Returns:
            (n, bands, pixels, pixels).
        """
        image = torch.zeros_like(scene["arc"])
        if "lens_light" not in omit:
            image = image + self._lens_light(scene)
        if "field" not in omit:
            image = image + self._field(scene)
        if "source" not in omit and "look_alike" in scene:
            image = image + self._look_alike(scene)
        image = self.renderer.convolve(image, scene["psf"])
        if "source" not in omit:
            image = image + scene["arc"]
        sigma = torch.stack([noise_sigma(image[:, i], band) for i, band in enumerate(self.bands)], dim=1)
        return image + sigma * scene["noise"]


def _stacked(psfs: Sequence[Tensor]) -> Tensor:
    """Return the PSFs of all bands in one stack; zeros surround smaller PSFs."""
    size = max(stack.shape[-1] for stack in psfs)
    margins = ((size - stack.shape[-1]) // 2 for stack in psfs)
    return torch.cat([pad(stack, (m, m, m, m)) for stack, m in zip(psfs, margins, strict=True)])
