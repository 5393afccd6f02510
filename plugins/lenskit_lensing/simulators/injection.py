"""Simulator that adds arcs to cutouts of real galaxies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Parameter, Scene, Simulator, at_most
from lenskit_lensing.given import refused
from lenskit_lensing.instruments.instrument import load_instrument
from lenskit_lensing.priors import DOMAINS, Prior, parse_priors
from lenskit_lensing.scenes.cutouts import load_cutouts
from lenskit_lensing.scenes.lens_population import LENS, LensPopulation
from lenskit_lensing.scenes.real_light import FLATTEST, RealLight
from lenskit_lensing.simulators.hst import EINSTEIN_RADIUS, RECORDED, Fraction, normalised
from lenskit_lensing.sources.population import SourcePopulation, real_galaxies

FOLLOW_LIGHT = ("e1", "e2", "center_x", "center_y")
"""Parameters of the mass that follow the light."""


class Injection(Simulator):
    """Lensed sources added to cutouts of real galaxies.

    The mass is an elliptical power law with external shear, and the source is sampled as in `hst`. The mass follows the
    light of the galaxy in the cutout. The centre, ellipticity and position angle of the light are measured once at the
    start, and options set the scatter of the mass around them. The Einstein radius has its own prior, which does not
    depend on the galaxy. A PSF blurs the lensed source, which is then added to the cutout. The cutout keeps its noise,
    neighbours and defects. The image is

        cutout / max(cutout) + 10^log_arc_to_noise (noise of the sky) arc / max(arc),

    so the unit of the cutouts does not matter.

    Galaxies are rotated by multiples of 90 degrees and mirrored at random. A second rendering of the same lens shows a
    different galaxy of nearly the same axis ratio, rotated to the position angle of the first galaxy.
    """

    groups: tuple[str, ...] = ("lens", "source", "lens_light", "instrument")
    removable: frozenset[str] = frozenset({"source"})

    def __init__(
        self,
        *,
        galaxies: str,
        pixels: Annotated[int, Ge(16), Le(4096)] | None = None,
        axis_ratio_tolerance: Annotated[float, Gt(0), Le(1)] = 0.05,
        instrument: str = "hst-acs-f814w",
        band: str | None = None,
        psf: str | None = None,
        supersampling: Annotated[int, Ge(1), at_most(64)] | Literal["adaptive"] = 1,
        cosmos: str | None = None,
        cosmos_fraction: Fraction = 0.75,
        cosmos_min_pixels: Annotated[int, Ge(16), at_most(4096)] = 50,
        cosmos_max_noise: Annotated[float, Gt(0)] = 0.05,
        cosmos_good_stamps: bool = False,
        stamps: str | None = None,
        stamps_clean: bool = False,
        merger_fraction: Fraction = 0.1,
        min_magnification: Annotated[float, Ge(0)] = 3.0,
        theta_E: Prior = EINSTEIN_RADIUS,
        velocity_dispersion: Prior | None = None,
        z_lens: Prior | None = None,
        z_source: Prior | None = None,
        cosmology: str = "Planck18",
        gamma: Prior = "uniform(1.5, 2.5)",
        gamma1: Prior = "uniform(-0.12, 0.12)",
        gamma2: Prior = "uniform(-0.12, 0.12)",
        center_scatter: Annotated[float, Ge(0), Le(1)] = 0.02,
        ellipticity_scatter: Annotated[float, Ge(0), Le(1)] = 0.05,
        angle_scatter: Annotated[float, Ge(0), Le(90)] = 10.0,
        source_dx: Prior = "uniform(-0.35, 0.35)",
        source_dy: Prior = "uniform(-0.35, 0.35)",
        wide_fraction: Fraction = 0.0,
        wide_dx: Prior = "uniform(-0.7, 0.7)",
        wide_dy: Prior = "uniform(-0.7, 0.7)",
        wide_min_magnification: Annotated[float, Ge(0)] = 1.5,
        source_half_light_radius: Prior = "uniform(0.1, 0.4)",
        source_n: Prior = "uniform(1, 4)",
        source_e1: Prior = "uniform(-0.3, 0.3)",
        source_e2: Prior = "uniform(-0.3, 0.3)",
        source_core_radius: Prior = "uniform(0.05, 0.25)",
        source_core_slope: Prior = "uniform(0, 0.3)",
        merger_distance: Prior = "uniform(0.5, 2.5)",
        merger_flux_ratio: Prior = "uniform(0.2, 1)",
        log_arc_to_noise: Prior = "uniform(0.5, 1.75)",
        exposure_time: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        """Args:
        galaxies: Cutouts of galaxies in any format that lenskit reads, `[READER:]PATH?OPTION=VALUE&...`, for example
        `fits-folder:mine?pixel_scale=0.05`. Each cutout has one band and one galaxy in its middle.
        pixels: Height and width of the image; by default those of the cutouts.
        axis_ratio_tolerance: Largest difference between the axis ratios of two galaxies that show the same lens.
        instrument: Camera whose PSFs blur the arcs: a name of `lenskit list instruments`, or the path of a `.toml`
            file.
        band: Band of the instrument; by default the first.
        psf: FITS or numpy file of PSFs, or a folder of such files; by default the PSFs of the instrument.
        supersampling: Rays along each side of a pixel; the arc is averaged over them (see `hst`).
        cosmos: Folder of a COSMOS real-galaxy catalogue. Without it and without `stamps`, all sources are core-Sersic
            profiles.
        cosmos_fraction: Fraction of source galaxies that are real galaxies, from the catalogue or from `stamps`.
        cosmos_min_pixels: Smallest cutout in pixels; real galaxies with smaller cutouts are left out.
        cosmos_max_noise: Largest noise as a fraction of the galaxy's maximum; noisier real galaxies are left out.
        cosmos_good_stamps: Leave out the cutouts that the catalogue's selection table marks as suspect.
        stamps: Folder of FITS or numpy images of source galaxies, instead of a COSMOS catalogue.
        stamps_clean: Whether the images in `stamps` already show galaxies on an empty sky. Otherwise sky, noise and
            neighbours are removed, as for COSMOS cutouts.
        merger_fraction: Fraction of sources that consist of two galaxies.
        min_magnification: Magnification below which the source position is sampled again.
        theta_E: Einstein radius in arcsec. It cannot be set together with a velocity dispersion.
        velocity_dispersion: Velocity dispersion of the lens in km/s. With the two redshifts it determines theta_E, as
            for a singular isothermal sphere.
        z_lens: Redshift of the lens, needed with a velocity dispersion.
        z_source: Redshift of the source, needed with a velocity dispersion; larger than every `z_lens`.
        cosmology: Cosmology for theta_E from a velocity dispersion: a name in astropy, or `FlatLambdaCDM(H0, Om0)`.
        gamma: Slope of the mass density; 2 is isothermal.
        gamma1: External shear.
        gamma2: External shear.
        center_scatter: Standard deviation in arcsec of the mass centre around the light centre, along x and y.
        ellipticity_scatter: Standard deviation of the mass ellipticity |e| around the light ellipticity. The default
            corresponds to the scatter of 0.11 in axis ratio that Koopmans et al. 2006 found
            (https://arxiv.org/abs/astro-ph/0601628).
        angle_scatter: Standard deviation in degrees of the mass position angle around the light position angle. The
            default is from the same paper.
        source_dx: Source position in arcsec, from the point behind the lens's centre.
        source_dy: Source position in arcsec.
        wide_fraction: Fraction of scenes whose source lies farther from the axis, as set by the next three options.
        wide_dx: Source position in arcsec in these scenes, from the point behind the lens's centre.
        wide_dy: Source position in arcsec in these scenes.
        wide_min_magnification: Magnification below which the position is sampled again in these scenes.
        source_half_light_radius: Half-light radius of a source galaxy in arcsec.
        source_n: Sersic index of a core-Sersic source.
        source_e1: Ellipticity of a core-Sersic source.
        source_e2: Ellipticity of a core-Sersic source.
        source_core_radius: Break radius of a core-Sersic source in units of its Sersic radius.
        source_core_slope: Slope of a core-Sersic source inside the break radius.
        merger_distance: Distance between the galaxies of a merger in units of the first galaxy's half-light radius.
        merger_flux_ratio: Flux of the second galaxy of a merger divided by the flux of the first galaxy.
        log_arc_to_noise: Decimal logarithm of the arc's brightest pixel divided by the standard deviation of the sky
            noise in the cutout.
        exposure_time: Total exposure time in seconds of cutouts in electrons per second (1 for cutouts in electrons).
            With it, the arc has the noise of its own photons; without it, the arc has no noise.
        """
        options = locals()
        given = {name: options[name] for name in DOMAINS if isinstance(options.get(name), Distribution | str)}
        self.priors = parse_priors(given)
        cutouts, pixels, pixel_scale = load_cutouts(galaxies, pixels, axis_ratio_tolerance)
        self.image_shape, self.pixel_scale = (1, pixels, pixels), pixel_scale
        self.exposure_time = exposure_time
        camera = load_instrument(instrument).band(band).at(pixels=pixels, pixel_scale=pixel_scale)

        from lenskit_lensing.instruments.psf import load_psfs
        from lenskit_lensing.render.torch_renderer import TorchRenderer

        psfs = camera.psfs() if psf is None else load_psfs(psf, pixel_scale)
        self.psfs = len(psfs)
        real = real_galaxies(
            cosmos=cosmos,
            stamps=stamps,
            min_pixels=cosmos_min_pixels,
            max_noise=cosmos_max_noise,
            good_stamps=cosmos_good_stamps,
            clean=stamps_clean,
        )
        if real is None:
            self.remarks = ("COSMOS is not configured (options cosmos, stamps); using core-Sersic sources",)
        names = tuple(name for name in LENS if name not in FOLLOW_LIGHT)
        chosen = str(self.priors["theta_E"]) != EINSTEIN_RADIUS
        self.lenses = LensPopulation(self.priors, cosmology, chosen=chosen, names=names)
        self.lens_light = RealLight(cutouts, pixels, pixel_scale, center_scatter, ellipticity_scatter, angle_scatter)
        self.sources = SourcePopulation(
            priors=self.priors,
            merger_fraction=merger_fraction,
            stamp_fraction=cosmos_fraction,
            stamps=real,
            min_magnification=min_magnification,
            frame=pixels * pixel_scale,
            ellipticity=FLATTEST,
            wide_fraction=wide_fraction,
            wide_min_magnification=wide_min_magnification,
        )
        self.renderer = TorchRenderer(
            pixels=pixels,
            pixel_scale=pixel_scale,
            ellipticity=FLATTEST,
            psfs=psfs,
            stamps=None if real is None else real.images,
            supersampling=supersampling,
        )
        self.parameters, self.known = self._parameters(), (*RECORDED, *OWN)

    def refuses(self, given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
        """Yield the given values that cannot be rendered; see `Simulator.refuses`."""
        return refused(self.priors, given, merger_fraction=self.sources.merger_fraction)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample one group of scene entries.

        The class that samples a group describes the entries.
        """
        if group == "lens":
            return self.lenses.draw(rng) | self.lens_light.draw_lens(rng)
        if group == "source":
            contrast = rng.sample("log_arc_to_noise", self.priors["log_arc_to_noise"])
            return self.sources.draw(rng, scene) | {"log_arc_to_noise": contrast}
        if group == "lens_light":
            return self.lens_light.draw_light(rng, scene)
        instrument = {"psf": rng.integers("psf", self.psfs)}
        if self.exposure_time is not None:
            instrument["noise"] = rng.noise("noise", *self.image_shape[1:])
        return instrument

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Render scenes to images (n, 1, pixels, pixels).

        The unit is each cutout's maximum.

        Args:
            scene: Entries of all groups for n images.
            omit: Parts to leave out: with `source`, the images are the cutouts alone.
        """
        image = self.lens_light.image(scene)
        if "source" in omit:
            return image[:, None]
        return (image + self.arc(scene))[:, None]

    def arc(self, scene: Scene) -> Tensor:
        """Return the light that is added to the cutouts, in units of their maxima.

        The shape is (n, pixels, pixels).
        """
        cutouts, galaxy = self.lens_light.cutouts, scene["lens_galaxy"]
        arc = normalised(self.renderer.convolve(self.renderer.arc(scene)[:, None], scene["psf"])[:, 0])
        height = 10 ** scene["log_arc_to_noise"].double() * cutouts.noise[galaxy]
        arc = height.to(arc.dtype)[:, None, None] * arc
        if self.exposure_time is None:
            return arc
        electrons = (cutouts.peak[galaxy] * self.exposure_time).to(arc.dtype)[:, None, None]
        return arc + (arc.clamp(min=0) / electrons).sqrt() * scene["noise"]

    def to(self, device: torch.device | str) -> Self:
        """Move the simulator and its cutouts to a device; see `Simulator.to`."""
        self.lens_light.cutouts = self.lens_light.cutouts.to(device)
        return super().to(device)

    def _parameters(self) -> list[Parameter]:
        """Return the recorded parameters."""
        only_profiles, physical = self.sources.stamps is None, self.lenses.is_physical
        wanted = {
            "velocity_dispersion": physical,
            "z_lens": physical,
            "z_source": physical,
            "source_n": only_profiles,
            "source_stamp": not only_profiles,
            "companion_stamp": not only_profiles and self.sources.merger_fraction > 0,
        }
        as_in_hst = [each for each in RECORDED if each.group in ("lens", "source") and wanted.get(each.name, True)]
        parameters = [*as_in_hst, *OWN]
        if self.psfs > 1:
            parameters.append(Parameter("psf", "", "PSF", "instrument", tuple(map(str, range(self.psfs)))))
        return parameters


OWN = (
    Parameter("log_arc_to_noise", "", r"$\log_{10}$ arc/noise", "source"),
    Parameter("light_q", "", "$q_l$", "lens_light"),
    Parameter("lens_galaxy", "", "galaxy", "lens_light", identity=True),
)
"""Parameters that are recorded in addition to those of `hst`."""
