"""Simulator of HST-like galaxy-scale lenses, as in LenSiam.

LenSiam is Chang et al. 2023, https://arxiv.org/abs/2311.10100.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Parameter, Scene, Simulator, UsageError, at_most
from lenskit.toolbox import MacroModel
from lenskit_lensing.given import refused
from lenskit_lensing.instruments.exposure import Exposure
from lenskit_lensing.instruments.instrument import load_instrument
from lenskit_lensing.priors import DOMAINS, Prior, largest_norm, parse_priors, width
from lenskit_lensing.scenes.field import Neighbours, neighbour_light
from lenskit_lensing.scenes.lens_light import FOLLOWS, LensLight, lens_flux
from lenskit_lensing.scenes.lens_population import LensPopulation
from lenskit_lensing.scenes.light_structure import ISOPHOTES, LightStructure
from lenskit_lensing.sources.population import SourcePopulation, real_galaxies

Fraction = Annotated[float, Ge(0), Le(1)]

EINSTEIN_RADIUS = "uniform(0.8, 1.8)"
"""Default prior. It is in the configuration even if a velocity dispersion replaces it."""


class HST(Simulator):
    """HST-like images of galaxy-scale lenses.

    The mass is an elliptical power law with external shear. The source is a core-Sersic profile, the image of a real
    galaxy, or two of these. The lens light is a Sersic profile that follows the mass with small deviations. Options
    give the lens light a size and a shape independent of the mass, a disc, and isophotes that are not elliptical. A PSF
    blurs the arc and the lens light; the image is

        arc / max(arc) + 10^log_light_to_arc light / max(light),

    divided by its maximum, plus white noise of rms 10^log_noise, and divided by its maximum again. With
    `noise="instrument"` the image is first scaled to electrons per second so that the lens light has its magnitude. The
    noise is then that of the instrument: sky, readout and photons.

    Neighbours, if there are any, are blurred and scaled together with the lens light.

    Source positions are sampled relative to the point behind the lens's centre. If the magnification is below
    `min_magnification`, the position is sampled again, up to 16 times. If no candidate reaches `min_magnification`, the
    candidate with the largest magnification is used. The magnification is estimated with a round Gaussian that has the
    source's half-light radius. It is the flux within the circle around the frame, divided by the flux without a lens.
    """

    groups: tuple[str, ...] = ("lens", "source", "lens_light", "instrument")
    removable: frozenset[str] = frozenset({"source", "lens_light"})

    def __init__(
        self,
        *,
        instrument: str = "hst-acs-f814w",
        band: str | None = None,
        pixels: Annotated[int, Ge(16), Le(4096)] | None = None,
        pixel_scale: Annotated[float, Ge(1e-3), Le(10)] | None = None,
        noise: Literal["white", "instrument"] = "white",
        renderer: Literal["torch", "lenstronomy"] = "torch",
        supersampling: Annotated[int, Ge(1), at_most(64)] | Literal["adaptive"] = 1,
        psf: str | None = None,
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
        e1: Prior = "uniform(-0.5, 0.5)",
        e2: Prior = "uniform(-0.5, 0.5)",
        center_x: Prior = "uniform(-0.15, 0.15)",
        center_y: Prior = "uniform(-0.15, 0.15)",
        gamma1: Prior = "uniform(-0.12, 0.12)",
        gamma2: Prior = "uniform(-0.12, 0.12)",
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
        light_deviation: Annotated[float, Ge(0), Le(1)] = 0.025,
        light_n: Prior = "uniform(3, 8)",
        light_radius: Prior = "uniform(0.5, 2.6)",
        light_radius_unit: Literal["theta_E", "arcsec"] = "theta_E",
        light_q: Prior | None = None,
        light_angle: Prior = "normal(0, 10)",
        light_twist: Prior = "0",
        light_m3: Prior = "0",
        light_m4: Prior = "0",
        disc_fraction: Fraction = 0.0,
        disc_flux_ratio: Prior = "loguniform(0.1, 1)",
        disc_radius: Prior = "uniform(1, 3)",
        disc_thickness: Prior = "uniform(0.1, 0.25)",
        light_magnitude: Prior = "normal(16.6, 0.7)",
        log_light_to_arc: Prior = "uniform(-0.1, 2)",
        log_noise: Prior = "uniform(-3.25, -2.25)",
        exposure_time: Prior | None = None,
        neighbours: Prior = "0",
        neighbour_x: Prior = "uniform(-0.5, 0.5)",
        neighbour_y: Prior = "uniform(-0.5, 0.5)",
        neighbour_log_flux: Prior = "uniform(-3, -0.8)",
        neighbour_radius: Prior = "loguniform(0.1, 0.6)",
        neighbour_n: Prior = "uniform(1, 4)",
        neighbour_e1: Prior = "uniform(-0.3, 0.3)",
        neighbour_e2: Prior = "uniform(-0.3, 0.3)",
        background_gradient: Prior = "0",
        masked_pixels: Prior = "0",
    ) -> None:
        """Args:
        instrument: Camera that sets pixels, PSFs and noise: a name of `lenskit list instruments`, or the path of a
            `.toml` file.
        band: Band of the instrument; by default the first.
        pixels: Height and width of the image; by default those of the instrument.
        pixel_scale: Size of a pixel in arcsec; by default that of the instrument.
        noise: `white` noise with a level relative to the image's maximum, or the noise of the `instrument`.
        renderer: `torch` for batched torch code, or `lenstronomy` as the reference.
        supersampling: Rays along each side of a pixel; the arc is averaged over them, and the cost grows with the
            square of their number. For an analytic source, one ray has a median error of 3 % (95 %: 12 %) in the arc's
            maximum, 2 x 2 rays 0.5 % (5 %), and 4 x 4 rays 0.1 % (0.5 %). `adaptive` uses 8 x 8 rays where they matter:
            its error is 0.04 % (0.2 %), and it costs about three rays a pixel. The PSF already includes a
            pixel average, so it is applied twice, which adds a few percent to each of these errors
            (docs/guides/simulators.md, Accuracy).
        psf: FITS or numpy file of PSFs, or a folder of such files; by default the PSFs of the instrument.
        cosmos: Folder of a COSMOS real-galaxy catalogue. Without it and without `stamps`, all sources are core-Sersic
            profiles.
        cosmos_fraction: Fraction of source galaxies that are real galaxies, from the catalogue or from `stamps`.
        cosmos_min_pixels: Smallest cutout in pixels; real galaxies with smaller cutouts are left out.
        cosmos_max_noise: Largest noise as a fraction of the galaxy's maximum; noisier real galaxies are left out.
        cosmos_good_stamps: Leave out the cutouts that the catalogue's selection table marks as suspect.
        stamps: Folder of FITS or numpy images of galaxies, instead of a COSMOS catalogue.
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
        e1: Ellipticity of the mass.
        e2: Ellipticity of the mass.
        center_x: Centre of the mass in arcsec.
        center_y: Centre of the mass in arcsec.
        gamma1: External shear.
        gamma2: External shear.
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
        light_deviation: Standard deviation of the difference between lens light and mass in each component of centre
            and ellipticity, as a fraction of the width of the mass's prior.
        light_n: Sersic index of the lens light.
        light_radius: Half-light radius of the lens light, or of its bulge, in units of `light_radius_unit`.
        light_radius_unit: `arcsec` makes the size of the lens light independent of the mass. With `theta_E` the lens
            light alone reveals theta_E.
        light_q: Axis ratio of the lens light. By default the ellipticity of the light follows that of the mass.
        light_angle: Position angle of the lens light minus that of the mass in degrees; used with `light_q`.
        light_twist: Twist of the lens light's isophotes in degrees per decade in radius.
        light_m3: Amplitude of the isophotes' multipole of order 3 in a random direction, relative to the radius.
        light_m4: Amplitude of the multipole of order 4 along the axes: above 0 discy, below 0 boxy.
        disc_fraction: Fraction of lens galaxies with an exponential disc in addition to the bulge. The disc has the
            bulge's position angle and a random inclination.
        disc_flux_ratio: Flux of a disc divided by the flux of the bulge.
        disc_radius: Half-light radius of a disc in units of the bulge's half-light radius.
        disc_thickness: Axis ratio of a disc seen edge-on.
        light_magnitude: AB magnitude of all the lens light; used with the instrument's noise.
        log_light_to_arc: Decimal logarithm of the lens light's maximum divided by the arc's maximum.
        log_noise: Decimal logarithm of the rms of white noise divided by the image's maximum.
        exposure_time: Total exposure time in seconds for the instrument's noise; by default that of the instrument. The
            background noise decreases as the square root of the time.
        neighbours: Number of other galaxies in the frame, rounded down, at most 32; for example `choice(0, 1, 2, 3)`.
        neighbour_x: Position of a neighbour relative to the middle of the frame, in units of the frame's width.
        neighbour_y: Position of a neighbour, in the same units.
        neighbour_log_flux: Decimal logarithm of a neighbour's flux divided by the flux of all the lens light.
        neighbour_radius: Half-light radius of a neighbour in arcsec.
        neighbour_n: Sersic index of a neighbour.
        neighbour_e1: Ellipticity of a neighbour.
        neighbour_e2: Ellipticity of a neighbour.
        background_gradient: Rise of the background from one side of the frame to the other in a random direction, in
            units of the noise rms where there is no light.
        masked_pixels: Expected fraction of pixels without data. They are zero and form patches like those of cosmic
            rays.
        """
        given = {name: value for name, value in locals().items() if name in DOMAINS and value is not None}
        self.priors = parse_priors(given)
        camera = load_instrument(instrument)
        self.band = camera.band(band).at(pixels=pixels, pixel_scale=pixel_scale)
        if noise == "instrument" and self.band.missing_for_noise:
            raise UsageError(
                f"option noise: band {self.band.name} of instrument {camera.name!r} lacks "
                f"{self.band.missing_for_noise}, so its noise is unknown; use noise=white"
            )
        pixels, white = self.band.pixels, noise == "white"
        self.image_shape, self.pixel_scale = (1, pixels, pixels), self.band.pixel_scale
        if exposure_time is not None and white:
            raise UsageError("option exposure_time: white noise has no exposure time; use noise='instrument'")
        ellipticity = largest_norm(self.priors, "e1", "e2")

        from lenskit_lensing.instruments.psf import load_psfs

        psfs = self.band.psfs() if psf is None else load_psfs(psf, self.band.pixel_scale)
        galaxies = real_galaxies(
            cosmos=cosmos,
            stamps=stamps,
            min_pixels=cosmos_min_pixels,
            max_noise=cosmos_max_noise,
            good_stamps=cosmos_good_stamps,
            clean=stamps_clean,
        )
        if galaxies is None:
            self.remarks = ("COSMOS is not configured (options cosmos, stamps); using core-Sersic sources",)
        frame = pixels * self.band.pixel_scale
        self.lenses = LensPopulation(self.priors, cosmology, chosen=str(self.priors["theta_E"]) != EINSTEIN_RADIUS)
        self.sources = SourcePopulation(
            priors=self.priors,
            merger_fraction=merger_fraction,
            stamp_fraction=cosmos_fraction,
            stamps=galaxies,
            min_magnification=min_magnification,
            frame=frame,
            ellipticity=ellipticity,
            wide_fraction=wide_fraction,
            wide_min_magnification=wide_min_magnification,
        )
        magnitude = () if white else ("light_magnitude",)
        own = ("light_n", "light_radius", "log_light_to_arc", *magnitude)
        scatter = {name: light_deviation * width(self.priors[of_mass]) for name, of_mass in FOLLOWS.items()}
        self.lens_light = LensLight(self.priors, scatter, own, in_arcsec=light_radius_unit == "arcsec")
        if not self.lens_light.in_arcsec:
            remedy = "light_radius_unit=arcsec, with a light_radius in arcsec, makes the light independent"
            self.shortcut_remedies = {"theta_E": f"{remedy} (docs/guides/simulators.md)"}
        self.structure = LightStructure(self.priors, disc_fraction)
        if self.structure.isophotes and renderer == "lenstronomy":
            raise UsageError(
                "option renderer: lenstronomy has no twisted or boxy isophotes; use 'torch', or set "
                "light_twist, light_m3 and light_m4 to 0"
            )
        self.exposure = Exposure(self.priors, self.band, white, psfs=len(psfs))
        self.neighbours = Neighbours(self.priors, frame, ("log_flux",))
        if self.neighbours.most:
            self.groups = ("lens", "source", "lens_light", "field", "instrument")
            self.removable = frozenset({"source", "lens_light", "field"})
        self.renderer = renderer_class(renderer)(
            pixels=pixels,
            pixel_scale=self.band.pixel_scale,
            ellipticity=ellipticity,
            psfs=psfs,
            stamps=galaxies and galaxies.images,
            supersampling=supersampling,
        )
        self.parameters, self.known = self._parameters(only_profiles=galaxies is None), RECORDED

    def macro_model(self, free: Sequence[str] | None = None) -> MacroModel:
        """Return the macro model that is fitted to this simulator's images.

        Args:
            free: Parameters to fit although the simulator fixes them.

        Raises:
            UsageError: The options produce lenses that the macro model does not describe.
        """
        from lenskit_lensing.simulators.hst_macro import HSTMacroModel

        other_sources = {
            "cosmos_fraction=0": self.sources.stamps is not None and self.sources.stamp_fraction > 0,
            "merger_fraction=0": self.sources.merger_fraction > 0,
        }
        wrong = {
            "neighbours=0": self.neighbours.most > 0,
            "light_radius_unit=theta_E": self.lens_light.in_arcsec,
            "disc_fraction=0": self.structure.disc_fraction > 0,
            **{f"{name}=0": self.structure.has(name) for name in ISOPHOTES},
            "wide_fraction=0": self.sources.wide_fraction > 0,
            "psf=FILE, with one PSF": self.exposure.psfs > 1,
            "renderer=torch": not isinstance(self.renderer, renderer_class("torch")),
        }
        if needed := [option for option, is_wrong in wrong.items() if is_wrong]:
            raise UsageError(f"the macro model of hst needs simulator.{', simulator.'.join(needed)}")
        if self.structure.own_shape:
            raise UsageError("the macro model of hst has lens light that follows the mass: remove simulator.light_q")
        return HSTMacroModel(
            self.priors,
            free or (),
            theta_E=self.lenses.einstein_radii,
            scatter=self.lens_light.scatter,
            renderer=self.renderer,
            exposure=self.exposure,
            other_sources=tuple(option for option, is_there in other_sources.items() if is_there),
        )

    def refuses(self, given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
        """Yield the given values that cannot be rendered; see `Simulator.refuses`."""
        return refused(self.priors, given, merger_fraction=self.sources.merger_fraction)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample one group of scene entries.

        `RECORDED` lists the recorded parameters. The class that samples a group documents its entries.
        """
        if group == "lens":
            return self.lenses.draw(rng)
        if group == "source":
            return self.sources.draw(rng, scene)
        if group == "lens_light":
            light = self.lens_light.draw(rng, scene)
            return light | self.structure.draw(rng, scene, light)
        if group == "field":
            return self.neighbours.draw(rng)
        return self.exposure.draw(rng)

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Render scenes to images (n, 1, pixels, pixels) with a maximum of one each.

        Args:
            scene: Entries of all groups for n images.
            omit: Parts to leave out: `source`, `lens_light` or, if there are neighbours, `field`. White noise keeps its
                level relative to the remaining light. Instrument noise is computed from the remaining light.
        """
        with_field = "field" in self.groups and "field" not in omit
        extra = self._field(scene) if with_field else None
        arc, light, *field = self.renderer(scene, extra)
        ratio = 10 ** scene["log_light_to_arc"][:, None, None]
        image = torch.zeros_like(arc)
        if "source" not in omit:
            image = image + normalised(arc)
        if "lens_light" not in omit:
            image = image + ratio * normalised(light)
        if with_field:
            image = image + ratio * field[0][:, 0] / peak(light)
        image = normalised(image) if self.exposure.white else image * self._electrons(scene) * (peak(light) / ratio)
        return normalised(self.exposure.observe(image, scene))[:, None]

    def _field(self, scene: Scene) -> Tensor:
        """Return neighbours before the PSF, in the renderer's units of the lens light.

        The shape is (n, 1, pixels, pixels).
        """
        lens_light = lens_flux(scene)[:, None]
        ratio = (10 ** scene["neighbour_log_flux"].double()).to(lens_light.dtype)
        return neighbour_light(scene, self.renderer, (ratio * lens_light)[:, None])

    def _electrons(self, scene: Scene) -> Tensor:
        """Return the electrons per second in a pixel for lens light of one, (n, 1, 1).

        The renderer's lens light is one at its half-light radius.
        """
        rate = self.band.rate(scene["light_magnitude"]) / lens_flux(scene)
        return rate[:, None, None] * self.band.pixel_scale**2

    def _parameters(self, only_profiles: bool) -> Sequence[Parameter]:
        """Return the recorded parameters.

        A parameter is recorded if it has the same meaning in all scenes and the options let it vary.
        """
        wanted = {
            "source_n": only_profiles,
            "velocity_dispersion": self.lenses.is_physical,
            "z_lens": self.lenses.is_physical,
            "z_source": self.lenses.is_physical,
            "light_magnitude": not self.exposure.white,
            "light_q": self.structure.own_shape,
            "light_angle": self.structure.own_shape,
            "light_twist": self.structure.has("light_twist"),
            "light_m3": self.structure.has("light_m3"),
            "light_m4": self.structure.has("light_m4"),
            "disc_flux_ratio": self.structure.disc_fraction > 0,
            "disc_q": self.structure.disc_fraction > 0,
            "log_noise": self.exposure.white,
            "exposure_time": "exposure_time" in self.priors,
            "neighbours": self.neighbours.most > 0,
            "background_gradient": self.exposure.has("background_gradient"),
            "masked_pixels": self.exposure.has("masked_pixels"),
            "source_stamp": not only_profiles,
            "companion_stamp": not only_profiles and self.sources.merger_fraction > 0,
        }
        parameters = [parameter for parameter in RECORDED if wanted.get(parameter.name, True)]
        if self.lens_light.in_arcsec:
            in_arcsec = Parameter("light_radius", "arcsec", "$R_l$", "lens_light")
            parameters = [in_arcsec if parameter.name == "light_radius" else parameter for parameter in parameters]
        if self.exposure.psfs > 1:
            names = tuple(map(str, range(self.exposure.psfs)))
            parameters.append(Parameter("psf", "", "PSF", "instrument", names))
        return parameters


def peak(images: Tensor) -> Tensor:
    """Return the maxima (n, 1, 1) of images (n, height, width).

    The value is one where no pixel is above zero.
    """
    largest = images.amax((1, 2), keepdim=True)
    return torch.where(largest > 0, largest, 1)


def normalised(images: Tensor) -> Tensor:
    """Return images (n, height, width) divided by their maxima.

    Images without a pixel above zero stay unchanged.
    """
    return images / peak(images)


def renderer_class(name: str) -> type:
    """Return the renderer class with this name, imported on demand."""
    if name == "torch":
        from lenskit_lensing.render.torch_renderer import TorchRenderer

        return TorchRenderer
    from lenskit_lensing.render.lenstronomy_renderer import LenstronomyRenderer

    return LenstronomyRenderer


RECORDED = (
    Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),
    Parameter("gamma", "", r"$\gamma$", headline=True),
    Parameter("gamma1", "", r"$\gamma_1$", headline=True),
    Parameter("gamma2", "", r"$\gamma_2$", headline=True),
    Parameter("e1", "", "$e_1$"),
    Parameter("e2", "", "$e_2$"),
    Parameter("center_x", "arcsec", "$x_c$"),
    Parameter("center_y", "arcsec", "$y_c$"),
    Parameter("velocity_dispersion", "km/s", r"$\sigma_v$"),
    Parameter("z_lens", "", "$z_l$"),
    Parameter("z_source", "", "$z_s$"),
    Parameter("source_dx", "arcsec", r"$\Delta x_s$", "source"),
    Parameter("source_dy", "arcsec", r"$\Delta y_s$", "source"),
    Parameter("source_half_light_radius", "arcsec", "$R_s$", "source"),
    Parameter("source_magnification", "", r"$\mu$", "source"),
    Parameter("light_n", "", "$n_l$", "lens_light"),
    Parameter("light_radius", "", r"$R_l / \theta_E$", "lens_light"),
    Parameter("log_light_to_arc", "", r"$\log_{10}$ light/arc", "lens_light"),
    Parameter("light_magnitude", "mag", "$m_l$", "lens_light"),
    Parameter("light_q", "", "$q_l$", "lens_light"),
    Parameter("light_angle", "deg", r"$\Delta\phi_l$", "lens_light"),
    Parameter("light_twist", "deg", "twist", "lens_light"),
    Parameter("light_m3", "", "$m_3$", "lens_light"),
    Parameter("light_m4", "", "$m_4$", "lens_light"),
    Parameter("disc_flux_ratio", "", "disc/bulge", "lens_light"),
    Parameter("disc_q", "", "$q_d$", "lens_light"),
    Parameter("neighbours", "", "neighbours", "field"),
    Parameter("log_noise", "", r"$\log_{10}$ noise", "instrument"),
    Parameter("exposure_time", "s", "$t$", "instrument"),
    Parameter("background_gradient", "", "gradient", "instrument"),
    Parameter("masked_pixels", "", "masked", "instrument"),
    Parameter("source_n", "", "$n_s$", "source"),
    Parameter("source_stamp", "", "stamp", "source", identity=True),
    Parameter("companion_stamp", "", "companion's stamp", "source", identity=True),
)
"""All parameters that may be recorded. `source_n` is recorded only if every source has a Sersic index."""
