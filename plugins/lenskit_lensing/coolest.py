"""Lens systems as COOLEST templates, an exchange format for lens models.

COOLEST is described in Galan et al. 2023, https://doi.org/10.21105/joss.05567. lenskit uses its coordinates: +x to the
right, +y up, first row of an image at the bottom. COOLEST's angles are in degrees from +y counter-clockwise, lenskit's
in radians from +x. Radii of both are on the intermediate axis. (lenstronomy's reader has +x to the left and converts
centres, angles and grid, so its images are the same.)

Only this module needs the package `coolest`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenskit.plugin import LenskitError, Scene, UsageError
from lenskit.toolbox import write_atomically
from lenskit_lensing.coolest_profiles import LIGHT, MASS, REASONS, WRITTEN, Conversion
from lenskit_lensing.profiles import Components
from lenskit_lensing.scenes.lens_light import lens_flux, total_light


@dataclass(frozen=True)
class LensSystem:
    """One lens and one source, in the format of `deflection` and `surface_brightness`.

    Attributes:
        lens: Mass profiles.
        source: Light profiles of the source.
        lens_light: Light profiles of the lens.
        shape: Rows and columns of the image.
        pixel_scale: Pixel size in arcsec.
        lens_redshift: Redshift of the lens; required by templates.
        source_redshift: Redshift of the source, above that of the lens.
    """

    lens: Components = ()
    source: Components = ()
    lens_light: Components = ()
    shape: tuple[int, int] = (110, 110)
    pixel_scale: float = 0.05
    lens_redshift: float = 0.5
    source_redshift: float = 2.0


def from_scene(
    scene: Scene, row: int = 0, *, pixels: int, pixel_scale: float, stamps: Tensor | None = None
) -> LensSystem:
    """Return the lens system of one scene of the simulator `hst`.

    The `amp` of the lens light is 1, because the simulator sets the ratio of lens light to arc in the image, after the
    PSF. Neighbours are scaled with the lens light. Redshifts come from the scene if it has them, else from the defaults
    of `LensSystem`.

    Args:
        scene: The entries of the scene, (n,) each.
        row: Index of the scene.
        pixels: Height and width of the image, as in the simulator's `band`.
        pixel_scale: Pixel size in arcsec, as in the simulator's `band`.
        stamps: Images (k, size, size) of real source galaxies.

    Raises:
        UsageError: The source is a real galaxy and `stamps` are missing, or isophotes are not elliptical.
    """
    if "light_twist" in scene:
        raise UsageError(
            f"scene {row} has twisted or boxy isophotes, which COOLEST does not describe; set the options light_twist, "
            "light_m3 and light_m4 to 0"
        )

    def take(prefix: str, names: Mapping[str, str]) -> dict[str, Any]:
        return {theirs: float(scene[prefix + ours][row]) for theirs, ours in names.items()}

    def same(*names: str) -> dict[str, str]:
        return {name: name for name in names}

    center = {"center_x": "x", "center_y": "y"}
    sersic = {"R_sersic": "R_sersic", "n_sersic": "n"} | same("e1", "e2") | center
    source: list[tuple[str, dict[str, Any]]] = []
    for galaxy in ("source_", "companion_"):
        if float(scene[f"{galaxy}flux"][row]) <= 0:
            continue
        amp = {"amp": "amplitude"}
        if int(scene[f"{galaxy}stamp"][row]) < 0:
            source.append(("CORE_SERSIC", take(galaxy, amp | sersic | {"Rb": "Rb", "gamma": "core_slope"})))
            continue
        if stamps is None:
            raise UsageError(f"the source of scene {row} is the image of a real galaxy; pass the images as stamps=...")
        stamp = take(galaxy, amp | center | {"scale": "stamp_scale", "phi_G": "angle", "mirror": "mirror"})
        source.append(("INTERPOL", stamp | {"image": stamps[int(scene[f"{galaxy}stamp"][row])]}))
    lens_light = [("SERSIC_ELLIPSE", {"amp": 1.0} | take("light_", sersic))]
    if "disc_amplitude" in scene and float(scene["disc_amplitude"][row]) > 0:
        disc = take("disc_", {"amp": "amplitude", "R_sersic": "R_sersic"} | same("e1", "e2")) | {"n_sersic": 1.0}
        lens_light.append(("SERSIC_ELLIPSE", disc | take("light_", center)))
    if "neighbour_log_flux" in scene:
        flux = 10 ** scene["neighbour_log_flux"] * lens_flux(scene)[:, None]
        amplitude = flux / total_light(scene["neighbour_radius"], scene["neighbour_n"])
        ours = {"R_sersic": "radius", "n_sersic": "n"} | same("e1", "e2") | center
        for k in range(int(scene["neighbours"][row])):
            own = {theirs: float(scene[f"neighbour_{name}"][row, k]) for theirs, name in ours.items()}
            lens_light.append(("SERSIC_ELLIPSE", own | {"amp": float(amplitude[row, k])}))
    redshifts = {"lens_redshift": "z_lens", "source_redshift": "z_source"}
    return LensSystem(
        lens=[
            ("EPL", take("", same("theta_E", "gamma", "e1", "e2", "center_x", "center_y"))),
            ("SHEAR", take("", same("gamma1", "gamma2"))),
        ],
        source=source,
        lens_light=lens_light,
        shape=(pixels, pixels),
        pixel_scale=pixel_scale,
        **{theirs: float(scene[name][row]) for theirs, name in redshifts.items() if name in scene},
    )


def to_coolest(
    system: LensSystem,
    path: str | Path,
    *,
    image: Any = None,
    noise_map: Any = None,
    psf: Any = None,
    drop_cores: bool = False,
) -> None:
    """Write a template and, in the same folder, FITS files of the images.

    Without images the template has only the grid, and readers need `check_external_files=False`.

    Args:
        system: Lens system of EPL, SIE, SIS, SHEAR and CONVERGENCE mass, and SERSIC and SERSIC_ELLIPSE light.
        path: Path of the template, ending in .json.
        image: The image, (rows, columns).
        noise_map: Standard deviation of the noise of each pixel, (rows, columns).
        psf: The PSF at the pixel scale of the image, (size, size).
        drop_cores: Whether to write each core-Sersic profile, which COOLEST lacks, as the Sersic profile that equals it
            outside the break radius.

    Raises:
        UsageError: COOLEST lacks a profile or does not allow a value, or the path, the redshifts or the shape of an
            image are invalid.
        LenskitError: The package `coolest` is not installed.
    """
    path = _template_path(path)
    if not 0 <= system.lens_redshift < system.source_redshift:
        raise UsageError(
            f"redshifts {system.lens_redshift} of the lens and {system.source_redshift} of the source; they "
            "must satisfy 0 <= lens < source"
        )
    coolest = _package()
    external = [c for c in system.lens if c[0] in ("SHEAR", "CONVERGENCE")]
    galaxies = [c for c in system.lens if c[0] not in ("SHEAR", "CONVERGENCE")]
    entities = [
        coolest.Galaxy(
            "lens",
            system.lens_redshift,
            mass_model=_model(coolest.MassModel, galaxies, drop_cores),
            light_model=_model(coolest.LightModel, system.lens_light, drop_cores),
        ),
        coolest.Galaxy(
            "source", system.source_redshift, light_model=_model(coolest.LightModel, system.source, drop_cores)
        ),
    ]
    if external:
        field = _model(coolest.MassModel, external, drop_cores)
        entities.append(coolest.MassField("external", system.lens_redshift, mass_model=field))

    rows, columns = system.shape

    def grid(name: str, array: Any, shape: tuple[int, int]) -> Any:
        half_y, half_x = (count * system.pixel_scale / 2 for count in shape)
        file = None if array is None else f"{path.stem}_{name}.fits"
        return coolest.PixelatedRegularGrid(
            file, (-half_x, half_x), (-half_y, half_y), shape[1], shape[0], check_fits_file=False
        )  # fmt: skip

    arrays = {"image": image, "noise_map": noise_map, "psf": psf}
    arrays = {name: None if array is None else np.asarray(array) for name, array in arrays.items()}
    for name in ("image", "noise_map"):
        if arrays[name] is not None and arrays[name].shape != (rows, columns):
            raise UsageError(f"{name} has the shape {arrays[name].shape}, the system {(rows, columns)}")
    psf_shape = (1, 1) if psf is None else arrays["psf"].shape
    template = coolest.COOLEST(
        "MOCK",
        coolest.CoordinatesOrigin(),
        coolest.LensingEntityList(*entities),
        coolest.Observation(
            pixels=grid("image", image, (rows, columns)),
            noise=coolest.NoiseMap(grid("noise_map", noise_map, (rows, columns))),
        ),
        coolest.Instrument(system.pixel_scale, psf=coolest.PixelatedPSF(grid("psf", psf, psf_shape))),
    )
    for name, array in arrays.items():
        if array is not None:
            write_atomically(path.with_name(f"{path.stem}_{name}.fits"), _fits(array))
    write_atomically(path, template.to_JSON(exclude_keys=template.exclude_keys))


def from_coolest(path: str | Path) -> LensSystem:
    """Read a template of PEMD, SIE, ExternalShear, ConvergenceSheet and Sersic light.

    Galaxies at the lowest redshift are the lens, and those at the highest the source, as in lenstronomy.

    Raises:
        UsageError: The file is not a template, lacks values, or has profiles or planes that lenskit does not support.
        LenskitError: The package `coolest` is not installed.
    """
    path = _template_path(path)
    coolest = _package()
    if not path.is_file():
        raise UsageError(f"there is no template {path}")
    try:
        reader = coolest.JSONSerializer(str(path.absolute().with_suffix("")), check_external_files=False)
        template = reader.load_simple(str(path.absolute()))
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RecursionError) as error:
        raise UsageError(f"{path} is not a COOLEST template: {type(error).__name__}: {error}") from None

    entities = template.lensing_entities
    redshifts = {entity.redshift for entity in entities if entity.type == "Galaxy"}
    if None in redshifts or len(redshifts) != 2:
        listed = ", ".join(map(str, redshifts)) or "none"
        raise UsageError(f"{path} has galaxies at the redshifts {listed}; there must be two, of lens and source")
    lens_redshift, source_redshift = sorted(redshifts)
    lens: list[tuple[str, dict[str, float]]] = []
    source: list[tuple[str, dict[str, float]]] = []
    lens_light: list[tuple[str, dict[str, float]]] = []
    for entity in entities:
        is_lens = entity.redshift == lens_redshift
        # Mass at the redshift of the source does not deflect the light of the source. Fields may have any redshift.
        if is_lens or entity.type == "MassField":
            lens += [_read(profile, MASS, path) for profile in entity.mass_model]
        if entity.type == "Galaxy":
            light = [_read(profile, LIGHT, path) for profile in entity.light_model]
            (lens_light if is_lens else source).extend(light)
    pixels = template.observation.pixels
    return LensSystem(
        lens=lens,
        source=source,
        lens_light=lens_light,
        shape=(pixels.num_pix_y, pixels.num_pix_x),
        pixel_scale=template.instrument.pixel_size,
        lens_redshift=lens_redshift,
        source_redshift=source_redshift,
    )


def _model(kind: Callable[..., Any], components: Components, drop_cores: bool) -> Any:
    """Return a COOLEST model of these components and their values."""
    converted: list[tuple[str, str, dict[str, float]]] = []
    for name, given in components:
        if name == "CORE_SERSIC" and drop_cores:
            name, given = "SERSIC_ELLIPSE", {k: v for k, v in given.items() if k not in ("Rb", "gamma")}
        if name not in WRITTEN:
            reason = REASONS.get(name, f"COOLEST has no {name}; it has {', '.join(WRITTEN)}")
            raise UsageError(f"{name} cannot be written: {reason}")
        theirs, convert = WRITTEN[name]
        converted.append((name, theirs, convert(_numbers(name, given))))
    model = kind(*(theirs for _, theirs, _ in converted))
    for profile, (name, _, values) in zip(model, converted, strict=True):
        for key, value in values.items():
            try:
                profile.parameters[key].set_point_estimate(float(value))
            except ValueError as error:
                raise UsageError(f"{name} cannot be written: {key} = {value:g}: {error}") from None
    return model


def _numbers(name: str, given: Mapping[str, Any]) -> dict[str, float]:
    """Return the parameters of one lens as numbers."""
    values = {key: torch.as_tensor(value, dtype=torch.float64) for key, value in given.items()}
    for key, value in values.items():
        if value.numel() != 1:
            raise UsageError(f"{key} of {name} has {value.numel()} values: a template holds one lens")
        if key in ("ra_0", "dec_0") and value.item() != 0:
            raise UsageError(f"{name} about {key} = {value.item():g} cannot be written: in COOLEST it is 0")
    return {key: float(value) for key, value in values.items()}


def _read(profile: Any, table: Mapping[str, tuple[str, Conversion]], path: Path) -> tuple[str, dict[str, float]]:
    if profile.type not in table:
        raise UsageError(f"{path} has a profile {profile.type}; lenskit reads {', '.join(table)}")
    values = {key: parameter.point_estimate.value for key, parameter in profile.parameters.items()}
    for key, value in values.items():
        if value is None:
            raise UsageError(f"{path}: {key} of {profile.type} has no value; set its point estimate")
    ours, convert = table[profile.type]
    return ours, convert(values)


def _template_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".json" or path.stem.endswith("_pyAPI"):
        raise UsageError(f"{path} is not the path of a template; it must end in .json, but not in _pyAPI.json")
    return path


def _fits(array: np.ndarray) -> bytes:
    from astropy.io import fits

    buffer = io.BytesIO()
    fits.PrimaryHDU(array).writeto(buffer)
    return buffer.getvalue()


def _package() -> Any:
    """Return COOLEST's classes in one namespace."""
    try:
        from coolest.template import json, lazy, standard
    except ImportError as error:
        raise LenskitError(f"COOLEST templates need the package coolest ({error}): pip install coolest") from None

    from types import SimpleNamespace

    return SimpleNamespace(**vars(lazy), COOLEST=standard.COOLEST, JSONSerializer=json.JSONSerializer)
