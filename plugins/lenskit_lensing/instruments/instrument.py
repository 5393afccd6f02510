"""Instruments as data: the properties of a camera, read from a TOML file.

The bundled files are in `instruments/`. Plugins provide instruments through the hook `lenskit_instruments`. A path that
ends in `.toml` is accepted in place of a name. docs/guides/simulators.md explains the format.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Interval, Le
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError

from lenskit.plugin import UsageError, meant
from lenskit.toolbox import read_toml

if TYPE_CHECKING:
    from torch import Tensor

Number = Annotated[float, Strict(), Interval(ge=-1e30, le=1e30)]  # Strict refuses true and "1"
Count = Annotated[int, Strict()]
Text = Annotated[str, Strict()]

NOISE_KEYS = ("zero_point", "exposure_time")
"""Keys that instrument noise needs, in addition to `background_rms` or both `sky` and `read_noise`."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """One band of a camera.

    The PSF is a Gaussian of width `fwhm`, a Moffat profile with `moffat_beta`, or read from a file. The noise follows
    from `sky` and `read_noise`, or from a measured `background_rms`. The keys of the noise may be missing if only PSF
    and pixels are known.

    Attributes:
        name: Name of the band, for example `VIS`.
        pixels: Height and width of an image.
        pixel_scale: Size of a pixel in arcsec.
        fwhm: Full width at half maximum of the PSF in arcsec, before the integration over pixels.
        moffat_beta: Exponent of a Moffat profile (1 + (r/a)^2)^-beta.
        psf_file: File of PSFs for `load_psfs`: relative to the TOML file, or `package:path/of/file`.
        psf_scale: Pixel size in arcsec for PSF files that do not state it. The default is `pixel_scale`.
        zero_point: AB magnitude of a source that gives one electron per second.
        sky: Brightness of the sky in AB magnitudes per square arcsec.
        read_noise: Standard deviation of one readout of a pixel, in electrons.
        background_rms: Measured standard deviation of the background in a pixel of the combined image, in electrons per
            second, instead of `sky` and `read_noise`.
        exposure_time: Time of one exposure, in seconds.
        exposures: Number of combined exposures.
        noise_correlation: Standard deviation in pixels of the Gaussian that would correlate white noise equally.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    pixels: Annotated[Count, Ge(16), Le(4096)]
    pixel_scale: Annotated[Number, Gt(0), Le(10)]
    fwhm: Annotated[Number, Gt(0), Le(100)] | None = None
    moffat_beta: Annotated[Number, Gt(1)] | None = None
    psf_file: Text | None = None
    psf_scale: Annotated[Number, Gt(0), Le(10)] | None = None
    zero_point: Number | None = None
    sky: Number | None = None
    read_noise: Annotated[Number, Ge(0)] | None = None
    background_rms: Annotated[Number, Gt(0)] | None = None
    exposure_time: Annotated[Number, Gt(0)] | None = None
    exposures: Annotated[Count, Ge(1), Le(10**6)] = 1
    noise_correlation: Annotated[Number, Ge(0), Le(5)] = 0.0

    def __post_init__(self) -> None:
        if (self.fwhm is None) == (self.psf_file is None):
            raise ValueError("set either fwhm or psf_file for the PSF")
        if self.moffat_beta is not None and self.fwhm is None:
            raise ValueError("moffat_beta needs fwhm")
        if self.psf_scale is not None and self.psf_file is None:
            raise ValueError("psf_scale needs psf_file")
        if self.background_rms is not None and (self.sky is not None or self.read_noise is not None):
            raise ValueError("set either background_rms, or sky and read_noise, for the noise")

    @property
    def missing_for_noise(self) -> str:
        """Missing keys of the instrument noise, separated by commas; empty if complete."""
        missing = [key for key in NOISE_KEYS if getattr(self, key) is None]
        if self.background_rms is None and (self.sky is None or self.read_noise is None):
            missing.append("background_rms (or sky and read_noise)")
        return ", ".join(missing)

    @property
    def total_exposure(self) -> float:
        """Total exposure time in seconds."""
        return self.exposures * _known(self.exposure_time)

    @property
    def background_sigma(self) -> float:
        """Standard deviation of a pixel without a source, in electrons per second.

        sqrt(exposures read_noise^2 + t sky) / t, with the total exposure time t and the sky in electrons per second per
        pixel: lenstronomy's `bkg_noise`.
        """
        if self.background_rms is not None:
            return self.background_rms
        sky = self.rate(_known(self.sky)) * self.pixel_scale**2
        read = self.exposures * _known(self.read_noise) ** 2
        return math.sqrt(read + self.total_exposure * sky) / self.total_exposure

    def background_sigma_after(self, exposure: Tensor) -> Tensor:
        """Return `background_sigma` for different total exposure times in s.

        The number of exposures stays the same. A measured background counts as sky noise: it scales as 1 / sqrt(time).
        """
        if self.background_rms is not None:
            return self.background_rms * (self.total_exposure / exposure).sqrt()
        sky = self.rate(_known(self.sky)) * self.pixel_scale**2
        read = self.exposures * _known(self.read_noise) ** 2
        return (read + exposure * sky).sqrt() / exposure

    def rate(self, magnitude: Any) -> Any:
        """Return electrons per second for an AB magnitude (number or tensor)."""
        return 10 ** (-0.4 * (magnitude - _known(self.zero_point)))

    def psfs(self) -> Tensor:
        """Return the PSFs (k, s, s), s odd, float64, each of sum one.

        Raises:
            UsageError: The PSF file contains no valid PSF.
        """
        from lenskit_lensing.instruments.psf import load_psfs, profile_psf

        if self.psf_file is None:
            return profile_psf(_known(self.fwhm), self.pixel_scale, self.moffat_beta)[None]
        package, colon, path = self.psf_file.partition(":")
        if not colon or Path(self.psf_file).exists():
            return load_psfs(self.psf_file, self.pixel_scale, self.psf_scale)
        try:
            with resources.as_file(resources.files(package) / path) as file:
                return load_psfs(file, self.pixel_scale, self.psf_scale)
        except ModuleNotFoundError:
            raise UsageError(f"psf_file {self.psf_file!r}: there is no package {package!r}") from None

    def at(self, *, pixels: int | None = None, pixel_scale: float | None = None) -> Band:
        """Return the same camera with a different number or size of pixels.

        A measured background scales like the sky, and PSFs keep their size in arcsec.
        """
        pixels, pixel_scale = pixels or self.pixels, pixel_scale or self.pixel_scale
        factor = pixel_scale / self.pixel_scale
        rms = None if self.background_rms is None else self.background_rms * factor
        correlation = self.noise_correlation / factor
        of_files = self.pixel_scale if self.psf_file and factor != 1 else None
        return replace(
            self,
            pixels=pixels,
            pixel_scale=pixel_scale,
            psf_scale=self.psf_scale or of_files,
            background_rms=rms,
            noise_correlation=correlation,
        )


