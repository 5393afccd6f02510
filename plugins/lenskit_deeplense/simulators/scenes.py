"""Base class of simulators of lenses with dark-matter substructure."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene, Simulator, UsageError, at_most, meant
from lenskit.toolbox import keep_freed_memory
from lenskit_deeplense.simulators.given import refused
from lenskit_deeplense.simulators.macro import UNKNOWN, MacroNoise, SubstructureMacroModel
from lenskit_deeplense.simulators.priors import DOMAINS
from lenskit_deeplense.simulators.recorded import CLASSES, KNOWN, recorded
from lenskit_deeplense.simulators.rendering import Blur, Lenses
from lenskit_deeplense.simulators.subhalos import Subhalos
from lenskit_deeplense.simulators.vortex import Vortex
from lenskit_lensing.cosmology import cosmology_named
from lenskit_lensing.priors import Prior, parse_priors

THETA_E = "1.2"
"""Default of theta_E. A configuration contains it even if `halo_mass` replaces it."""

HALF_TURN = f"uniform(0, {math.pi:.15g})"

LENS = ("theta_E", "halo_mass", "z_lens", "z_source", "lens_q", "lens_angle", "center_x", "center_y")
SHEAR = ("shear", "shear_angle")
LENS_LIGHT = ("light_amplitude", "light_n", "light_radius", "light_q", "light_angle")
SOURCE = ("source_amplitude", "source_n", "source_radius")


class SubstructureScenes(Simulator):
    """Galaxy-scale lenses with or without dark-matter substructure.

    An isothermal lens with external shear and substructure (subhalos or a vortex) lenses a Sersic galaxy. The lens
    light is a Sersic profile. Both are blurred. A subclass adds noise: `draw_instrument` samples the group
    `instrument`, and `observe` converts blurred light to images.

    The label `substructure` is the class of a lens. Lenses of different classes differ in their substructure only: lens
    7 of `classes=none` is lens 7 of `classes=vortex` without the string.
    """

    points_to_ends: ClassVar[bool] = False
    """Whether the first and last point of a string of points lie on its ends."""

    groups: tuple[str, ...] = ("lens", "substructure", "source", "lens_light", "instrument")
    removable: frozenset[str] = frozenset({"source", "lens_light"})
    known = KNOWN
    anomaly_options = MappingProxyType({"classes": CLASSES})

    def __init__(
        self,
        noise: Mapping[str, Prior],
        *,
        classes: tuple[str, ...] | str = ("none",),
        pixels: Annotated[int, Ge(16), Le(4096)] = 150,
        pixel_scale: Annotated[float, Ge(1e-3), Le(10)] = 0.05,
        supersampling: Annotated[int, Ge(1), at_most(64)] | Literal["adaptive"] = 1,
        psf: Literal["airy", "gaussian", "none"] = "airy",
        psf_fwhm: Annotated[float, Gt(0), Le(5)] = 0.087,
        theta_E: Prior = THETA_E,
        halo_mass: Prior | None = None,
        z_lens: Prior = "0.5",
        z_source: Prior = "1",
        cosmology: str = "Planck18",
        lens_q: Prior = "uniform(0.6, 1)",
        lens_angle: Prior = HALF_TURN,
        center_x: Prior = "0",
        center_y: Prior = "0",
        shear: Prior = "uniform(0, 0.1)",
        shear_angle: Prior = HALF_TURN,
        subhalos: Prior = "poisson(25)",
        subhalo_profile: Literal["point", "tnfw", "pjaffe"] = "tnfw",
        subhalo_masses: Literal["power-law", "equal"] = "power-law",
        subhalo_mass_min: Annotated[float, Gt(0)] = 1e6,
        subhalo_mass_max: Annotated[float, Gt(0)] = 1e10,
        subhalo_slope: Annotated[float, Ge(-5), Le(5)] = -1.9,
        subhalo_mass_fraction: Prior = "0.01",
        subhalo_r: Prior = "uniform(0.25, 2)",
        subhalo_truncation: Prior = "5",
        vortex: Literal["points", "line"] = "line",
        vortex_points: Annotated[int, Ge(1), Le(1000)] = 100,
        string_length: Prior = "uniform(0.5, 2)",
        log_axion_mass: Prior | None = None,
        string_mass_fraction: Prior = "uniform(0.03, 0.055)",
        string_mass: Prior | None = None,
        light_amplitude: Prior = "1.2",
        light_n: Prior = "2.5",
        light_radius: Prior = "0.5",
        light_q: Prior = "uniform(0.5, 1)",
        light_angle: Prior = HALF_TURN,
        source_amplitude: Prior = "uniform(0.7, 0.9)",
        source_n: Prior = "1.5",
        source_radius: Prior = "0.5",
        source_q: Prior = "uniform(0.7, 1)",
        source_angle: Prior = HALF_TURN,
        source_e1: Prior | None = None,
        source_e2: Prior | None = None,
        source_r: Prior = "uniform(0, 1.2)",
        source_x: Prior | None = None,
        source_y: Prior | None = None,
    ) -> None:
        """Args:
        noise: Priors of the noise that a subclass adds, by name.
        classes: Classes of the lenses: none, spherical, vortex. All classes are equally probable.
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        supersampling: Rays along each side of a pixel, over which the arc is averaged; or `adaptive`: 8 x 8 rays in
            pixels that need them, about three per pixel on average.
        psf: Point spread function: the Airy pattern of a round aperture, a Gaussian, or none.
        psf_fwhm: Full width at half maximum in arcsec, before the integration over pixels.
        theta_E: Einstein radius in arcsec. Do not set it together with `halo_mass`.
        halo_mass: Mass within the Einstein radius in solar masses. It replaces `theta_E`, which then follows from the
            mass and the angular-diameter distances.
        z_lens: Redshift of the lens.
        z_source: Redshift of the source; all values must be above those of `z_lens`.
        cosmology: Name of a flat cosmology of astropy, or FlatLambdaCDM(H0, Om0).
        lens_q: Axis ratio of the mass; 1 is a sphere.
        lens_angle: Direction of the mass's long axis in radians, from +x towards +y.
        center_x: Centre of the lens, its light and its string in arcsec.
        center_y: Centre of the lens, its light and its string in arcsec.
        shear: Absolute value of the external shear.
        shear_angle: Direction of the shear in radians.
        subhalos: Number of subhalos, rounded down: `25`, `poisson(25)` or `choice(0, 10, 20)`.
        subhalo_profile: Profile of the subhalos: points, truncated NFW or pseudo-Jaffe, with the same total mass.
        subhalo_masses: Masses from a power law between two bounds, or equal masses with the sum
            `subhalo_mass_fraction`.
        subhalo_mass_min: Smallest mass of the power law in solar masses.
        subhalo_mass_max: Largest mass of the power law in solar masses.
        subhalo_slope: Slope of the mass function dN/dM ~ M^slope.
        subhalo_mass_fraction: Total mass of the subhalos, divided by the lens's mass; sampled masses are scaled to this
            total. With 0, they are not scaled.
        subhalo_r: Distance of a subhalo from the centre of the image in arcsec.
        subhalo_truncation: Truncation radius of truncated NFW profiles in scale radii.
        vortex: Model of a string: `points` for equal point masses, or `line` for a line of mass.
        vortex_points: Number of point masses of a string.
        string_length: Length of a string from end to end in arcsec.
        log_axion_mass: Decimal logarithm of the axion's mass in eV. It replaces `string_length`: half of the length is
            0.03 arcsec x 1e-22 eV / mass.
        string_mass_fraction: Mass of a string, divided by the lens's mass.
        string_mass: Mass of a string in solar masses. It replaces `string_mass_fraction`.
        light_amplitude: Surface brightness of the lens light at its half-light radius; 0 for no lens light.
        light_n: Sersic index of the lens light.
        light_radius: Half-light radius of the lens light in arcsec.
        light_q: Axis ratio of the lens light.
        light_angle: Direction of the lens light's long axis in radians.
        source_amplitude: Surface brightness of the source at its half-light radius.
        source_n: Sersic index of the source.
        source_radius: Half-light radius of the source in arcsec.
        source_q: Axis ratio of the source.
        source_angle: Direction of the source's long axis in radians.
        source_e1: Ellipticity of the source. Together with `source_e2` it replaces the axis ratio and the angle.
        source_e2: Ellipticity of the source.
        source_r: Distance of the source from the centre of the image in arcsec, in a random direction.
        source_x: Position of the source in arcsec. Together with `source_y` it replaces `source_r`.
        source_y: Position of the source in arcsec.
        """
        given: dict[str, Prior] = {
            name: value for name, value in locals().items() if name in DOMAINS and value is not None
        }
        given |= noise
        self.classes = chosen_classes(classes)
        self.priors = parse_priors(given, DOMAINS)
        if self.priors["light_amplitude"].bounds == (0, 0):
            self.removable = frozenset({"source"})
        for first, second in (("source_e1", "source_e2"), ("source_x", "source_y")):
            if (first in given) != (second in given):
                raise UsageError(f"give the options {first} and {second} together or not at all")
        if halo_mass is not None and str(self.priors["theta_E"]) != THETA_E:
            raise UsageError("options theta_E and halo_mass: set only one of them")
        self._check(subhalo_mass_min, subhalo_mass_max)
        for default, instead in REPLACED.items():
            if instead in self.priors:
                for name in default:
                    del self.priors[name]
        if self.priors["subhalo_mass_fraction"].bounds == (0, 0):
            if subhalo_masses == "equal":
                raise UsageError("subhalo_masses=equal needs a subhalo_mass_fraction above 0")
            del self.priors["subhalo_mass_fraction"]
        self.image_shape, self.pixel_scale = (1, pixels, pixels), pixel_scale
        self.cosmology = cosmology_named(cosmology)
        self.kinds: dict[str, Subhalos | Vortex] = {}
        if "spherical" in self.classes:
            self.kinds["spherical"] = Subhalos(
                priors=of_group(self.priors, "subhalo"),
                masses=(subhalo_mass_min, subhalo_mass_max) if subhalo_masses == "power-law" else None,
                slope=subhalo_slope,
                profile=subhalo_profile,
                cosmology=self.cosmology,
            )
        if "vortex" in self.classes:
            self.kinds["vortex"] = Vortex(
                priors={**of_group(self.priors, "string"), **of_group(self.priors, "log_axion")},
                points=vortex_points if vortex == "points" else 0,
                to_ends=self.points_to_ends,
            )
        self.lenses = Lenses(
            pixels=pixels,
            pixel_scale=pixel_scale,
            rays=supersampling,
            is_round=self.priors["lens_q"].bounds == (1, 1),
            substructure={CLASSES.index(name): kind.deflection for name, kind in self.kinds.items()},
        )
        self.blur = Blur(pixels=pixels, pixel_scale=pixel_scale, psf=psf, fwhm=psf_fwhm)
        self.parameters = recorded(self.priors, self.kinds)
        keep_freed_memory()

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample the values of one group."""
        if group == "lens":
            return self._draw_lens(rng)
        if group == "substructure":
            return self._draw_substructure(rng, scene)
        if group == "source":
            return self._draw_source(rng)
        if group == "lens_light":
            light = rng.samples({name: self.priors[name] for name in LENS_LIGHT})
            e1, e2 = ellipticity(light["light_q"], light.pop("light_angle"))
            return light | {"light_e1": e1, "light_e2": e2}
        return self.draw_instrument(rng)

    @abstractmethod
    def draw_instrument(self, rng: KeyedGenerator) -> Scene:
        """Sample the entries of the group `instrument`."""

    @abstractmethod
    def macro_noise(self) -> MacroNoise:
        """Return the noise of images of lenses without substructure."""

    def macro_model(self, free: Sequence[str] | None = None) -> SubstructureMacroModel:
        """Return the macro model; see `Simulator.macro_model`.

        Args:
            free: Parameters to fit although the simulator fixes them; by default `UNKNOWN`.
        """
        fitted = UNKNOWN if free is None else free
        lenses = Lenses(
            pixels=self.lenses.pixels,
            pixel_scale=self.lenses.pixel_scale,
            rays=self.lenses.rays,
            is_round=self.lenses.is_round and not {"e1", "e2"}.intersection(fitted),
            substructure={},
        )
        return SubstructureMacroModel(
            self.priors,
            free,
            einstein_radius=self.einstein_radius,
            lenses=lenses,
            blur=self.blur,
            noise=self.macro_noise(),
            deflection_scale=self.deflection_scale(),
        )

    def deflection_scale(self) -> float:
        """Return the factor by which the macro model multiplies all deflections."""
        return 1.0

    @abstractmethod
    def observe(self, images: Tensor, scene: Scene) -> Tensor:
        """Add noise to blurred surface brightness (n, pixels, pixels), and scale it."""

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Render scenes: (n, 1, pixels, pixels).

        Args:
            scene: Entries of all groups for n images.
            omit: Parts to leave out, `source` or `lens_light`. Their photon noise is left out too, and images are
                scaled by the remaining light.
        """
        return self.observe(self.clean(scene, omit), scene)[:, None]

    def clean(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Return blurred surface brightness (n, pixels, pixels) without noise."""
        no_light = {"lens_light"} - self.removable
        return self.blur(self.lenses(scene, no_light.union(omit)))

    def refuses(self, given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
        """Yield values of a table that cannot be rendered; see `Simulator.refuses`."""
        spherical = self.kinds.get("spherical")
        most = spherical.most if isinstance(spherical, Subhalos) else 0
        return refused(self.priors, given, self.classes, most)

    def einstein_radius(self, mass: Tensor, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Return the Einstein radius in arcsec of a mass in solar masses."""
        return self.cosmology.einstein_radius_point(mass, z_lens, z_source)

    def _draw_lens(self, rng: KeyedGenerator) -> Scene:
        drawn = rng.samples({name: self.priors[name] for name in (*LENS, *SHEAR) if name in self.priors})
        redshifts = drawn["z_lens"], drawn["z_source"]
        if "halo_mass" in drawn:
            drawn["theta_E"] = self.einstein_radius(drawn["halo_mass"], *redshifts)
        else:
            drawn["halo_mass"] = self.cosmology.mass_in_einstein_radius(drawn["theta_E"], *redshifts)
        e1, e2 = ellipticity(drawn["lens_q"], drawn.pop("lens_angle"))
        shear, angle = drawn["shear"], 2 * drawn.pop("shear_angle")
        return drawn | {"e1": e1, "e2": e2, "gamma1": shear * angle.cos(), "gamma2": shear * angle.sin()}

    def _draw_substructure(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        among = Distribution.parse(f"choice({', '.join(str(CLASSES.index(name)) for name in self.classes)})")
        label = rng.sample("substructure", among).long()
        drawn = {"substructure": label}
        for name, kind in self.kinds.items():
            drawn |= kind.draw(rng, scene, label == CLASSES.index(name))
        mass = sum((drawn[name] for name in ("subhalo_mass", "string_mass") if name in drawn), scene["halo_mass"] * 0)
        return drawn | {"substructure_mass": mass, "substructure_fraction": mass / scene["halo_mass"]}

    def _draw_source(self, rng: KeyedGenerator) -> Scene:
        drawn = rng.samples(of_group(self.priors, "source"))
        if "source_q" in drawn:
            drawn["source_e1"], drawn["source_e2"] = ellipticity(drawn["source_q"], drawn.pop("source_angle"))
        if "source_r" in drawn:
            r, angle = drawn["source_r"], 2 * math.pi * rng.uniform("source_direction")
            drawn["source_x"], drawn["source_y"] = r * angle.cos(), r * angle.sin()
        return drawn

    def _check(self, lightest: float, heaviest: float) -> None:
        farthest, nearest = self.priors["z_lens"].bounds[1], self.priors["z_source"].bounds[0]
        if farthest >= nearest:
            raise UsageError(
                f"options z_lens and z_source: lenses reach a redshift of {farthest:g} and sources begin at "
                f"{nearest:g}; all sources must be behind all lenses"
            )
        if lightest > heaviest:
            raise UsageError(
                f"options subhalo_mass_min and subhalo_mass_max: {lightest:g} is above {heaviest:g}; swap the two "
                "values"
            )


REPLACED: Mapping[tuple[str, ...], str] = {
    ("theta_E",): "halo_mass",
    ("string_length",): "log_axion_mass",
    ("string_mass_fraction",): "string_mass",
    ("source_q", "source_angle"): "source_e1",
    ("source_r",): "source_x",
}
"""Priors with defaults, and the prior that replaces them if it is set."""


def chosen_classes(classes: Sequence[str] | str) -> tuple[str, ...]:
    """Return the names of classes from a sequence or from text with commas.

    Raises:
        UsageError: There is no name, or a name is not a class.
    """
    names = tuple(name.strip() for name in classes.split(",")) if isinstance(classes, str) else tuple(classes)
    listed = ", ".join(CLASSES)
    if not names:
        raise UsageError(f"option classes: there is no class; choose from {listed}")
    for name in names:
        if name not in CLASSES:
            raise UsageError(f"option classes: unknown class {name!r}; {meant(name, CLASSES, f'there are {listed}')}")
    return names


def ellipticity(q: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ellipticity (1 - q) / (1 + q) (cos 2 angle, sin 2 angle).

    Args:
        q: Axis ratio.
        angle: Direction of the long axis in radians.
    """
    norm = (1 - q) / (1 + q)
    return norm * (2 * angle).cos(), norm * (2 * angle).sin()


def of_group(priors: Mapping[str, Distribution], prefix: str) -> dict[str, Distribution]:
    """Return the priors whose names begin with a prefix."""
    return {name: prior for name, prior in priors.items() if name.startswith(prefix)}
