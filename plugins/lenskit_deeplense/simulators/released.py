"""Models I, II and III of DeepLenseSim, the public simulations of DeepLense.

The code is https://github.com/mwt5345/DeepLenseSim; all numbers are from this code. Where the code differs from
the intention of its authors, an option has a value for each: `as_released` selects the values of the code; otherwise,
the intended values apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Scene, UsageError
from lenskit_deeplense.simulators.macro import MacroNoise
from lenskit_deeplense.simulators.scenes import SubstructureScenes
from lenskit_lensing.cosmology import ARCSEC, G_OVER_C2
from lenskit_lensing.instruments.photons import photons
from lenskit_lensing.light import sersic_b
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.priors import Prior

Noise = Literal["once", "twice", "none"]


class DeepLense1(SubstructureScenes):
    """Model I of DeepLenseSim: an isothermal ellipsoid, 150 pixels of 0.05 arcsec.

    Images have 150 x 150 pixels and are in counts. The classes are no substructure (`no_sub` in the public code), 25
    point masses (`cdm`) and strings of 100 point masses (`axion`). There is no lens light.

    With `as_released`, the simulator does the same as the public code: Einstein radii follow from luminosity distances
    (1.28 arcsec for 1e12 solar masses; the correct value is 1.66), the slope of the mass function is -0.9, the number
    of subhalos is always 25, the source has a fixed ellipticity, and noise is added twice.
    """

    points_to_ends = True

    oddities: ClassVar[Mapping[str, tuple[Any, Any]]] = MappingProxyType(
        {
            "distances": ("luminosity", "angular"),
            "noise": ("twice", "once"),
            "z_convention": (None, None),
            "subhalos": ("25", "poisson(25)"),
            "subhalo_slope": (-0.9, -1.9),
            "source_e1": ("-0.1", "uniform(-0.1, 0.1)"),
            "source_e2": ("0.1", "uniform(-0.1, 0.1)"),
        }
    )
    """Values of options in the public code, and the intended values."""

    def __init__(
        self,
        *,
        as_released: bool = True,
        distances: Literal["luminosity", "angular"] | None = None,
        noise: Noise | None = None,
        z_convention: Annotated[float, Ge(0.01), Le(20)] | None = None,
        exposure: Prior = "loguniform(1000, 3162.28)",
        sky_rms: Prior = "0.01",
        theta_E: Prior | None = None,
        halo_mass: Prior | None = None,
        cosmology: str = "FlatLambdaCDM(70, 0.3)",
        psf: Literal["airy", "gaussian", "none"] = "gaussian",
        lens_q: Prior = "0.8181818181818182",
        lens_angle: Prior = "0",
        shear: Prior = "0.05",
        shear_angle: Prior = "0",
        subhalos: Prior | None = None,
        subhalo_profile: Literal["point", "tnfw", "pjaffe"] = "point",
        subhalo_slope: Annotated[float, Ge(-5), Le(5)] | None = None,
        subhalo_mass_fraction: Prior = "0",
        vortex: Literal["points", "line"] = "points",
        log_axion_mass: Prior = "uniform(-24, -22)",
        string_mass: Prior = "3e10",
        light_amplitude: Prior = "0",
        source_amplitude: Prior = "20",
        source_n: Prior = "1",
        source_radius: Prior = "0.25",
        source_e1: Prior | None = None,
        source_e2: Prior | None = None,
        source_x: Prior = "uniform(-0.35, 0.35)",
        source_y: Prior = "uniform(-0.35, 0.35)",
        **options: Any,
    ) -> None:
        """Args:
        as_released: Use the values of the public code as defaults of `distances`, `noise`, `z_convention`, `subhalos`,
            `subhalo_slope`, `source_e1` and `source_e2`; otherwise use the intended values.
        distances: Distances for the Einstein radii: `luminosity`, or `angular` for angular-diameter distances, which
            are correct.
        noise: `once` adds photon noise and sky noise. `twice` adds photon noise again, to the noisy counts. `none`
            returns twice the image without noise.
        z_convention: Redshift of the source for which all deflections are computed; by default the source's own
            redshift, or 2.5 in `deeplense-2` and `deeplense-3` as released.
        theta_E: Einstein radius in arcsec; by default it follows from `halo_mass`.
        halo_mass: Mass in solar masses; by default 1e12, unless `theta_E` is set.
        exposure: Exposure time in seconds.
        sky_rms: Noise of the sky in counts per second and pixel.
        """
        chosen: dict[str, Any] = {
            "distances": distances,
            "noise": noise,
            "z_convention": z_convention,
            "subhalos": subhalos,
            "subhalo_slope": subhalo_slope,
            "source_e1": source_e1,
            "source_e2": source_e2,
        }
        for name, (released, meant) in self.oddities.items():
            if chosen[name] is None:
                chosen[name] = released if as_released else meant
        self.distances: Any = chosen.pop("distances")
        self.noise: Any = chosen.pop("noise")
        self.z_convention: Any = chosen.pop("z_convention")
        super().__init__(
            {"exposure": exposure, "sky_rms": sky_rms},
            **({"halo_mass": halo_mass or "1e12"} if theta_E is None else {"theta_E": theta_E, "halo_mass": halo_mass}),
            cosmology=cosmology,
            psf=psf,
            lens_q=lens_q,
            lens_angle=lens_angle,
            shear=shear,
            shear_angle=shear_angle,
            subhalo_profile=subhalo_profile,
            subhalo_mass_fraction=subhalo_mass_fraction,
            vortex=vortex,
            log_axion_mass=log_axion_mass,
            string_mass=string_mass,
            light_amplitude=light_amplitude,
            source_amplitude=source_amplitude,
            source_n=source_n,
            source_radius=source_radius,
            source_x=source_x,
            source_y=source_y,
            **chosen,
            **options,
        )
        farthest = self.priors["z_lens"].bounds[1]
        if self.z_convention is not None and self.z_convention <= farthest:
            raise UsageError(
                f"option z_convention: a source at {self.z_convention:g} is not behind lenses at up to {farthest:g}"
            )

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample the values of one group."""
        drawn = super().draw(group, rng, scene)
        if group == "lens" and self.z_convention is not None:
            drawn["deflection_scale"] = self._deflection_scale(drawn["z_lens"], drawn["z_source"], self.z_convention)
        return drawn

    def deflection_scale(self) -> float:
        """Return the factor by which the macro model multiplies all deflections.

        With `z_convention`, deflections are computed for a source at this redshift. The factor converts them to the
        redshift of the source, at the middle of the ranges of `z_lens` and `z_source`. Without `z_convention` it is 1.
        """
        if self.z_convention is None:
            return 1.0
        z_lens, z_source = (torch.tensor([sum(self.priors[z].bounds) / 2]) for z in ("z_lens", "z_source"))
        return self._deflection_scale(z_lens, z_source, self.z_convention).item()

    def _deflection_scale(self, z_lens: Tensor, z_source: Tensor, z_convention: float) -> Tensor:
        """Return the ratio of deflections of sources at `z_source` and `z_convention`."""
        meant = self.cosmology.critical_density(z_lens, z_source * 0 + z_convention)
        return meant / self.cosmology.critical_density(z_lens, z_source)

    def macro_noise(self) -> MacroNoise:
        """Return the noise of an image with the middle value of each prior.

        The brightest pixel is as bright as the centre of the source. For images without noise, the noise of `once` is
        returned, so that residuals can be divided by it.
        """
        exposure, sky, amplitude, n = (
            sum(self.priors[name].bounds) / 2 for name in ("exposure", "sky_rms", "source_amplitude", "source_n")
        )
        rate = amplitude * self.lenses.pixel_scale**2 * sersic_b(torch.tensor(n)).exp().item()
        draws = 2 if self.noise == "twice" else 1
        return MacroNoise(draws / (rate * exposure), sky / rate, is_known=self.noise == "none")

    def einstein_radius(self, mass: Tensor, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Return the Einstein radius in arcsec of a mass in solar masses.

        It follows from the chosen distances. The public code uses theta_E^2 = 4 G M / c^2 (D_s - D_l) / (D_l D_s) with
        luminosity distances.
        """
        if self.distances == "angular":
            return super().einstein_radius(mass, z_lens, z_source)
        to_lens, to_source = (
            self.cosmology.comoving_distance(z.double()) * (1 + z.double()) for z in (z_lens, z_source)
        )
        square = 4 * G_OVER_C2 * mass.double() * (to_source - to_lens) / (to_lens * to_source)
        return (square.sqrt() / ARCSEC).to(mass.dtype)

    def draw_instrument(self, rng: KeyedGenerator) -> Scene:
        """Sample exposure, sky noise and normal numbers (n, pixels, pixels) for the noise."""
        pixels = self.image_shape[1]
        drawn = rng.samples({name: self.priors[name] for name in ("exposure", "sky_rms")})
        names = {"once": ("photon_noise", "sky_noise"), "twice": ("photon_noise", "sky_noise", "second_noise")}
        return drawn | {name: rng.noise(name, pixels, pixels) for name in names.get(self.noise, ())}

    def observe(self, images: Tensor, scene: Scene) -> Tensor:
        """Return counts (n, pixels, pixels) for blurred images.

        Blurred images are in counts per second and square arcsec. Without noise, the result is twice the counts per
        second, as the public code saves them.
        """
        rate = images.clamp(min=0) * self.lenses.pixel_scale**2  # the convolution's rounding errors can be negative
        if self.noise == "none":
            return 2 * rate
        exposure, sky = columns(scene["exposure"], scene["sky_rms"])
        counts = photons(rate * exposure, scene["photon_noise"]) + exposure * sky * scene["sky_noise"]
        return photons(counts.clamp(min=0), scene["second_noise"]) if self.noise == "twice" else counts


class DeepLense2(DeepLense1):
    """Model II of DeepLenseSim: Euclid's VIS, 64 pixels of 0.101 arcsec.

    It is Model I observed by Euclid, with 64 x 64 pixels.

    With `as_released`, images have no noise and are twice the model, because the public code adds the image to itself
    instead of the noise. Deflections are computed for a source at redshift 2.5. For the source at redshift 1, the lens
    then has an Einstein radius of 0.81 arcsec.
    """

    oddities = MappingProxyType({**DeepLense1.oddities, "noise": ("none", "once"), "z_convention": (2.5, None)})

    def __init__(
        self,
        *,
        pixels: Annotated[int, Ge(16), Le(4096)] = 64,
        pixel_scale: Annotated[float, Ge(1e-3), Le(10)] = 0.101,
        psf_fwhm: Annotated[float, Ge(1e-3), Le(5)] = 0.16,
        exposure: Prior = "2264",
        sky_rms: Prior = "0.0109044",
        source_amplitude: Prior = "259.5857",
        **options: Any,
    ) -> None:
        super().__init__(
            pixels=pixels,
            pixel_scale=pixel_scale,
            psf_fwhm=psf_fwhm,
            exposure=exposure,
            sky_rms=sky_rms,
            source_amplitude=source_amplitude,
            **options,
        )


class DeepLense3(DeepLense2):
    """Model III of DeepLenseSim: HST's WFC3, 64 pixels of 0.08 arcsec.

    It is Model II observed by HST, with 64 x 64 pixels. The public code names HST but has no settings for it. The
    settings here are a guess: lenstronomy's settings for WFC3 in F160W, with a Gaussian PSF.
    """

    def __init__(
        self,
        *,
        pixel_scale: Annotated[float, Ge(1e-3), Le(10)] = 0.08,
        psf_fwhm: Annotated[float, Ge(1e-3), Le(5)] = 0.08,
        exposure: Prior = "5400",
        sky_rms: Prior = "0.00591997",
        source_amplitude: Prior = "323.803",
        **options: Any,
    ) -> None:
        super().__init__(
            pixel_scale=pixel_scale,
            psf_fwhm=psf_fwhm,
            exposure=exposure,
            sky_rms=sky_rms,
            source_amplitude=source_amplitude,
            **options,
        )
