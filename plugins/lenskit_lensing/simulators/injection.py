"""Arcs that are painted onto cutouts of real galaxies."""

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

    An elliptical power law with external shear lenses a source, both as in `hst`, but the mass follows the light of the
    galaxy in the cutout: its centre, ellipticity and position angle are measured once at the start and scatter by
    options. The Einstein radius has its own prior, which knows nothing of the galaxy. The lensed source is blurred by a
    PSF and added to the cutout, which keeps its noise, neighbours and defects. The image is

        cutout / max(cutout) + 10^log_arc_to_noise (noise of the sky) arc / max(arc),

    so that the unit of the cutouts does not matter.

    Galaxies are turned by quarters and mirrored at random. Where two renderings share a lens, the second shows it
    through another galaxy of nearly the same axis ratio, turned to the first one's position angle.
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
        galaxies: Cutouts of galaxies as any reader of data takes them, `[READER:]PATH?OPTION=VALUE&...`, such as
            `fits-folder:mine?pixel_scale=0.05`: one galaxy in the middle of each, one band.
        pixels: Height and width of the image; those of the cutouts if not given.
        axis_ratio_tolerance: Largest difference of the axis ratios of two galaxies that show the same lens.
        instrument: The camera whose PSFs blur the arcs. A name of `lenskit list instruments`, or the path of a `.toml`
            file.
        band: Which of the instrument's bands; the first one if not given.
        psf: FITS or numpy file of PSFs, or a folder of them; the instrument's if not given.
        supersampling: Rays along each side of a pixel, over which the arc is averaged, see `hst`.
        cosmos: Folder of a COSMOS real-galaxy catalogue; without it, or `stamps`, all sources are core-Sersic profiles.
        cosmos_fraction: Fraction of source galaxies that are real ones, of the catalogue or of `stamps`.
        cosmos_min_pixels: Real galaxies with smaller cutouts are left out.
        cosmos_max_noise: Real galaxies with noise above this fraction of their maximum are left out.
        cosmos_good_stamps: Leave out the cutouts that the catalogue's table of selection criteria makes suspect.
        stamps: Folder of FITS or numpy images of source galaxies, instead of a COSMOS catalogue.
        stamps_clean: The images in it show galaxies on an empty sky already.
        merger_fraction: Fraction of sources that are two galaxies put together.
        min_magnification: Magnification below which a source's position is drawn again.
        theta_E: Einstein radius in arcsec; none but the default may be given with a velocity dispersion.
        velocity_dispersion: Of the lens in km/s. With the redshifts it gives theta_E, as of an isothermal sphere.
        z_lens: Redshift of the lens, given with a velocity dispersion.
        z_source: Redshift of the source, given with a velocity dispersion; above all of `z_lens`.
        cosmology: For that, one of astropy's, or `FlatLambdaCDM(H0, Om0)`.
        gamma: Slope of the mass density, 2 is isothermal.
        gamma1: External shear.
        gamma2: External shear.
        center_scatter: Standard deviation in arcsec of the mass's centre from the light's, along x and y.
        ellipticity_scatter: Standard deviation of the mass's ellipticity |e| from the light's. The default is the
            scatter of the axis ratio of 0.11 that Koopmans et al. 2006 found
            (https://arxiv.org/abs/astro-ph/0601628).
        angle_scatter: Standard deviation in degrees of the mass's position angle from the light's; 10 likewise.
        source_dx: Source position in arcsec, from the point behind the lens's centre.
        source_dy: Source position in arcsec.
        wide_fraction: Fraction of scenes whose source lies farther out, by the next three options.
        wide_dx: Source position in arcsec in these scenes, from the point behind the lens's centre.
        wide_dy: Source position in arcsec in these scenes.
        wide_min_magnification: Magnification below which the position is drawn again in these scenes.
        source_half_light_radius: Half-light radius of a source galaxy in arcsec.
        source_n: Sersic index of a core-Sersic source.
        source_e1: Ellipticity of a core-Sersic source.
        source_e2: Ellipticity of a core-Sersic source.
        source_core_radius: Break radius of a core-Sersic source in units of its Sersic radius.
        source_core_slope: Slope of a core-Sersic source inside the break radius.
        merger_distance: Distance of a merger's second galaxy in units of the first one's half-light radius.
        merger_flux_ratio: Flux of a merger's second galaxy over that of the first.
        log_arc_to_noise: Decimal logarithm of the arc's brightest pixel over the standard deviation of the sky's noise
            in the cutout.
        exposure_time: Total exposure time in seconds of cutouts in electrons per second (1 for cutouts in electrons):
            the arc then has the noise of its own photons. Without it the arc has no noise.
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
            self.remarks = ("no real galaxies given (options cosmos, stamps): all sources are core-Sersic profiles",)
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
        """See `Simulator.refuses`."""
        return refused(self.priors, given, merger_fraction=self.sources.merger_fraction)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Draws one group; see the recorded parameters, and the class that draws each group for its entries."""
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
        """Renders scenes: (n, 1, pixels, pixels), in units of each cutout's maximum.

        Args:
            scene: All groups' entries for n images.
            omit: What to leave out: `source` leaves the cutouts alone.
        """
        image = self.lens_light.image(scene)
        if "source" in omit:
            return image[:, None]
        return (image + self.arc(scene))[:, None]

    def arc(self, scene: Scene) -> Tensor:
        """Return the light that is added to the cutouts, (n, pixels, pixels), in units of their maxima."""
        cutouts, galaxy = self.lens_light.cutouts, scene["lens_galaxy"]
        arc = normalised(self.renderer.convolve(self.renderer.arc(scene)[:, None], scene["psf"])[:, 0])
        height = 10 ** scene["log_arc_to_noise"].double() * cutouts.noise[galaxy]
        arc = height.to(arc.dtype)[:, None, None] * arc
        if self.exposure_time is None:
            return arc
        electrons = (cutouts.peak[galaxy] * self.exposure_time).to(arc.dtype)[:, None, None]
        return arc + (arc.clamp(min=0) / electrons).sqrt() * scene["noise"]

    def to(self, device: torch.device | str) -> Self:
        """See `Simulator.to`."""
        self.lens_light.cutouts = self.lens_light.cutouts.to(device)
        return super().to(device)

    def _parameters(self) -> list[Parameter]:
        """What is recorded."""
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
"""What is recorded beside the parameters of `hst`."""