@dataclass(frozen=True)
class Instrument:
    """Camera with one or more bands.

    Attributes:
        name: Name or path of the instrument.
        bands: At least one band.
        source: Reference for the values.
    """

    name: str
    bands: tuple[Band, ...]
    source: str = ""

    def band(self, name: str | None = None) -> Band:
        """Return the band of this name, by default the first.

        Raises:
            UsageError: There is no band of this name.
        """
        bands = [band for band in self.bands if name in (None, band.name)]
        if not bands:
            names = ", ".join(band.name for band in self.bands)
            raise UsageError(f"instrument {self.name!r} has no band {name!r}; it has {names}")
        return bands[0]


def load_instrument(name: str) -> Instrument:
    """Load an instrument by name, or from a file if the name ends in `.toml`.

    Raises:
        UsageError: The instrument does not exist (similar names are suggested), or its file is invalid (the message
            names the key).
    """
    data = read_toml("instrument", name)
    where = name if name.endswith(".toml") else f"instrument {name!r}"
    source, bands = data.pop("source", ""), data.pop("bands", None)
    if not isinstance(source, str):
        raise UsageError(f"{where}: source = {source!r}; it must be text")
    if not isinstance(bands, Mapping) or not bands:
        raise UsageError(f"{where}: no bands; add a table for each band, such as [bands.VIS]")
    folder = Path(name).resolve().parent if name.endswith(".toml") else None
    return Instrument(name, tuple(_band(where, str(key), table, data, folder) for key, table in bands.items()), source)


def _band(where: str, name: str, table: Any, common: Mapping[str, Any], folder: Path | None) -> Band:
    """Return a band from its table and the keys common to all bands."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: bands.{name} = {table!r}; it must be a table: [bands.{name}]")
    values = dict(common) | dict(table)
    for key in values:
        place = f"bands.{name}.{key}" if key in table else key
        if key not in KEYS:
            hint = meant(key, KEYS, f"there are source, bands, {', '.join(KEYS)}")
            raise UsageError(f"{where}: {place}: there is no such key; {hint}")
    try:
        band = _adapter().validate_python(values | {"name": name})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise UsageError(f"{where}: bands.{name} has no {key}; it is needed") from None
        reason = first["msg"].removeprefix("Value error, ")
        place = f"bands.{name}.{key}" if key in table else key
        got = f"{place} = {values[key]!r}" if key else f"bands.{name}"
        raise UsageError(f"{where}: {got}: {reason[0].lower()}{reason[1:]}") from None
    if band.psf_file is None or ":" in band.psf_file:
        return band
    if folder is None:
        raise UsageError(f"{where}: psf_file = {band.psf_file!r}; in a plugin, use package:path/of/file")
    return replace(band, psf_file=str(folder / band.psf_file))


KEYS = tuple(field.name for field in fields(Band) if field.name != "name")
"""Valid keys in the table of a band."""


@cache
def _adapter() -> TypeAdapter[Band]:
    return TypeAdapter(Band)


def _known(value: float | None) -> float:
    """Return a value of the band; None is an error."""
    if value is None:
        raise ValueError("the band lacks a number that is needed here; see Band.missing_for_noise")
    return value
